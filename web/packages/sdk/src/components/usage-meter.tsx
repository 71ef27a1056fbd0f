import { useId, useRef, useState } from "react";
import {
  advice,
  amount,
  english,
  figures,
  fill,
  type Labels,
  type PlanFeature,
  type Quota,
  remainingSentence,
  resetSentence,
  statusWord,
  toneOf,
  usageSentence,
} from "../core/index.js";
import { StatusIcon } from "./icons.js";

export interface UsageMeterProps {
  quota: Quota;
  /** The plan feature's reset period, to say "this month". */
  reset?: PlanFeature["reset"];
  labels?: Labels;
  locale?: string;
  /** The time to count the reset from; the reader's clock when left out. */
  now?: number;
  className?: string;
}

/** One quota as a bar with its figures, status, reset and what to do about it. */
export function UsageMeter({ quota, reset, labels = english, locale, now, className }: UsageMeterProps) {
  const id = useId();
  const wording = { labels, locale };
  const word = statusWord(quota.status, labels);
  const resets = resetSentence(quota, now ?? Date.now(), wording);
  const hint = advice(quota, labels);
  const sentence = usageSentence(quota, { ...wording, reset });
  const limited = quota.limit !== null;
  return (
    <div
      className={["tg-meter", className].filter(Boolean).join(" ")}
      data-tone={toneOf(quota.status)}
      data-unlimited={limited ? undefined : ""}
    >
      <div className="tg-meter-head">
        <span className="tg-meter-name" id={id}>
          {quota.name}
        </span>
        <span className="tg-badge">
          <StatusIcon status={quota.status} />
          {limited ? word : labels.unlimited}
        </span>
      </div>
      <Details quota={quota} wording={wording}>
        <div
          className="tg-track"
          role="meter"
          aria-labelledby={id}
          aria-valuemin={0}
          aria-valuemax={Math.max(quota.limit ?? quota.used, quota.used, 1)}
          aria-valuenow={quota.used}
          aria-valuetext={[sentence, word, resets].filter(Boolean).join(" ")}
        >
          <div className="tg-fill" style={{ transform: `scaleX(${fill(quota)})` }} />
        </div>
      </Details>
      <div className="tg-meter-foot">
        <Sentence text={sentence} figures={figures(quota, locale)} />
        {resets && <span className="tg-muted">{resets}</span>}
      </div>
      {hint && <p className="tg-hint">{hint}</p>}
      <LevelNotice text={labels.statusChanged(quota.name, word)} status={quota.status} />
    </div>
  );
}

/** The sentence with its figures set off; they flash when they change, not when the page arrives. */
function Sentence({ text, figures: shown }: { text: string; figures: string }) {
  const first = useRef(shown);
  const [before, after = ""] = text.split(shown, 2);
  return (
    <span>
      {before}
      <strong className="tg-figures" key={shown} data-changed={shown === first.current ? undefined : ""}>
        {shown}
      </strong>
      {after}
    </span>
  );
}

type Wordings = { labels: Labels; locale?: string };

/** The bar with a tooltip of the exact figures: on hover, on focus, and closed by Escape. */
function Details(props: { quota: Quota; wording: Wordings; children: React.ReactNode }) {
  const { quota, wording } = props;
  const { labels, locale } = wording;
  const id = useId();
  const [open, setOpen] = useState(false);
  const lines = [
    figures(quota, locale) + (quota.percentage === null ? "" : ` (${quota.percentage} %)`),
    remainingSentence(quota, wording),
    quota.reserved > 0 && labels.reserved(amount(quota.reserved, quota.unit, locale)),
    quota.credits > 0 && labels.credits(amount(quota.credits, quota.unit, locale)),
    quota.resetsAt === null ? labels.neverResets : exactTime(quota.resetsAt, locale),
  ].filter(Boolean);
  return (
    // Hovering is a shortcut; the button is the keyboard's way.
    <div className="tg-bar" onPointerEnter={() => setOpen(true)} onPointerLeave={() => setOpen(false)}>
      {props.children}
      <button
        type="button"
        className="tg-info"
        aria-label={labels.detailsOf(quota.name)}
        aria-describedby={open ? id : undefined}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onClick={() => setOpen(true)}
        onKeyDown={(event) => event.key === "Escape" && setOpen(false)}
      >
        i
      </button>
      {open && (
        <div className="tg-tip" role="tooltip" id={id}>
          {lines.map((line) => (
            <div key={String(line)}>{line}</div>
          ))}
        </div>
      )}
    </div>
  );
}

/** Tells a screen reader when the level changes, and only then: not at each tick, not on arrival. */
function LevelNotice({ text, status }: { text: string; status: Quota["status"] }) {
  const first = useRef(status);
  const changed = useRef(false);
  if (status !== first.current) changed.current = true;
  return (
    <span className="tg-sr" role="status">
      {changed.current ? text : ""}
    </span>
  );
}

function exactTime(instant: string, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" }).format(new Date(instant));
}
