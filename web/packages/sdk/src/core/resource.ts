import { observable } from "./observable.js";
import { asTollgateError, isAbort, type TollgateError } from "./problem.js";

export interface ResourceState<T> {
  data?: T;
  error?: TollgateError;
  loading: boolean;
}

export type Resource<T> = ReturnType<typeof createResource<T>>;

/**
 * One thing that is fetched once and kept; older data stays visible while it is fetched again. `arrived` hears each answer
 * that is kept, so never one that a newer fetch has overtaken.
 */
export function createResource<T>(load: () => Promise<T>, arrived?: (data: T) => void) {
  const { get, set, subscribe } = observable<ResourceState<T>>({ loading: true });
  let newest = 0;

  async function refresh(): Promise<void> {
    const mine = ++newest;
    if (!get().loading) set({ ...get(), loading: true });
    try {
      const data = await load();
      if (mine !== newest) return;
      arrived?.(data);
      set({ data, loading: false });
    } catch (thrown) {
      if (mine === newest && !isAbort(thrown)) set({ ...get(), error: asTollgateError(thrown), loading: false });
    }
  }

  return {
    get,
    subscribe,
    refresh,
    /** Fetches if nobody has, or if the last try failed. */
    ensure() {
      if (newest === 0 || (!get().loading && get().error)) void refresh();
    },
  };
}
