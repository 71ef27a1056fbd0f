import { Alert, Anchor, Text } from "@mantine/core";
import { boot } from "../boot";
import { Icon } from "../ui/icons";

/** Says that nothing may be used, and whom to ask. */
export function SuspendedBanner() {
  const support = boot.brand.links.support;
  return (
    <Alert className="risk" color="red" variant="light" icon={<Icon name="alert" />} title="This account is suspended">
      <Text size="sm">
        Every call is refused for now; what you have used is kept.{" "}
        {support ? (
          <Anchor href={support} size="sm" underline="always">
            Ask support why.
          </Anchor>
        ) : (
          `Ask ${boot.brand.name} why.`
        )}
      </Text>
    </Alert>
  );
}
