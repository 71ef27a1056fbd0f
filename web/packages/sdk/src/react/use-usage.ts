import { useEffect, useSyncExternalStore } from "react";
import type { LiveState, Quota, Quotas, Resource, ResourceState, TollgateError } from "../core/index.js";
import { useTollgate } from "./provider.js";

export interface Usage {
  quotas: Quotas;
  loading: boolean;
  error?: TollgateError;
  connection: LiveState;
  refetch: () => Promise<void>;
}

/** All quotas of the signed-in customer, live. */
export function useUsage(): Usage {
  const { usage, usageFetch } = useTollgate();
  const { quotas, loaded, connection } = useSyncExternalStore(usage.subscribe, usage.get, usage.get);
  const { error } = useResource(usageFetch);
  // Once numbers are shown, the connection's state tells their age; a failed first fetch no longer matters.
  return {
    quotas,
    loading: !loaded && !error,
    error: loaded ? undefined : error,
    connection,
    refetch: usageFetch.refresh,
  };
}

/** One quota, live; undefined while it is not known or not granted. */
export function useQuota(feature: string): Quota | undefined {
  return useUsage().quotas[feature.replaceAll("-", "_")];
}

/** Follows a resource and makes sure that somebody fetches it. */
export function useResource<T>(resource: Resource<T>): ResourceState<T> {
  useEffect(() => resource.ensure(), [resource]);
  return useSyncExternalStore(resource.subscribe, resource.get, resource.get);
}
