import type { TollgateError } from "../core/index.js";

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
  let state = NOTHING;
  let dismissed = { feature: "", at: Number.NEGATIVE_INFINITY };
  const listeners = new Set<() => void>();

  function set(next: QuotaNoticeState) {
    state = next;
    for (const listener of listeners) listener();
  }

  return {
    get: () => state,
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
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
      dismissed = { feature: state.problem?.quota?.feature ?? "", at: Date.now() };
      set(NOTHING);
    },
  };
}
