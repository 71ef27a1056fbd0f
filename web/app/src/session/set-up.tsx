import { Anchor, Text } from "@mantine/core";
import { Link, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { boot } from "../boot";
import { Page } from "../ui/page";
import { PlainFrame } from "../ui/plain-frame";
import { CredentialsForm } from "./credentials-form";
import { client } from "./session";

/** Operators sign in at this tenant, which is also where a server without others leads. */
const PLATFORM = "platform";

/** The page behind the one-time link that a fresh server prints: makes the first operator. */
export function SetUp() {
  const { token = "" } = useSearch({ from: "/setup" });
  const [email, setEmail] = useState("");
  const [done, setDone] = useState(false);

  async function makeOperator(email: string, password: string) {
    await client.setUp({ token, email, password });
    setDone(true);
  }

  return (
    <PlainFrame>
      <Page title="Set up" intro="Make the first operator. The link works once.">
        {done ? (
          <Text role="status">
            The operator is made. <NextStep />
          </Text>
        ) : (
          <CredentialsForm isNew email={email} onEmail={setEmail} onSubmit={makeOperator} action="Make the operator" />
        )}
      </Page>
    </PlainFrame>
  );
}

function NextStep() {
  if (boot.tenant.slug !== PLATFORM) return <>Operators sign in at the tenant “{PLATFORM}”.</>;
  return (
    <Anchor component={Link} to="/sign-in" underline="always">
      Sign in
    </Anchor>
  );
}
