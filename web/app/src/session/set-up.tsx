import { Anchor, Text } from "@mantine/core";
import { Link, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { boot } from "../boot";
import { Page } from "../ui/page";
import { PlainFrame } from "../ui/plain-frame";
import { CredentialsForm } from "./credentials-form";
import { client } from "./session";

const FIRST = "Make the first operator.";
const INVITED = "Choose a password for the address that was invited.";

/** Operators sign in at this tenant, which is also where a server without others leads. */
const PLATFORM = "platform";

/** The page behind a one-time link: a fresh server's makes the first operator, an invitation's chooses a password. */
export function SetUp() {
  const { token = "" } = useSearch({ from: "/setup" });
  // An invitation names its tenant and its member before the secret.
  const invited = token.includes(".");
  const [email, setEmail] = useState("");
  const [done, setDone] = useState(false);

  async function setUp(email: string, password: string) {
    await client.setUp({ token, email, password });
    setDone(true);
  }

  return (
    <PlainFrame>
      <Page title={invited ? "Welcome" : "Set up"} intro={`${invited ? INVITED : FIRST} The link works once.`}>
        {done ? (
          <Text role="status">
            {invited ? "Your password is set." : "The operator is made."} <NextStep invited={invited} />
          </Text>
        ) : (
          <CredentialsForm
            isNew
            email={email}
            onEmail={setEmail}
            onSubmit={setUp}
            action={invited ? "Set the password" : "Make the operator"}
          />
        )}
      </Page>
    </PlainFrame>
  );
}

function NextStep({ invited }: { invited: boolean }) {
  if (!invited && boot.tenant.slug !== PLATFORM) return <>Operators sign in at the tenant “{PLATFORM}”.</>;
  return (
    <Anchor component={Link} to="/sign-in" underline="always">
      Sign in
    </Anchor>
  );
}
