import type { LiveState } from "./live.js";
import { observable } from "./observable.js";
import type { Quota, Quotas } from "./wire.js";

export interface UsageState {
  quotas: Quotas;
  /** False until the first answer, from whichever side it comes. */
  loaded: boolean;
  connection: LiveState;
}

export type UsageStore = ReturnType<typeof createUsageStore>;

/**
 * Holds the newest quota of each feature. Answers of calls, live messages and polls arrive in any
 * order; the highest `version` of a feature wins, so an old answer never turns a meter back.
 */
export function createUsageStore() {
  const { get, set, subscribe } = observable<UsageState>({ quotas: {}, loaded: false, connection: "reconnecting" });

  return {
    get,
    subscribe,
    /** Some features changed; the others stay. */
    merge(quotas: Quotas) {
      const newer = Object.entries(quotas).filter(([feature, quota]) => isNewer(quota, get().quotas[feature]));
      if (newer.length > 0) set({ ...get(), quotas: { ...get().quotas, ...Object.fromEntries(newer) } });
    },
    /** The whole set: features that are missing are no longer granted. */
    replace(quotas: Quotas) {
      const kept = Object.entries(quotas).map(([feature, quota]) => {
        const held = get().quotas[feature];
        return [feature, held && !isNewer(quota, held) ? held : quota] as const;
      });
      set({ ...get(), quotas: Object.fromEntries(kept), loaded: true });
    },
    connection(connection: LiveState) {
      if (connection !== get().connection) set({ ...get(), connection });
    },
    /** Another user signed in: nothing of the last one may stay. */
    clear() {
      set({ ...get(), quotas: {}, loaded: false });
    },
  };
}

function isNewer(quota: Quota, held: Quota | undefined): boolean {
  return held === undefined || quota.version > held.version;
}
