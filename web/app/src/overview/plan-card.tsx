import { Badge, Group, Paper, Skeleton, Text, Title } from "@mantine/core";
import type { SubscriptionAnswer } from "@tollgate/react";
import { amount, dateWords, type Plan, type PlanFeature, type Subscription } from "@tollgate/react/core";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";
import { words } from "../ui/words";

const COLOR: Partial<Record<string, string>> = { active: "brand", trialing: "brand", past_due: "red" };

/** The plan with what it includes and when it renews. */
export function PlanCard({ answer }: { answer: SubscriptionAnswer }) {
  return (
    <section aria-labelledby="plan-title" aria-busy={answer.loading}>
      <Title order={2} size="h4" id="plan-title" mb="sm">
        {words.plan}
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
      <Text fw={600}>{words.noPlanYet}</Text>
      <Text size="sm" c="dimmed">
        {words.noPlanText(boot.brand.name)}
      </Text>
    </>
  );
}

function Details({ plan, subscription }: { plan: Plan; subscription: Subscription | null }) {
  const status = words.states[subscription?.status ?? ""];
  return (
    <>
      <Group justify="space-between" gap="xs">
        <Text fz="xl" fw={700}>
          {plan.name}
        </Text>
        {status && (
          <Badge variant="light" color={COLOR[subscription?.status ?? ""] ?? "gray"} tt="none" size="lg">
            {status}
          </Badge>
        )}
      </Group>
      {subscription && (
        <Text size="sm" c="dimmed" mt={4}>
          {renewal(subscription)}
        </Text>
      )}
      <PlanFeatures features={plan.features} />
    </>
  );
}

/** What a plan grants of each feature. */
export function PlanFeatures({ features }: { features: PlanFeature[] }) {
  return (
    <ul className="plan-features">
      {features.map((feature) => (
        <li key={feature.feature} data-off={!feature.enabled || undefined}>
          <span>{feature.name}</span>
          <span className="plan-grant">{grant(feature)}</span>
        </li>
      ))}
    </ul>
  );
}

function renewal({ interval, currentPeriodEnd, cancelAt }: Subscription): string {
  const billed = interval && words.billed[interval];
  const end = cancelAt ?? currentPeriodEnd;
  const date = end && dateWords(end, boot.locale);
  return [billed, date && (cancelAt ? words.endsOn(date) : words.renewsOn(date))].filter(Boolean).join(" ");
}

function grant({ enabled, kind, limit, unit, reset }: PlanFeature): string {
  if (!enabled) return words.notIncluded;
  if (kind === "flag") return words.included;
  if (limit === null) return words.unlimited;
  return [amount(limit, unit, boot.locale), kind === "gauge" ? undefined : words.per[reset]].filter(Boolean).join(" ");
}
