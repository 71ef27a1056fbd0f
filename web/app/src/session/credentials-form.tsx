import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { asTollgateError, type TollgateError } from "@tollgate/react/core";
import { type FormEvent, type RefObject, useRef, useState } from "react";
import { ErrorCard } from "../ui/error-card";

interface Props {
  email: string;
  onEmail: (email: string) => void;
  /** What is done with them; a failure is shown above the fields. */
  onSubmit: (email: string, password: string) => Promise<void>;
  /** The words of the button. */
  action: string;
  /** The password is chosen here, not known already. */
  isNew?: boolean;
  /** To put the focus into the password from outside. */
  passwordField?: RefObject<HTMLInputElement | null>;
}

/** E-mail and password. */
export function CredentialsForm({ email, onEmail, onSubmit, action, isNew, passwordField }: Props) {
  const [password, setPassword] = useState("");
  const [error, setError] = useState<TollgateError>();
  const [busy, setBusy] = useState(false);
  const own = useRef<HTMLInputElement>(null);
  const field = passwordField ?? own;

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await onSubmit(email.trim(), password);
    } catch (thrown) {
      setError(asTollgateError(thrown));
      field.current?.focus();
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={submit}>
      <Stack>
        {error && <ErrorCard error={error} />}
        <TextInput
          label="E-mail"
          type="email"
          autoComplete="username"
          required
          value={email}
          onChange={(event) => onEmail(event.currentTarget.value)}
        />
        <PasswordInput
          ref={field}
          label="Password"
          description={isNew && "8 to 128 characters"}
          autoComplete={isNew ? "new-password" : "current-password"}
          required
          minLength={isNew ? 8 : undefined}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Button type="submit" size="md" loading={busy}>
          {action}
        </Button>
      </Stack>
    </form>
  );
}
