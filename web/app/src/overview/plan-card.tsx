import { Badge, Group, Paper, Skeleton, Text, Title } from "@mantine/core";
import type { SubscriptionAnswer } from "@tollgate/react";
import { amount, dateWords, type Plan, type PlanFeature, type Subscription } from "@tollgate/react/core";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";

const STATUS: Partial<Record<string, { word: string; color: string }>> = {
  active: { word: "Active", color: "brand" },
  trialing: { word: "Trial", color: "brand" },
  past_due: { word: "Payment due", color: "red" },
  paused: { word: "Paused", color: "gray" },
  pending: { word: "Waiting for approval", color: "gray" },
  canceled: { word: "Canceled", color: "gray" },
  expired: { word: "Expired", color: "gray" },
};

/** The plan with what it includes and when it renews. */
export function PlanCard({ answer }: { answer: SubscriptionAnswer }) {
  return (
    <section aria-labelledby="plan-title" aria-busy={answer.loading}>
      <Title order={2} size="h4" id="plan-title" mb="sm">
        Plan
      </Title>
      <Content answer={answer} />
    </section>
  );
}

function Content({ answer }: { answer: SubscriptionAnswer }) {
  const { subscription, plan, error, loading, refetch } = answer;
  if (error && !plan) return <ErrorCard error={error} onRetry={refetch} />;
  if (loading) return <Skeleton height={260} radius="md" />;
  return (
    <Paper withBorder p="lg" className="surface">
      {plan ? <Details plan={plan} subscription={subscription} /> : <NoPlan />}
    </Paper>
  );
}

function NoPlan() {
  return (
    <>
      <Text fw={600}>No plan yet</Text>
      <Text size="sm" c="dimmed">
        Ask your contact at {boot.brand.name} for one; it shows here at once.
      </Text>
    </>
  );
}

function Details({ plan, subscription }: { plan: Plan; subscription: Subscription | null }) {
  const status = STATUS[subscription?.status ?? ""];
  return (
    <>
      <Group justify="space-between" gap="xs">
        <Text fz="xl" fw={700}>
          {plan.name}
        </Text>
        {status && (
          <Badge variant="light" color={status.color} tt="none" size="lg">
            {status.word}
          </Badge>
        )}
      </Group>
      {subscription && (
        <Text size="sm" c="dimmed" mt={4}>
          {renewal(subscription)}
        </Text>
      )}
      <ul className="plan-features">
        {plan.features.map((feature) => (
          <li key={feature.feature} data-off={!feature.enabled || undefined}>
            <span>{feature.name}</span>
            <span className="plan-grant">{grant(feature)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function renewal({ interval, currentPeriodEnd, cancelAt }: Subscription): string {
  const billed = interval === "year" ? "Billed yearly. " : interval === "month" ? "Billed monthly. " : "";
  if (cancelAt) return `${billed}Ends on ${dateWords(cancelAt, boot.locale)}.`;
  return currentPeriodEnd ? `${billed}Renews on ${dateWords(currentPeriodEnd, boot.locale)}.` : billed.trim();
}

const PER: Partial<Record<string, string>> = {
  billing_month: "a month",
  calendar_month: "a month",
  day: "a day",
  week: "a week",
  year: "a year",
};

function grant({ enabled, kind, limit, unit, reset }: PlanFeature): string {
  if (!enabled) return "Not included";
  if (kind === "flag") return "Included";
  if (limit === null) return "Unlimited";
  return [amount(limit, unit, boot.locale), kind === "gauge" ? undefined : PER[reset]].filter(Boolean).join(" ");
}
