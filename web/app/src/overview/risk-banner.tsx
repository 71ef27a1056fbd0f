import { Alert, Text } from "@mantine/core";
import { byRisk, type Quotas, remainingSentence, resetSentence, statusWord } from "@tollgate/react/core";
import { boot } from "../boot";
import { Icon } from "../ui/icons";

/** Names the quotas that need attention, before the numbers. */
export function RiskBanner({ quotas }: { quotas: Quotas }) {
  const risky = byRisk(quotas).filter((quota) => quota.status !== "ok");
  const [first] = risky;
  if (!first) return null;
  const wording = { locale: boot.locale };
  const resets = resetSentence(first, Date.now(), wording);
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
        {over ? "Further calls are refused. " : `${remainingSentence(first, wording)}. `}
        {resets && `${resets}. `}
        {risky.length > 1 && `${risky.length - 1} more ${risky.length === 2 ? "needs" : "need"} attention below.`}
      </Text>
    </Alert>
  );
}
