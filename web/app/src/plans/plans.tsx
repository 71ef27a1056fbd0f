import { Badge, Group, Paper, Skeleton, Text, Title } from "@mantine/core";
import { usePlans, useSubscription } from "@tollgate/react";
import type { PricedPlan } from "@tollgate/react/core";
import { boot } from "../boot";
import { PlanCard, PlanFeatures } from "../overview/plan-card";
import { ErrorCard } from "../ui/error-card";
import { Page } from "../ui/page";
import { words } from "../ui/words";

/** The customer's plan beside everything that is on sale. */
export function Plans() {
  const subscription = useSubscription();
  return (
    <Page title={words.plans} intro={words.plansIntro}>
      <div className="overview plan-page">
        <section aria-labelledby="offered-title">
          <Title order={2} size="h4" id="offered-title" mb="sm">
            {words.offered}
          </Title>
          <Offered />
        </section>
        <div>
          <PlanCard answer={subscription} />
          <HowToChange />
        </div>
      </div>
    </Page>
  );
}

function Offered() {
  const { plans, currency, loading, error, refetch } = usePlans();
  if (error && plans.length === 0) return <ErrorCard error={error} onRetry={refetch} />;
  if (loading) return <Skeleton height={320} radius="md" />;
  if (plans.length === 0) {
    return (
      <Paper withBorder p="lg" className="surface">
        <Text fw={600}>{words.noPlans}</Text>
      </Paper>
    );
  }
  return (
    <ul className="offers">
      {plans.map((plan) => (
        <Paper component="li" key={plan.slug} withBorder p="lg" className="surface" data-plan={plan.slug}>
          <Offer plan={plan} currency={currency} />
        </Paper>
      ))}
    </ul>
  );
}

function Offer({ plan, currency }: { plan: PricedPlan; currency: string }) {
  const { basePrice, yearlyPrice, yearlySaving, trialDays } = plan;
  const money = (amount: number) =>
    new Intl.NumberFormat(boot.locale, { style: "currency", currency, trailingZeroDisplay: "stripIfInteger" }).format(
      amount,
    );
  const yearly = yearlyPrice !== null && yearlyPrice > 0;
  return (
    <>
      <Group justify="space-between" gap="xs">
        <Title order={3} size="h4" className="wrap">
          {plan.name}
        </Title>
        {plan.current && (
          <Badge variant="light" tt="none" size="lg">
            {words.yourPlan}
          </Badge>
        )}
      </Group>
      <Text fz="lg" fw={650} mt={6}>
        {basePrice === null ? words.byAgreement : basePrice === 0 ? words.free : words.aMonth(money(basePrice))}
      </Text>
      {yearly && (
        <Text size="sm" c="dimmed">
          {words.aYear(money(yearlyPrice))}
          {yearlySaving !== null && yearlySaving > 0 && `, ${words.saves(money(yearlySaving))}`}
        </Text>
      )}
      {trialDays > 0 && (
        <Text size="sm" c="dimmed">
          {words.trial(trialDays)}
        </Text>
      )}
      {plan.description && (
        <Text size="sm" mt="sm" className="wrap">
          {plan.description}
        </Text>
      )}
      <PlanFeatures features={plan.features} />
    </>
  );
}

/** Buying is not on these pages yet, and the user is told who can do it instead. */
function HowToChange() {
  const { support } = boot.brand.links;
  return (
    <Text size="sm" c="dimmed" mt="md">
      {support ? <a href={support}>{words.writeTo(boot.brand.name)}</a> : words.toChange(boot.brand.name)}
    </Text>
  );
}
