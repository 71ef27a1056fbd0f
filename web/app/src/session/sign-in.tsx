import { Button, Paper, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { asTollgateError, type TollgateError } from "@tollgate/react/core";
import { type FormEvent, useRef, useState } from "react";
import { boot } from "../boot";
import { BrandMark } from "../ui/brand-mark";
import { ErrorCard } from "../ui/error-card";
import { Footer } from "../ui/footer";
import { Page } from "../ui/page";
import { ThemeToggle } from "../ui/theme-toggle";
import { DEMO_ACCOUNTS } from "./demo-accounts";
import { safeNext, signIn } from "./session";

export function SignIn() {
  const { next } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<TollgateError>();
  const [busy, setBusy] = useState(false);
  const passwordField = useRef<HTMLInputElement>(null);

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const user = await signIn(queryClient, email.trim(), password);
      const target = safeNext(next, user);
      // The admin pages are a page of their own, which the router does not know.
      if (target.startsWith("/admin")) location.assign(target);
      else await navigate({ to: target, replace: true });
    } catch (thrown) {
      setError(asTollgateError(thrown));
      passwordField.current?.focus();
    } finally {
      setBusy(false);
    }
  }

  function choose(account: string) {
    setEmail(account);
    passwordField.current?.focus();
  }

  return (
    <div className="sign-in">
      <header className="sign-in-head">
        <BrandMark />
        <ThemeToggle />
      </header>
      <main className="sign-in-main">
        <Paper withBorder p="xl" className="surface">
          <Page title="Sign in" intro={`to ${boot.brand.name}`}>
            <form onSubmit={submit}>
              <Stack>
                {error && <ErrorCard error={error} />}
                <TextInput
                  label="E-mail"
                  type="email"
                  autoComplete="username"
                  required
                  value={email}
                  onChange={(event) => setEmail(event.currentTarget.value)}
                />
                <PasswordInput
                  ref={passwordField}
                  label="Password"
                  autoComplete="current-password"
                  required
                  value={password}
                  onChange={(event) => setPassword(event.currentTarget.value)}
                />
                <Button type="submit" size="md" loading={busy}>
                  Sign in
                </Button>
              </Stack>
            </form>
          </Page>
        </Paper>
        {boot.demo && <DemoAccounts onChoose={choose} />}
      </main>
      <Footer />
    </div>
  );
}

function DemoAccounts({ onChoose }: { onChoose: (email: string) => void }) {
  const accounts = DEMO_ACCOUNTS[boot.tenant.slug] ?? [];
  if (accounts.length === 0) return null;
  return (
    <section className="demo-accounts" aria-labelledby="demo-title">
      <h2 id="demo-title">Demo accounts</h2>
      <Text size="sm" c="dimmed">
        Choose one. Their password was printed where the server was started.
      </Text>
      <ul>
        {accounts.map(({ email, about }) => (
          <li key={email}>
            <button type="button" onClick={() => onChoose(email)}>
              <span className="demo-email">{email}</span>
              <span className="demo-about">{about}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
