import type { Component, Plan, Quotas, Subscription, TollgateError } from "../core/index.js";
import { useTollgate } from "./provider.js";
import { useResource, useUsage } from "./use-usage.js";

export interface SubscriptionAnswer {
  subscription: Subscription | null;
  plan: Plan | null;
  /** An admin stopped the customer: every call is refused until it is let in again. */
  suspended: boolean;
  usage: Quotas;
  loading: boolean;
  error?: TollgateError;
  refetch: () => Promise<void>;
}

/** The customer's plan and subscription, fetched again when the server says that they changed. */
export function useSubscription(): SubscriptionAnswer {
  const { subscription } = useTollgate();
  const { data, error, loading } = useResource(subscription);
  return {
    subscription: data?.subscription ?? null,
    plan: data?.plan ?? null,
    suspended: data?.suspended ?? false,
    usage: useUsage().quotas,
    loading: loading && data === undefined,
    error,
    refetch: subscription.refresh,
  };
}

export interface ComponentsAnswer {
  components: Component[];
  loading: boolean;
  error?: TollgateError;
  refetch: () => Promise<void>;
}

/** The AI components of the tenant; those outside the plan have `available: false`. */
export function useComponents(): ComponentsAnswer {
  const { components } = useTollgate();
  const { data, error, loading } = useResource(components);
  return { components: data ?? [], loading: loading && data === undefined, error, refetch: components.refresh };
}
