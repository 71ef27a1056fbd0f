import { Alert, Text } from "@mantine/core";
import { advice, byRisk, type Quotas, statusWord } from "@tollgate/react/core";
import { Icon } from "../ui/icons";

/** Names the quotas that need attention, before the numbers. */
export function RiskBanner({ quotas }: { quotas: Quotas }) {
  const risky = byRisk(quotas).filter((quota) => quota.status !== "ok");
  const [first] = risky;
  if (!first) return null;
  const over = first.status === "exceeded";
  return (
    <Alert
      className="risk"
      color={over || first.status === "critical" ? "red" : "yellow"}
      variant="light"
      icon={<Icon name="alert" />}
      title={`${statusWord(first.status)}: ${first.name}`}
    >
      <Text size="sm">
        {over ? "Further calls are refused until it resets or your plan grows." : advice(first)}
        {risky.length > 1 && ` ${risky.length - 1} more ${risky.length === 2 ? "needs" : "need"} attention below.`}
      </Text>
    </Alert>
  );
}
