import type { TollgateClient } from "./client.js";
import { observable } from "./observable.js";
import { asTollgateError, isAbort, type TollgateError } from "./problem.js";
import type { Notification } from "./wire.js";

export interface InboxState {
  /** The newest first, as far as they were fetched. */
  notifications: Notification[];
  /** How many of the whole inbox were not read. */
  unread: number;
  /** Whether there are older ones to fetch. */
  more: boolean;
  loaded: boolean;
  loading: boolean;
  error?: TollgateError;
}

export type InboxStore = ReturnType<typeof createInbox>;

const EMPTY: InboxState = { notifications: [], unread: 0, more: false, loaded: false, loading: false };

/** What the customer was told: fetched page by page, and again when something new is said. */
export function createInbox(client: TollgateClient) {
  const { get, set, subscribe } = observable(EMPTY);
  let newest = 0;
  let cursor: string | null = null;

  async function load(from?: string): Promise<void> {
    const mine = ++newest;
    set({ ...get(), loading: true });
    try {
      const page = await client.notifications(from ? { cursor: from } : {});
      if (mine !== newest) return;
      const { data, unread } = page;
      const held = get().notifications;
      // A fresh first page joins the older ones that are shown, unless so much is new that there is a gap between them.
      const seam = from ? -1 : held.findIndex(({ id }) => id === data.at(-1)?.id);
      if (seam < 0) cursor = page.nextCursor;
      const notifications = from ? [...held, ...data] : [...data, ...(seam < 0 ? [] : held.slice(seam + 1))];
      set({ notifications, unread, more: cursor !== null, loaded: true, loading: false });
    } catch (thrown) {
      if (mine === newest && !isAbort(thrown)) set({ ...get(), error: asTollgateError(thrown), loading: false });
    }
  }

  /** Marks one, or all of them, at once; if the server does not follow, what it has is shown again. */
  async function read(id?: string): Promise<void> {
    const readAt = new Date().toISOString();
    const marked = get().notifications.map((one) =>
      one.readAt === null && (id ?? one.id) === one.id ? { ...one, readAt } : one,
    );
    set({ ...get(), notifications: marked });
    try {
      const { unread } = await client.readNotifications(id);
      set({ ...get(), unread });
    } catch (thrown) {
      await load();
      if (!isAbort(thrown)) set({ ...get(), error: asTollgateError(thrown) });
    }
  }

  return {
    get,
    subscribe,
    read: (id: string) => read(id),
    readAll: () => read(),
    refresh: () => load(),
    more: () => (cursor ? load(cursor) : Promise.resolve()),
    /** Fetches if nobody has, or if the last try failed. */
    ensure() {
      if (newest === 0 || (!get().loading && get().error)) void load();
    },
    /** Something was said. Nothing is fetched for pages that show no inbox. */
    hear() {
      if (newest > 0) void load();
    },
  };
}
