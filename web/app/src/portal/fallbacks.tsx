import { Anchor, Button, Stack, Text } from "@mantine/core";
import { type ErrorComponentProps, Link } from "@tanstack/react-router";
import { Page } from "../ui/page";
import { PlainFrame } from "../ui/plain-frame";

export function NotFound() {
  return (
    <PlainFrame>
      <Page title="Page not found" intro="There is nothing at this address.">
        <Anchor component={Link} to="/">
          Go to the overview
        </Anchor>
      </Page>
    </PlainFrame>
  );
}

/** Where not even the frame of the page could be drawn. */
export function AllFailed(props: ErrorComponentProps) {
  return (
    <PlainFrame>
      <RouteFailed {...props} />
    </PlainFrame>
  );
}

/** Last resort: a page that failed to draw, or whose code could not be loaded after an update. */
export function RouteFailed({ error }: ErrorComponentProps) {
  return (
    <Page
      title="This page failed to load"
      intro="Load it again; if that does not help, tell support what it says below."
    >
      <Stack align="flex-start">
        <Text size="sm" className="wrap">
          {error instanceof Error ? error.message : String(error)}
        </Text>
        <Button onClick={() => location.reload()}>Load again</Button>
      </Stack>
    </Page>
  );
}
