import { useSyncExternalStore } from "react";
import type { TollgateError } from "../core/index.js";
import { useTollgate } from "./provider.js";

export interface QuotaExceeded {
  /** The refusal to show, or null. */
  problem: TollgateError | null;
  /** Repeats the refused call, for after an upgrade. */
  retry: (() => void) | null;
  /** Shows a refusal because the user asked, however recently the last one was closed. */
  show: (problem: TollgateError, retry?: () => void) => void;
  dismiss: () => void;
}

/** The quota refusal that waits to be seen, from any metered call on the page. */
export function useQuotaExceeded(): QuotaExceeded {
  const { notice } = useTollgate();
  const { problem, retry } = useSyncExternalStore(notice.subscribe, notice.get, notice.get);
  return { problem, retry, show: notice.show, dismiss: notice.dismiss };
}
