import type { TollgateError } from "../core/index.js";
import { observable } from "../core/observable.js";

export interface QuotaNoticeState {
  problem: TollgateError | null;
  /** Repeats the refused call, for after an upgrade. */
  retry: (() => void) | null;
}

export type QuotaNotice = ReturnType<typeof createQuotaNotice>;

const QUIET_MS = 60_000;
const NOTHING: QuotaNoticeState = { problem: null, retry: null };

/** Remembers the last quota refusal until the user has seen it, wherever on the page it happened. */
export function createQuotaNotice() {
  const { get, set, subscribe } = observable(NOTHING);
  let dismissed = { feature: "", at: Number.NEGATIVE_INFINITY };

  return {
    get,
    subscribe,
    /** A call was refused. The same feature does not interrupt twice within a minute. */
    report(problem: TollgateError, retry?: () => void) {
      const quiet = dismissed.feature === problem.quota?.feature && Date.now() - dismissed.at < QUIET_MS;
      if (!quiet) set({ problem, retry: retry ?? null });
    },
    /** The user asked to see it. */
    show(problem: TollgateError, retry?: () => void) {
      set({ problem, retry: retry ?? null });
    },
    dismiss() {
      dismissed = { feature: get().problem?.quota?.feature ?? "", at: Date.now() };
      set(NOTHING);
    },
  };
}
