import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import {
  type ClientOptions,
  type Component,
  connectLive,
  createClient,
  createInbox,
  createResource,
  createUsageStore,
  type InboxStore,
  type LiveMessage,
  type MySubscription,
  type Plans,
  type Quotas,
  type Resource,
  type TollgateClient,
  type TollgateError,
  type UsageStore,
} from "../core/index.js";
import { createQuotaNotice, type QuotaNotice } from "./quota-notice.js";

export interface Tollgate {
  client: TollgateClient;
  usage: UsageStore;
  /** The first fetch of all quotas; what follows comes over the live connection. */
  usageFetch: Resource<Quotas>;
  subscription: Resource<MySubscription>;
  components: Resource<Component[]>;
  plans: Resource<Plans>;
  inbox: InboxStore;
  notice: QuotaNotice;
  /** Who follows the messages of the live connection: see `useLiveMessages`. */
  hearers: Set<(message: LiveMessage) => void>;
}

export interface TollgateProviderProps extends ClientOptions {
  children: ReactNode;
  /** Turn the live connection off, for example on a page that shows no meter. */
  live?: boolean;
  /** The sign-in is no longer good. */
  onSignedOut?: (error: TollgateError) => void;
}

const Context = createContext<Tollgate | null>(null);

/** Holds one client and one live connection for everything below it. Its options are read once. */
export function TollgateProvider(props: TollgateProviderProps) {
  const { children, live = true, onSignedOut } = props;
  const [tollgate] = useState(() => createTollgate(props));

  useEffect(() => {
    if (!live) return;
    const { client, usage, usageFetch, subscription, components, plans, inbox, hearers } = tollgate;
    const connection = connectLive(client, {
      onSnapshot: usage.replace,
      onQuotas: usage.merge,
      onState: usage.connection,
      onMessage: (message) => {
        // A feature may be granted no more, so the whole set is fetched. After a resync it comes by itself.
        const { type } = message;
        const changed = type === "subscription.updated" || type === "customer.updated" || type === "plan.updated";
        const stale = changed ? [usageFetch, subscription, components] : [subscription, components];
        if (changed || type === "resync") for (const resource of stale) void resource.refresh();
        if (plans.get().data && (changed || type === "resync")) void plans.refresh();
        if (type === "notification.created" || type === "resync") inbox.hear();
        for (const hear of hearers) hear(message);
      },
      onSignedOut,
    });
    return connection.close;
  }, [tollgate, live, onSignedOut]);

  return <Context.Provider value={tollgate}>{children}</Context.Provider>;
}

export function useTollgate(): Tollgate {
  const tollgate = useContext(Context);
  if (!tollgate) throw new Error("Put <TollgateProvider> above the components that use Tollgate.");
  return tollgate;
}

function createTollgate(options: ClientOptions): Tollgate {
  const client = createClient(options);
  const usage = createUsageStore();
  return {
    client,
    usage,
    usageFetch: createResource(() => client.usage(), usage.replace),
    subscription: createResource(() => client.subscription()),
    components: createResource(() => client.components()),
    plans: createResource(() => client.plans()),
    inbox: createInbox(client),
    notice: createQuotaNotice(),
    hearers: new Set(),
  };
}
