import { Alert, Anchor, Button, Group, Text } from "@mantine/core";
import type { TollgateError } from "@tollgate/react/core";
import type { ReactNode } from "react";
import { Icon } from "./icons";

/** A failure in its own card: what to do, the request id for support, and a way to try again. */
export function ErrorCard(props: { error: TollgateError; onRetry?: () => void; children?: ReactNode }) {
  const { error, onRetry, children } = props;
  return (
    <Alert role="alert" color="red" variant="light" title={error.title} icon={<Icon name="alert" />}>
      <Text size="sm">{error.detail ?? error.message}</Text>
      {error.instance && (
        <Text size="xs" mt={4} className="wrap">
          Request {error.instance}
        </Text>
      )}
      <Group gap="xs" className="error-ways">
        {onRetry && (
          <Button size="xs" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )}
        {error.isSignedOut && error.code !== "invalid-credentials" && (
          <Anchor size="sm" href={`/sign-in?next=${encodeURIComponent(location.pathname)}`}>
            Sign in again
          </Anchor>
        )}
        {children}
      </Group>
    </Alert>
  );
}
