import { Button, Group, Paper, Skeleton, Stack, Text } from "@mantine/core";
import { type Notifications, useNotifications } from "@tollgate/react";
import { NotificationList } from "@tollgate/react/components";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";
import { Page } from "../ui/page";
import { labels, words } from "../ui/words";
import { NotificationTabs } from "./tabs";

/** Everything the customer was told, the newest first. */
export function Inbox() {
  const inbox = useNotifications();
  return (
    <Page
      title={labels.notifications}
      intro={words.notificationsIntro}
      aside={
        inbox.unread > 0 && (
          <Button variant="default" onClick={() => void inbox.markAllRead()}>
            {labels.markAllRead}
          </Button>
        )
      }
    >
      <NotificationTabs />
      <Content inbox={inbox} />
    </Page>
  );
}

function Content({ inbox }: { inbox: Notifications }) {
  const { notifications, loading, error, hasMore, loadMore, markRead, refetch } = inbox;
  if (loading) return <Skeleton height={220} radius="md" />;
  return (
    <Stack gap="md">
      {error && <ErrorCard error={error} onRetry={refetch} />}
      {notifications.length > 0 && (
        <Paper withBorder className="surface note-box">
          <NotificationList
            notifications={notifications}
            onRead={(id) => void markRead(id)}
            labels={labels}
            locale={boot.locale}
          />
        </Paper>
      )}
      {notifications.length === 0 && !error && (
        <Paper withBorder p="lg" className="surface">
          <Text fw={600}>{words.noneYet}</Text>
          <Text size="sm" c="dimmed">
            {words.noneYetText}
          </Text>
        </Paper>
      )}
      {hasMore && (
        <Group>
          <Button variant="default" onClick={() => void loadMore()}>
            {words.loadMore}
          </Button>
        </Group>
      )}
    </Stack>
  );
}
