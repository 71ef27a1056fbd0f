import { english, type Labels, type LiveState } from "../core/index.js";

/** Says whether the numbers beside it are of this moment. */
export function ConnectionBadge({ state, labels = english }: { state: LiveState; labels?: Labels }) {
  return (
    <span className="tg-connection" data-state={state} role="status">
      <span className="tg-dot" aria-hidden="true" />
      {labels.connection[state]}
    </span>
  );
}
