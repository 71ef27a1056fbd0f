import { useEffect, useSyncExternalStore } from "react";
import type { Notification, TollgateError } from "../core/index.js";
import { useTollgate } from "./provider.js";

export interface Notifications {
  /** The newest first, as far as they were fetched. */
  notifications: Notification[];
  /** How many of the whole inbox were not read; moves live. */
  unread: number;
  loading: boolean;
  error?: TollgateError;
  /** Whether there are older ones; `loadMore` fetches them. */
  hasMore: boolean;
  loadMore: () => Promise<void>;
  markRead: (id: string) => Promise<void>;
  markAllRead: () => Promise<void>;
  refetch: () => Promise<void>;
}

/** The inbox of the signed-in customer, live. */
export function useNotifications(): Notifications {
  const { inbox } = useTollgate();
  useEffect(() => inbox.ensure(), [inbox]);
  const { notifications, unread, more, loaded, error } = useSyncExternalStore(inbox.subscribe, inbox.get, inbox.get);
  return {
    notifications,
    unread,
    loading: !loaded && !error,
    error,
    hasMore: more,
    loadMore: inbox.more,
    markRead: inbox.read,
    markAllRead: inbox.readAll,
    refetch: inbox.refresh,
  };
}
