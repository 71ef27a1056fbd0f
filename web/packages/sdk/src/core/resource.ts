import { asTollgateError, isAbort, type TollgateError } from "./problem.js";

export interface ResourceState<T> {
  data?: T;
  error?: TollgateError;
  loading: boolean;
}

export type Resource<T> = ReturnType<typeof createResource<T>>;

/** One thing that is fetched once and kept; older data stays visible while it is fetched again. */
export function createResource<T>(load: () => Promise<T>) {
  let state: ResourceState<T> = { loading: true };
  let newest = 0;
  const listeners = new Set<() => void>();

  function set(next: ResourceState<T>) {
    state = next;
    for (const listener of listeners) listener();
  }

  async function refresh(): Promise<void> {
    const mine = ++newest;
    if (!state.loading) set({ ...state, loading: true });
    try {
      const data = await load();
      if (mine === newest) set({ data, loading: false });
    } catch (thrown) {
      if (mine === newest && !isAbort(thrown)) set({ ...state, error: asTollgateError(thrown), loading: false });
    }
  }

  return {
    get: () => state,
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    refresh,
    /** Fetches if nobody has, or if the last try failed. */
    ensure() {
      if (newest === 0 || (!state.loading && state.error)) void refresh();
    },
  };
}
