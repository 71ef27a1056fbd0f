import { Anchor, Button, Skeleton, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { asTollgateError, type Me } from "@tollgate/react/core";
import { sessionQuery, signOut } from "../session/session";
import { ErrorCard } from "../ui/error-card";
import { Page } from "../ui/page";
import { PlainFrame } from "../ui/plain-frame";

/** A place for the dashboards to come; until then it says where their work is done now. */
export function AdminPage() {
  const queryClient = useQueryClient();
  const { data: me, error, isFetching, refetch } = useQuery(sessionQuery);

  async function leave() {
    await signOut(queryClient);
    location.assign("/sign-in");
  }

  return (
    <PlainFrame>
      {error && <ErrorCard error={asTollgateError(error)} onRetry={() => void refetch()} />}
      {!error && isFetching && <Skeleton height={180} />}
      {!error && !isFetching && (me ? <Welcome me={me} onLeave={leave} /> : <SignedOut />)}
    </PlainFrame>
  );
}

function Welcome({ me, onLeave }: { me: Me; onLeave: () => void }) {
  if (me.user.role === "user") {
    return (
      <Page title="Not for your role" intro={`${me.user.email} is no administrator of ${me.tenant.name}.`}>
        <Anchor href="/">Go to your overview</Anchor>
      </Page>
    );
  }
  return (
    <Page title={me.tenant.name} intro={`Signed in as ${me.user.email} (${me.user.role}).`}>
      <Text mb="md">
        The admin dashboards are not built yet.{" "}
        {me.user.role === "operator"
          ? "Tenants are made, listed and suspended over the API (/api/operator/tenants), which is"
          : "Customers, tokens, API keys and usage are managed over the API, which is"}{" "}
        described with examples at{" "}
        <Anchor href="/api/docs" underline="always">
          /api/docs
        </Anchor>
        .
      </Text>
      <Button variant="default" onClick={onLeave}>
        Sign out
      </Button>
    </Page>
  );
}

function SignedOut() {
  return (
    <Page title="Admin" intro="Sign in to go on.">
      <Anchor href="/sign-in?next=%2Fadmin">Sign in</Anchor>
    </Page>
  );
}
