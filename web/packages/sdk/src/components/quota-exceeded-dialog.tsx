import { useEffect, useId, useRef } from "react";
import { amount, english, type Labels, type ProblemAction, type TollgateError } from "../core/index.js";
import { UsageMeter } from "./usage-meter.js";

export interface QuotaExceededDialogProps {
  /** The refusal; the dialog is open while there is one. `useQuotaExceeded()` gives it. */
  problem: TollgateError | null;
  onClose: () => void;
  /** What a button does whose action has no address of its own. */
  onAction?: (action: ProblemAction) => void;
  labels?: Labels;
  locale?: string;
  now?: number;
  /** Shown below the actions, for example why one of them is not open to this user. */
  note?: React.ReactNode;
}

/** Says what ran out, when it comes back and what the user can do, in a native modal dialog. */
export function QuotaExceededDialog({ problem, ...rest }: QuotaExceededDialogProps) {
  return problem ? <OpenDialog problem={problem} {...rest} /> : null;
}

function OpenDialog(props: QuotaExceededDialogProps & { problem: TollgateError }) {
  const { problem, onClose, onAction, labels = english, locale, now, note } = props;
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const notes = useRef<HTMLParagraphElement>(null);
  const id = useId();

  useEffect(() => {
    const dialog = ref.current;
    const opener = document.activeElement;
    dialog?.showModal();
    // The words first; the browser itself would pick the first button.
    heading.current?.focus();
    return () => {
      dialog?.close();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);

  const noted = Boolean(note);
  useEffect(() => {
    // On a phone it comes below what fits.
    if (noted) notes.current?.scrollIntoView?.({ block: "nearest" });
  }, [noted]);

  const { quota } = problem;
  const wording = { labels, locale };
  return (
    <dialog
      ref={ref}
      className="tg-dialog"
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-text`}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h2 id={`${id}-title`} ref={heading} tabIndex={-1}>
        {labels.dialogTitle}
      </h2>
      <p id={`${id}-text`}>{quota?.remaining === 0 ? labels.dialogUsedUp(quota.name) : problem.message}</p>
      {quota && <UsageMeter quota={quota} {...wording} now={now} />}
      <Plans actions={problem.actions} unit={quota?.unit ?? null} labels={labels} locale={locale} />
      <div className="tg-actions">
        {problem.actions.map((action, index) => (
          <ActionButton key={action.type} action={action} primary={index === 0} labels={labels} onAction={onAction} />
        ))}
        <button type="button" className="tg-button" onClick={onClose}>
          {labels.close}
        </button>
      </div>
      {note && (
        <p ref={notes} className="tg-note" role="status">
          {note}
        </p>
      )}
      {problem.instance && <p className="tg-muted tg-small">{labels.requestId(problem.instance)}</p>}
    </dialog>
  );
}

function Plans(props: { actions: ProblemAction[]; unit: string | null; labels: Labels; locale?: string }) {
  const { labels, unit, locale } = props;
  const plans = props.actions.flatMap((action) => action.plans ?? []);
  if (plans.length === 0) return null;
  const limitOf = (limit: number | null) => {
    if (limit === null) return labels.unlimited;
    return [amount(limit, unit, locale), unit === "bytes" ? "" : unit].filter(Boolean).join(" ");
  };
  return (
    <div className="tg-plans">
      <h3>{labels.dialogPlans}</h3>
      <ul>
        {plans.map((plan) => (
          <li key={plan.slug}>{labels.dialogPlan(plan.name, limitOf(plan.limit))}</li>
        ))}
      </ul>
    </div>
  );
}

function ActionButton(props: {
  action: ProblemAction;
  primary: boolean;
  labels: Labels;
  onAction?: (action: ProblemAction) => void;
}) {
  const { action, primary, labels, onAction } = props;
  const words: Partial<Record<string, string>> = {
    upgrade: labels.upgrade,
    topUp: labels.topUp,
    contactSales: labels.contactSales,
    delete: labels.deleteSome,
  };
  const className = primary ? "tg-button tg-primary" : "tg-button";
  const text = words[action.type] ?? action.label;
  if (action.href) {
    return (
      <a className={className} href={action.href}>
        {text}
      </a>
    );
  }
  return (
    <button type="button" className={className} onClick={() => onAction?.(action)}>
      {text}
    </button>
  );
}
