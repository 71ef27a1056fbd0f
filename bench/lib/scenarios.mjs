// What is measured. Each scenario answers the Markdown that stands in docs/BENCHMARKS.md under its name.
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fillAnalytics, unsummed } from "../analytics.mjs";
import { fill } from "../fill.mjs";
import * as contestants from "./contestants.mjs";
import { compare, median, round } from "./load.mjs";
import { residentMegabytes, sleep, stop } from "./process.mjs";
import { comparison, milliseconds, table, whole } from "./report.mjs";
import { serve, signIn, sqliteUrl, warmUp } from "./tollgate.mjs";

export { importing } from "./importing.mjs";

const CONNECTIONS = 64;

/** All contestants, started once for the scenarios that compare them all. */
async function everyone(context) {
  const { ceiling, sqlite, postgres, twoNodes, naiveAxum, express } = contestants;
  if (!context.everyone) {
    context.everyone = [];
    for (const make of [ceiling, sqlite, postgres, twoNodes, naiveAxum, express]) {
      context.everyone.push(await make(context));
    }
  }
  return context.everyone;
}

/** 64 connections, the subjects drawn evenly. */
export async function uniform(context) {
  const all = await everyone(context);
  const { rounds, seconds, subjects } = context;
  return comparison(await compare(all, rounds, { connections: CONNECTIONS, seconds, subjects, hot: false }));
}

/** 64 connections, all on one counter. */
export async function hot(context) {
  const all = await everyone(context);
  const { rounds, seconds, subjects } = context;
  return comparison(await compare(all, rounds, { connections: CONNECTIONS, seconds, subjects, hot: true }));
}

/** One connection alone, beside one raw fdatasync of the same disk. */
export async function single(context) {
  const all = (await everyone(context)).filter(({ urls }) => urls.length === 1);
  const { rounds, seconds, subjects, folder } = context;
  const options = { connections: 1, seconds, subjects, hot: false };
  const { sync, results } = await besideTheDisk(all, folder, (withDisk) => compare(withDisk, rounds, options));
  const row = ({ label, p50, p99 }) => [label, milliseconds(p50), milliseconds(p99), (p50 / sync.p50).toFixed(1)];
  return table(
    ["contestant", "p50 ms", "p99 ms", "p50 ÷ one raw fdatasync"],
    [row({ label: "raw fdatasync of a 4 KiB append", ...sync }), ...results.map(row)],
  );
}

/** One AI call after the other: what the gate adds to the demo upstream's own time. */
export async function ai(context) {
  const names = ["ceiling", "sqlite", "postgres"];
  const all = (await everyone(context)).filter(({ name }) => names.includes(name));
  const { rounds, seconds, subjects, folder } = context;
  const options = { connections: 1, seconds, subjects, hot: false, script: "analyze.lua" };
  const { sync, results } = await besideTheDisk(all, folder, (withDisk) => compare(withDisk, rounds, options));
  const without = results.find(({ name }) => name === "ceiling");
  const row = ({ label, p50, p99, failed }) => [
    failed > 0 ? `${label} (**${failed} failed**)` : label,
    milliseconds(p50),
    milliseconds(p99),
    milliseconds(p50 - without.p50),
    milliseconds(p99 - without.p99),
  ];
  const rows = results.map((result) =>
    row(result === without ? { ...result, label: "the same call without the gate" } : result),
  );
  const consumes = await compare(all, rounds, { ...options, script: "consume.lua" });
  const bare = consumes.find(({ name }) => name === "ceiling");
  for (const result of consumes) {
    if (result === bare) continue;
    const label = `${result.label}: one durable consume`;
    rows.push([label, ...[result.p50, result.p99, result.p50 - bare.p50, result.p99 - bare.p99].map(milliseconds)]);
  }
  const disk = ["raw fdatasync of a 4 KiB append", milliseconds(sync.p50), milliseconds(sync.p99), "", ""];
  return table(["contestant", "p50 ms", "p99 ms", "p50 added", "p99 added"], [...rows, disk]);
}

/** Measures contestants, and the disk's own syncs before each round. */
async function besideTheDisk([first, ...others], folder, measure) {
  const syncs = [];
  const results = await measure([{ ...first, beforeRound: () => syncs.push(...rawSyncs(folder)) }, ...others]);
  syncs.sort((a, b) => a - b);
  return { sync: { p50: syncs[Math.floor(syncs.length / 2)], p99: syncs[Math.floor(syncs.length * 0.99)] }, results };
}

function rawSyncs(folder) {
  const file = join(folder, "sync-probe");
  const page = Buffer.alloc(4096, 7);
  const descriptor = openSync(file, "w");
  const times = [];
  for (let number = 0; number < 500; number++) {
    writeSync(descriptor, page);
    const before = performance.now();
    fdatasyncSync(descriptor);
    times.push(performance.now() - before);
  }
  closeSync(descriptor);
  rmSync(file);
  return times;
}

/** One minute without a pause: its first and its last sixth. */
export async function sustained(context) {
  const { sustainedSeconds, subjects } = context;
  const part = Math.max(1, Math.round(sustainedSeconds / 6));
  const rows = [];
  for (const make of [contestants.sqlite, contestants.postgres]) {
    const contestant = await make(context, `sustained_${make.name}`);
    const rates = [];
    for (let number = 0; number < 6; number++) {
      rates.push((await round(contestant, { connections: CONNECTIONS, seconds: part, subjects, hot: false })).rate);
    }
    await Promise.all(contestant.servers.map(stop));
    rows.push([contestant.label, ...rates.map(whole), (rates.at(-1) / rates[0]).toFixed(2)]);
  }
  return table(
    ["contestant", ...[1, 2, 3, 4, 5, 6].map((n) => `${(n - 1) * part}-${n * part} s`), "last ÷ first"],
    rows,
  );
}

/** Beside a store that already holds many events. */
export async function stored(context) {
  const { rounds, seconds, subjects, storedEvents } = context;
  const rows = [];
  for (const make of [contestants.sqlite, contestants.postgres]) {
    const empty = await make(context, `empty_${make.name}`);
    const full = await make(context, `full_${make.name}`);
    await Promise.all(full.servers.map(stop));
    await fill({ databaseUrl: full.databaseUrl ?? sqliteUrl(full.home), events: storedEvents });
    const again = await restart(context, full);
    await warmUp(again.url, full.key, subjects);
    const pids = [again.pid, ...(full.databaseUrl ? [context.cluster.pid] : [])];
    const filled = {
      ...full,
      name: "full",
      label: `${full.label}, ${whole(storedEvents)} events`,
      urls: [again.url],
      pids,
    };
    const options = { connections: CONNECTIONS, seconds, subjects, hot: false };
    const results = await compare([{ ...empty, name: "empty" }, filled], rounds, options);
    for (const { label, rate, low, high, p50, p99 } of results) {
      const spread = `${low.toFixed(2)}-${high.toFixed(2)}`;
      rows.push([
        label,
        whole(rate),
        spread,
        (rate / results[0].rate).toFixed(2),
        milliseconds(p50),
        milliseconds(p99),
      ]);
    }
    await Promise.all([...empty.servers, again].map(stop));
  }
  return table(["contestant", "requests/s", "spread", "÷ empty", "p50 ms", "p99 ms"], rows);
}

function restart(context, { home, databaseUrl }) {
  return serve({ binary: context.binary, folder: home, databaseUrl: databaseUrl ?? sqliteUrl(home) });
}

const YEARS_AGO = new Date(Date.now() - 729 * 86_400_000).toISOString().slice(0, 10);
const ANSWERS = [
  ["revenue now", "revenue"],
  ["revenue a year ago", `revenue?at=${new Date(Date.now() - 365 * 86_400_000).toISOString()}`],
  ["revenue by day, two years", `revenue/series?from=${YEARS_AGO}`],
  ["revenue by month, two years", `revenue/series?from=${YEARS_AGO}&bucket=month`],
  ["use by feature and hour, 30 days", "usage?bucket=hour"],
  ["use by feature and day, two years", `usage?from=${YEARS_AGO}`],
  ["use of a feature by plan, 30 days", "usage?groupBy=plan&feature=invoice_ocr"],
  ["AI cost by component and month, two years", `usage?groupBy=component&bucket=month&from=${YEARS_AGO}`],
  ["AI cost by model, 30 days", "usage?groupBy=model"],
  ["customers by AI cost, this month", `usage?groupBy=customer&from=${new Date().toISOString().slice(0, 8)}01`],
  [
    "customers by use of a feature, this month",
    `usage?groupBy=customer&feature=invoice_ocr&from=${new Date().toISOString().slice(0, 8)}01`,
  ],
];

/** Each answer of the admin's figures, one call after the other, over two years of many subscriptions. */
export async function analytics(context) {
  const { folder, binary, cluster, analyticsSubscriptions, analyticsCalls } = context;
  const rows = [];
  for (const kind of ["SQLite", "PostgreSQL"]) {
    const home = join(folder, `analytics_${kind}`);
    const databaseUrl = kind === "SQLite" ? sqliteUrl(home) : await cluster.database("tollgate_analytics");
    await stop(await serve({ binary, folder: home, databaseUrl }));
    await fillAnalytics({ databaseUrl, subscriptions: analyticsSubscriptions });
    const server = await serve({ binary, folder: home, databaseUrl });
    const token = await signIn(server.url);
    while ((await unsummed({ databaseUrl })) > 0) await sleep(1000);
    for (const [label, path] of ANSWERS) {
      const times = await timed(`${server.url}/api/admin/metrics/${path}`, token, analyticsCalls);
      rows.push([kind, label, milliseconds(times[0]), milliseconds(times[1])]);
    }
    await stop(server);
  }
  return table(["database", "answer", "p50 ms", "p99 ms"], rows);
}

/** The median and the 99th percentile of some calls, after a few that do not count. */
async function timed(url, token, calls) {
  const times = [];
  for (let number = -5; number < calls; number++) {
    const before = performance.now();
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 300)}`);
    if (number >= 0) times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  return [times[Math.floor(times.length / 2)], times[Math.floor(times.length * 0.99)]];
}

/** What it costs to have it running: memory at rest, and the time from start to the first answer. */
export async function rest(context) {
  const { binary, folder, idleSeconds } = context;
  const home = join(folder, "rest");
  const options = { binary, folder: home, databaseUrl: sqliteUrl(home) };
  await stop(await serve(options));
  const starts = [];
  let megabytes = 0;
  for (let number = 0; number < 5; number++) {
    const server = await serve(options);
    starts.push(await firstAnswer(server));
    if (number === 4) {
      await sleep(idleSeconds * 1000);
      megabytes = residentMegabytes(server.pid);
    }
    await stop(server);
  }
  return table(
    ["Tollgate on SQLite with the demo data", "figure"],
    [
      [`resident memory after ${idleSeconds} s at rest`, `${megabytes.toFixed(1)} MB`],
      ["start of the process to the first 200 of /healthz, median of 5", `${median(starts).toFixed(0)} ms`],
    ],
  );
}

/** Milliseconds from the start of the process until /healthz answers 200. */
async function firstAnswer({ url, startedAt }) {
  for (let tries = 0; tries < 1000; tries++) {
    const answer = await fetch(`${url}/healthz`).catch(() => undefined);
    if (answer?.status === 200) return performance.now() - startedAt;
    await sleep(2);
  }
  throw new Error(`${url}/healthz never answered 200`);
}
