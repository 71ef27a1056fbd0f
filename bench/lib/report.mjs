// Tables, and their places in docs/BENCHMARKS.md.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const page = join(root, "docs/BENCHMARKS.md");

export function table(head, rows) {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

export const whole = (number) => Math.round(number).toLocaleString("en-US");
export const milliseconds = (number) => number.toFixed(number < 10 ? 2 : 0);

/** Rates beside the ceiling and Express of the same rounds. */
export function comparison(results) {
  const rateOf = (name) => results.find((result) => result.name === name)?.rate;
  const ratio = (rate, base, digits) => (base ? (rate / base).toFixed(digits) : "");
  return table(
    ["contestant", "requests/s", "spread", "÷ ceiling", "× Express", "p50 ms", "p99 ms", "CPU µs/request"],
    results.map(({ label, rate, low, high, p50, p99, cpuMicros, failed }) => [
      failed > 0 ? `${label} (**${failed} failed**)` : label,
      whole(rate),
      `${low.toFixed(2)}-${high.toFixed(2)}`,
      ratio(rate, rateOf("ceiling"), 3),
      ratio(rate, rateOf("express"), 1),
      milliseconds(p50),
      milliseconds(p99),
      cpuMicros.toFixed(0),
    ]),
  );
}

function git(...args) {
  return execFileSync("git", ["-C", root, ...args], { encoding: "utf8" }).trim();
}

/** Where and how a figure was made. */
export function circumstances(command) {
  const changed = git("status", "--porcelain", "--", ".", ":!docs/BENCHMARKS.md") ? " with uncommitted changes" : "";
  const memory = Math.round(totalmem() / 2 ** 30);
  return (
    `Made ${new Date().toISOString().slice(0, 10)} at commit ${git("rev-parse", "--short", "HEAD")}${changed} by \`${command}\` ` +
    `on ${cpus().length} × ${cpus()[0].model.trim()}, ${memory} GiB, Linux ${release()}.`
  );
}

/** Replaces what stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`. */
export function write(name, text) {
  const [from, to] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const before = readFileSync(page, "utf8");
  const [start, end] = [before.indexOf(from), before.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`docs/BENCHMARKS.md has no ${from} … ${to}`);
  writeFileSync(page, `${before.slice(0, start + from.length)}\n${text}\n${before.slice(end)}`);
}
