import { Paper, Skeleton, Stack, Switch, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTollgate } from "@tollgate/react";
import { asTollgateError, type NotificationPreference, type TollgateClient } from "@tollgate/react/core";
import { ErrorCard } from "../ui/error-card";
import { Icon } from "../ui/icons";
import { Page } from "../ui/page";
import { labels, words } from "../ui/words";
import { NotificationTabs } from "./tabs";

const preferencesQuery = (client: TollgateClient) => ({
  queryKey: ["notification-preferences"],
  queryFn: () => client.notificationPreferences(),
});

/** What a user is told and in which ways; what is about money and security is shown with the reason why it stays. */
export function Preferences() {
  return (
    <Page title={labels.notifications} intro={words.preferencesIntro}>
      <NotificationTabs />
      <Content />
    </Page>
  );
}

function Content() {
  const { client } = useTollgate();
  const { data, error, refetch } = useQuery(preferencesQuery(client));
  if (error && !data) return <ErrorCard error={asTollgateError(error)} onRetry={() => void refetch()} />;
  if (!data) return <Skeleton height={320} radius="md" />;
  return (
    <Stack gap="lg">
      <Choices rows={data.filter(({ canSwitchOff }) => canSwitchOff)} />
      {(["money", "security"] as const).map((category) => (
        <Locked key={category} category={category} rows={data.filter((row) => row.category === category)} />
      ))}
    </Stack>
  );
}

interface Wish {
  kind: string;
  way: "email" | "app";
  on: boolean;
}

function Choices({ rows }: { rows: NotificationPreference[] }) {
  const { client } = useTollgate();
  const queryClient = useQueryClient();
  const { queryKey } = preferencesQuery(client);
  const change = useMutation({
    mutationFn: ({ kind, way, on }: Wish) => client.changeNotificationPreferences({ [kind]: { [way]: on } }),
    // Switches move under the finger; what the server says afterwards is what holds.
    onMutate: ({ kind, way, on }: Wish) =>
      queryClient.setQueryData<NotificationPreference[]>(queryKey, (held) =>
        held?.map((row) => (row.kind === kind ? { ...row, [way]: on } : row)),
      ),
    onSuccess: (data) => queryClient.setQueryData(queryKey, data),
    onError: () => queryClient.invalidateQueries({ queryKey }),
  });
  return (
    <Paper component="section" withBorder p="lg" className="surface" aria-labelledby="choices-title">
      <Title order={2} size="h4" id="choices-title">
        {words.youChoose}
      </Title>
      {change.error && <ErrorCard error={asTollgateError(change.error)} />}
      <ul className="wishes">
        {rows.map((row) => (
          <li key={row.kind}>
            <About kind={row.kind} />
            <div className="wish-ways">
              {(["email", "app"] as const).map((way) => (
                <Way key={way} row={row} way={way} onChange={(on) => change.mutate({ kind: row.kind, way, on })} />
              ))}
            </div>
          </li>
        ))}
      </ul>
      <span className="tg-sr" role="status">
        {change.isSuccess ? words.saved : ""}
      </span>
    </Paper>
  );
}

function Way(props: { row: NotificationPreference; way: "email" | "app"; onChange: (on: boolean) => void }) {
  const { row, way, onChange } = props;
  const name = way === "email" ? words.byEmail : words.inApp;
  const on = row[way];
  if (on === null) return null;
  return (
    <Switch
      label={name}
      aria-label={words.wish(name, titleOf(row.kind))}
      checked={on}
      onChange={(event) => onChange(event.currentTarget.checked)}
    />
  );
}

function Locked({ category, rows }: { category: "money" | "security"; rows: NotificationPreference[] }) {
  if (rows.length === 0) return null;
  return (
    <Paper component="section" withBorder p="lg" className="surface" aria-labelledby={`${category}-title`}>
      <Title order={2} size="h4" id={`${category}-title`}>
        {words.always[category]}
      </Title>
      <Text size="sm" c="dimmed">
        {words.alwaysText[category]}
      </Text>
      <ul className="wishes">
        {rows.map(({ kind }) => (
          <li key={kind}>
            <About kind={kind} />
            <span className="wish-locked">
              <Icon name="lock" size={16} />
              {words.byEmail}: {words.locked}
            </span>
          </li>
        ))}
      </ul>
    </Paper>
  );
}

function About({ kind }: { kind: string }) {
  return (
    <div className="wish-about">
      <span className="wish-name">{titleOf(kind)}</span>
      <span className="wish-text">{words.kinds[kind]?.[1]}</span>
    </div>
  );
}

function titleOf(kind: string): string {
  return words.kinds[kind]?.[0] ?? kind.replaceAll("_", " ");
}
