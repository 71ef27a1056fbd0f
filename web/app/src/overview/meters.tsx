import { Anchor, Paper, Skeleton, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Usage } from "@tollgate/react";
import { UsageMeter } from "@tollgate/react/components";
import { byRisk, type Plan } from "@tollgate/react/core";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";
import { labels } from "../ui/words";

/** A card for each quota, the ones nearest to trouble first. */
export function Meters({ usage, plan }: { usage: Usage; plan: Plan | null }) {
  return (
    <section aria-labelledby="usage-title" aria-busy={usage.loading}>
      <Title order={2} size="h4" id="usage-title" mb="sm">
        Usage
      </Title>
      <Content usage={usage} plan={plan} />
    </section>
  );
}

function Content({ usage, plan }: { usage: Usage; plan: Plan | null }) {
  if (usage.error) return <ErrorCard error={usage.error} onRetry={usage.refetch} />;
  if (usage.loading) return <Loading />;
  const quotas = byRisk(usage.quotas);
  if (quotas.length === 0) {
    return (
      <Paper withBorder p="lg" className="surface">
        <Text fw={600}>No meters yet</Text>
        <Text size="sm" c="dimmed">
          {plan ? "Your plan counts nothing so far." : "You have no plan yet, so nothing is counted."} What there is to
          try stands in the{" "}
          <Anchor component={Link} to="/playground" size="sm" underline="always">
            playground
          </Anchor>
          .
        </Text>
      </Paper>
    );
  }
  return (
    <ul className="meters">
      {quotas.map((quota) => (
        <li key={quota.feature} className="meter-card" data-feature={quota.feature}>
          <UsageMeter
            quota={quota}
            reset={plan?.features.find(({ feature }) => feature === quota.feature)?.reset}
            labels={labels}
            locale={boot.locale}
          />
        </li>
      ))}
    </ul>
  );
}

function Loading() {
  return (
    <div className="meters">
      {[1, 2, 3, 4].map((key) => (
        <Skeleton key={key} height={118} radius="md" />
      ))}
    </div>
  );
}
