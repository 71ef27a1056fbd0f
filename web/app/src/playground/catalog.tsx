import { Badge, Group, Paper, Skeleton, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useComponents, useUsage } from "@tollgate/react";
import { type Component, remainingSentence } from "@tollgate/react/core";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";
import { Icon } from "../ui/icons";
import { Page } from "../ui/page";

/** All AI components of the tenant; those outside the plan are shown, and say so. */
export function Catalog() {
  return (
    <Page title="Playground" intro="Try an AI component with your own data. Each run counts against your plan.">
      <Content />
    </Page>
  );
}

function Content() {
  const { components, loading, error, refetch } = useComponents();
  if (error && components.length === 0) return <ErrorCard error={error} onRetry={refetch} />;
  if (loading) {
    return (
      <div className="tiles" aria-busy="true">
        {[1, 2, 3, 4, 5, 6].map((key) => (
          <Skeleton key={key} height={150} radius="md" />
        ))}
      </div>
    );
  }
  if (components.length === 0) {
    return (
      <Paper withBorder p="lg" className="surface">
        <Text fw={600}>No AI components yet</Text>
        <Text size="sm" c="dimmed">
          {boot.brand.name} has not set one up. They show here as soon as it does.
        </Text>
      </Paper>
    );
  }
  return (
    <ul className="tiles">
      {components.map((component) => (
        <li key={component.key}>
          <Tile component={component} />
        </li>
      ))}
    </ul>
  );
}

function Tile({ component }: { component: Component }) {
  const quota = useUsage().quotas[component.draws[0]?.feature ?? component.key];
  return (
    <Link to="/playground/$component" params={{ component: component.slug }} className="tile">
      <Group justify="space-between" gap="xs" wrap="nowrap" align="flex-start">
        <span className="tile-name">{component.name}</span>
        <Icon name={component.available ? "arrow" : "lock"} />
      </Group>
      <span className="tile-text">{component.description}</span>
      <Group gap={6} mt="auto">
        {!component.available && (
          <Badge variant="light" color="gray" tt="none">
            Not in your plan
          </Badge>
        )}
        {component.available && quota && (
          <Badge variant="light" color={quota.remaining === 0 ? "red" : "gray"} tt="none">
            {remainingSentence(quota, { locale: boot.locale })}
          </Badge>
        )}
        {component.provider === "demo" && <DemoBadge />}
      </Group>
    </Link>
  );
}

/** Demo answers are made by plain rules; they are labelled wherever they show. */
export function DemoBadge() {
  return (
    <Badge variant="light" color="yellow" tt="none">
      Demo answers
    </Badge>
  );
}
