import { Button, Paper, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { BrandMark } from "../ui/brand-mark";
import { Page } from "../ui/page";
import { ThemeToggle } from "../ui/theme-toggle";

/** The page behind the one-time link that a fresh server prints: makes the first operator. */
export function SetUp() {
  const { token } = useSearch({ from: "/setup" });
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setProblem(await makeOperator({ token: token ?? "", email: email.trim(), password }));
    setBusy(false);
  }

  const done = !busy && problem === "";
  return (
    <div className="sign-in">
      <header className="sign-in-head">
        <BrandMark />
        <ThemeToggle />
      </header>
      <main className="sign-in-main">
        <Paper withBorder p="xl" className="surface">
          <Page title="Set up" intro="Make the first operator. The link works once.">
            {done ? (
              <Text role="status">The operator is made. Operators sign in at the tenant “platform”.</Text>
            ) : (
              <form onSubmit={submit}>
                <Stack>
                  {problem && (
                    <Text role="alert" c="error">
                      {problem}
                    </Text>
                  )}
                  <TextInput
                    label="E-mail"
                    type="email"
                    autoComplete="username"
                    required
                    value={email}
                    onChange={(event) => setEmail(event.currentTarget.value)}
                  />
                  <PasswordInput
                    label="Password"
                    description="8 to 128 characters"
                    autoComplete="new-password"
                    required
                    minLength={8}
                    value={password}
                    onChange={(event) => setPassword(event.currentTarget.value)}
                  />
                  <Button type="submit" size="md" loading={busy}>
                    Make the operator
                  </Button>
                </Stack>
              </form>
            )}
          </Page>
        </Paper>
      </main>
    </div>
  );
}

/** Answers what went wrong, or nothing. */
async function makeOperator(body: { token: string; email: string; password: string }): Promise<string> {
  try {
    const answer = await fetch("/api/setup", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) return "";
    const problem: { detail?: string } = await answer.json();
    return problem.detail ?? "The server did not accept it.";
  } catch {
    return "The server did not answer; check that it runs and try again.";
  }
}
