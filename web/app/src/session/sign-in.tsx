import { Anchor, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { boot } from "../boot";
import { Page } from "../ui/page";
import { PlainFrame } from "../ui/plain-frame";
import { CredentialsForm } from "./credentials-form";
import { aboutDemoUser } from "./demo-accounts";
import { safeNext, signIn } from "./session";

export function SignIn() {
  const { next } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const [email, setEmail] = useState("");
  const passwordField = useRef<HTMLInputElement>(null);

  async function enter(email: string, password: string) {
    const user = await signIn(queryClient, email, password);
    const target = safeNext(next, user);
    // The admin pages are a page of their own, which the router does not know.
    if (target.startsWith("/admin")) location.assign(target);
    else await navigate({ to: target, replace: true });
  }

  function choose(account: string) {
    setEmail(account);
    passwordField.current?.focus();
  }

  return (
    <PlainFrame below={boot.demo && <DemoAccounts onChoose={choose} />}>
      <Page title="Sign in" intro={`to ${boot.brand.name}`}>
        <CredentialsForm
          email={email}
          onEmail={setEmail}
          passwordField={passwordField}
          onSubmit={enter}
          action="Sign in"
        />
        {/* A page of the server's own, which the router does not know. */}
        <Anchor href="/forgot" size="sm" underline="always" mt="md" display="inline-block">
          Forgot your password?
        </Anchor>
      </Page>
    </PlainFrame>
  );
}

function DemoAccounts({ onChoose }: { onChoose: (email: string) => void }) {
  if (boot.demoUsers.length === 0) return null;
  return (
    <section className="demo-accounts" aria-labelledby="demo-title">
      <h2 id="demo-title">Demo accounts</h2>
      <Text size="sm" c="dimmed">
        Choose one. They share a password: what TOLLGATE_DEMO_PASSWORD says, or else the one that the server printed at
        its first start.
      </Text>
      <ul>
        {boot.demoUsers.map((email) => (
          <li key={email}>
            <button type="button" onClick={() => onChoose(email)}>
              <span className="demo-email">{email}</span>
              <span className="demo-about">{aboutDemoUser(email)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
