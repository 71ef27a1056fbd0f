import type { QuotaStatus } from "../core/index.js";

const PATHS: Record<QuotaStatus, string> = {
  ok: "M5 12.5l4.5 4.5L19 7.5",
  warning: "M12 8v5m0 3.5v.01M10.3 4.3L2.8 17.5A2 2 0 0 0 4.5 20.5h15a2 2 0 0 0 1.7-3L13.7 4.3a2 2 0 0 0-3.4 0z",
  critical: "M12 8v5m0 3.5v.01M10.3 4.3L2.8 17.5A2 2 0 0 0 4.5 20.5h15a2 2 0 0 0 1.7-3L13.7 4.3a2 2 0 0 0-3.4 0z",
  exceeded: "M8 2.5h8L21.5 8v8L16 21.5H8L2.5 16V8zM9 9l6 6m0-6l-6 6",
};

/** The shape says the status too, so that the color is never alone. */
export function StatusIcon({ status }: { status: QuotaStatus }) {
  return (
    <svg className="tg-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[status]} />
    </svg>
  );
}
