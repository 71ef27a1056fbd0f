// Pure words and figures of a quota. No React, no clock: the caller gives `now`.
import type { Labels } from "./labels.js";
import { english } from "./labels.js";
import type { Notification, PlanFeature, Quota, QuotaStatus } from "./wire.js";

export type Tone = "green" | "yellow" | "red";

export interface Wording {
  labels?: Labels;
  locale?: string;
}

const RANK: Record<QuotaStatus, number> = { exceeded: 3, critical: 2, warning: 1, ok: 0 };
const TONE: Record<QuotaStatus, Tone> = { ok: "green", warning: "yellow", critical: "red", exceeded: "red" };

export function toneOf(status: QuotaStatus): Tone {
  return TONE[status];
}

export function statusWord(status: QuotaStatus, labels: Labels = english): string {
  if (status === "ok") return labels.ok;
  return status === "exceeded" ? labels.overLimit : labels.nearLimit;
}

/** What to do about it, in a sentence; nothing while there is nothing to do. */
export function advice(quota: Quota, labels: Labels = english): string | undefined {
  if (quota.status === "ok") return undefined;
  return quota.status === "exceeded" ? labels.limitReached : labels.approaching;
}

/** The share of the bar that is filled, 0 to 1; an unlimited quota has no share. */
export function fill(quota: Quota): number {
  if (quota.limit === null) return 0;
  return Math.min(1, Math.max(0, (quota.percentage ?? 0) / 100));
}

/**
 * An amount with its unit. Bytes are told in MB, or in GB from 100 GB on, where 1 MB is 1,000,000 bytes;
 * amounts that stand together take the step of the largest.
 */
export function amount(value: number, unit: string | null, locale?: string, largest = value): string {
  if (unit !== "bytes") return new Intl.NumberFormat(locale).format(value);
  const [divisor, name] = Math.abs(largest) >= 1e11 ? [1e9, "gigabyte"] : [1e6, "megabyte"];
  const format = { style: "unit", unit: name, maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(locale, format).format(value / divisor);
}

/** "87 / 100", or "87" alone where there is no limit. */
export function figures(quota: Quota, locale?: string): string {
  const { used, limit, unit } = quota;
  if (limit === null) return amount(used, unit, locale);
  return `${amount(used, unit, locale, limit)} / ${amount(limit, unit, locale)}`;
}

/** "You've used 87 / 100 analyses this month." */
export function usageSentence(quota: Quota, wording: Wording & { reset?: PlanFeature["reset"] } = {}): string {
  const labels = wording.labels ?? english;
  const noun = quota.unit === null || quota.unit === "bytes" ? undefined : quota.unit;
  const period = quota.resetsAt === null ? undefined : labels.periods[wording.reset ?? ""];
  return labels.used(figures(quota, wording.locale), noun, period);
}

export function remainingSentence(quota: Quota, { labels = english, locale }: Wording = {}): string {
  if (quota.remaining === null) return labels.unlimited;
  return labels.remaining(amount(quota.remaining, quota.unit, locale));
}

/** "Resets in 9 days (December 1, 2026)"; nothing where nothing resets. */
export function resetSentence(
  quota: Quota,
  now: number,
  { labels = english, locale }: Wording = {},
): string | undefined {
  if (quota.resetsAt === null || quota.resetDate === null) return undefined;
  return labels.resets(relative(Date.parse(quota.resetsAt) - now, locale), dateWords(quota.resetDate, locale));
}

/** "90 % of Invoice OCR is used" or "Invoice OCR is used up". */
export function notificationTitle(note: Notification, labels: Labels = english): string {
  return note.kind === "quota_reached"
    ? labels.quotaReached(note.name)
    : labels.quotaWarning(note.name, note.percentage);
}

/** "90 / 100", as it was then. */
export function notificationFigures({ used, limit, unit }: Notification, locale?: string): string {
  const figures = `${amount(used, unit, locale, limit)} / ${amount(limit, unit, locale)}`;
  return unit === null || unit === "bytes" ? figures : `${figures} ${unit}`;
}

/** How far an instant is away, in words; in the past when it is negative. */
export function relativeTime(ms: number, locale?: string): string {
  return relative(ms, locale);
}

/** A plain date (no time, no zone) in words. */
export function dateWords(date: string, locale?: string): string {
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeZone: "UTC" });
  return format.format(new Date(`${date.slice(0, 10)}T00:00:00Z`));
}

/** Nearest to trouble first; quotas that only switch something on or off are no meters. */
export function byRisk(quotas: Record<string, Quota>): Quota[] {
  return Object.values(quotas)
    .filter((quota) => quota.kind !== "flag")
    .sort(
      (a, b) =>
        RANK[b.status] - RANK[a.status] || (b.percentage ?? -1) - (a.percentage ?? -1) || a.name.localeCompare(b.name),
    );
}

/** The worst status there is, as the admin's table and a banner show it. */
export function worst(quotas: Record<string, Quota>): QuotaStatus {
  return byRisk(quotas)[0]?.status ?? "ok";
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

function relative(ms: number, locale?: string): string {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const [unit, size] = STEPS.find(([, step]) => Math.abs(ms) >= step) ?? ["minute", 60_000];
  return format.format(Math.round(ms / size), unit);
}
