import { Alert, Anchor, Group, NativeSelect, Skeleton, Text } from "@mantine/core";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useAIComponent, useComponents, useQuotaExceeded, useSubscription, useUsage } from "@tollgate/react";
import { UsageMeter } from "@tollgate/react/components";
import type { Component } from "@tollgate/react/core";
import { useRef, useState } from "react";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";
import { Icon } from "../ui/icons";
import { Page } from "../ui/page";
import { DemoBadge } from "./catalog";
import { InputForm } from "./input-form";
import { Output } from "./output";

export function ComponentPage() {
  const { component: slug } = useParams({ from: "/signed-in/playground/$component" });
  const { components, loading, error, refetch } = useComponents();
  const found = components.find(({ key }) => key === slug.replaceAll("-", "_"));
  if (found) return <Runner key={found.key} component={found} />;
  if (error) {
    return (
      <Page title="Playground">
        <ErrorCard error={error} onRetry={refetch} />
      </Page>
    );
  }
  if (loading) return <Skeleton height={400} radius="md" />;
  return (
    <Page title="Component not found" intro={`There is no AI component "${slug}" here.`}>
      <Anchor component={Link} to="/playground">
        See all components
      </Anchor>
    </Page>
  );
}

function Runner({ component }: { component: Component }) {
  const ai = useAIComponent(component.key);
  const { show } = useQuotaExceeded();
  const { action: wanted } = useSearch({ from: "/signed-in/playground/$component" });
  const [started, setStarted] = useState(false);
  const output = useRef<HTMLElement>(null);
  const action = component.actions.find(({ name }) => name === wanted) ?? component.actions[0];
  if (!action)
    return (
      <Page title={component.name} intro="This component has no action yet.">
        {null}
      </Page>
    );

  function run(input: unknown) {
    setStarted(true);
    // On a phone the answer is below the form.
    if (output.current && output.current.getBoundingClientRect().top > innerHeight / 2) output.current.scrollIntoView();
    void ai.execute(input, { action: action?.name });
  }

  return (
    <Page
      title={component.name}
      intro={action.description || component.description}
      aside={<Labels component={component} />}
    >
      {!component.available && (
        <Alert color="gray" variant="light" icon={<Icon name="lock" />} title="Not in your plan" mb="lg">
          <Text size="sm">You can look at it here; runs are refused until your plan includes it.</Text>
        </Alert>
      )}
      <div className="runner">
        <div className="runner-side">
          <ActionChoice component={component} action={action.name} />
          <InputForm
            key={action.name}
            action={action}
            running={ai.loading}
            serverErrors={ai.error?.errors ?? []}
            onRun={run}
            onStop={ai.cancel}
          />
          <Cost component={component} />
        </div>
        <Output ref={output} ai={ai} schema={action.outputSchema} started={started} onShowQuota={show} />
      </div>
    </Page>
  );
}

function Labels({ component }: { component: Component }) {
  return (
    <Group gap="xs">
      {component.provider === "demo" ? (
        <DemoBadge />
      ) : (
        <Text size="sm" c="dimmed">
          {component.model}
        </Text>
      )}
    </Group>
  );
}

function ActionChoice({ component, action }: { component: Component; action: string }) {
  const navigate = useNavigate();
  if (component.actions.length < 2) return null;
  return (
    <NativeSelect
      label="Action"
      data={component.actions.map(({ name, description }) => ({ value: name, label: description || name }))}
      value={action}
      onChange={(event) => {
        const search = { action: event.currentTarget.value };
        void navigate({ to: ".", search, replace: true });
      }}
    />
  );
}

/** What a run draws, and how much of it is left, live. */
function Cost({ component }: { component: Component }) {
  const { quotas } = useUsage();
  const { plan } = useSubscription();
  const drawn = component.draws.flatMap(({ feature }) => quotas[feature] ?? []);
  if (drawn.length === 0) return null;
  return (
    <section className="meter-card" aria-label="Quota">
      {drawn.map((quota) => (
        <UsageMeter
          key={quota.feature}
          quota={quota}
          reset={plan?.features.find(({ feature }) => feature === quota.feature)?.reset}
          locale={boot.locale}
        />
      ))}
      <Text size="sm" c="dimmed" mt="xs">
        One run takes{" "}
        {component.draws.map(({ feature, amount }) => `${amount} of ${quotas[feature]?.name ?? feature}`).join(" and ")}
        .
      </Text>
    </section>
  );
}
