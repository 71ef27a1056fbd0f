// One round of load by wrk on one or more servers at once.
import { join } from "node:path";
import { cpuMicros, run } from "./process.mjs";

const bench = join(import.meta.dirname, "..");

/** Connections are shared out evenly over the contestant's servers. */
export async function round(contestant, { connections, seconds, subjects, hot, script = "consume.lua" }) {
  const { urls, pids, key } = contestant;
  const each = Math.max(1, Math.floor(connections / urls.length));
  const threads = Math.min(each, urls.length > 1 ? 1 : 2);
  const before = cpuMicros(pids);
  const results = await Promise.all(
    urls.map(async (url) => {
      const args = [`-t${threads}`, `-c${each}`, `-d${seconds}s`, "--timeout", "10s", "-s", join(bench, script), url];
      const printed = await run("wrk", [...args, "--", String(subjects), hot ? "1" : "0", key ?? ""], {
        limitMs: (seconds + 30) * 1000,
      });
      return JSON.parse(/^RESULT (.*)$/m.exec(printed)[1]);
    }),
  );
  const cpu = cpuMicros(pids) - before;
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  return {
    rate: results.reduce((sum, { requests, microseconds }) => sum + (requests * 1e6) / microseconds, 0),
    p50: Math.max(...results.map((result) => result.p50)) / 1000,
    p99: Math.max(...results.map((result) => result.p99)) / 1000,
    cpuMicros: requests > 0 ? cpu / requests : 0,
    failed: results.reduce((sum, { refused, broken }) => sum + refused + broken, 0),
  };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Interleaved rounds: what disturbs the machine disturbs every contestant alike. */
export async function compare(contestants, rounds, options) {
  const measured = new Map(contestants.map(({ name }) => [name, []]));
  // One short round that is not counted: connections, plans and caches of everybody are warm after it.
  for (const contestant of contestants) await round(contestant, { ...options, seconds: 1 });
  for (let number = 0; number < rounds; number++) {
    for (const contestant of contestants) {
      await contestant.beforeRound?.();
      const result = await round(contestant, options);
      process.stderr.write(`  ${contestant.name}: ${Math.round(result.rate)}/s\n`);
      measured.get(contestant.name).push(result);
    }
  }
  return contestants.map(({ name, label }) => summarize(name, label, measured.get(name)));
}

function summarize(name, label, results) {
  const of = (field) => results.map((result) => result[field]);
  const rate = median(of("rate"));
  return {
    name,
    label,
    rate,
    low: Math.min(...of("rate")) / rate,
    high: Math.max(...of("rate")) / rate,
    p50: median(of("p50")),
    p99: median(of("p99")),
    cpuMicros: median(of("cpuMicros")),
    failed: of("failed").reduce((sum, failed) => sum + failed, 0),
  };
}
