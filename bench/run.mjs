// The benchmarks, side by side with their ceiling and their baselines, all on loopback.
//   node bench/run.mjs [SCENARIO…] [--quick] [--dry] [--dir FOLDER]
// Scenarios: uniform hot single ai sustained stored analytics importing rest; none named means all. --quick takes short rounds, some three
// minutes in all, and prints only; a full run writes docs/BENCHMARKS.md unless --dry is given. The stores lie in a new
// folder below --dir (the system's temporary folder), which should be on the disk that counts.
// Needs wrk, sqlite3, PostgreSQL, TOLLGATE_BIN and NAIVE_BIN: `make bench` sees to them.
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { startPostgres } from "./lib/postgres.mjs";
import { stopAll } from "./lib/process.mjs";
import { circumstances, write } from "./lib/report.mjs";
import * as scenarios from "./lib/scenarios.mjs";

const TMPFS = 0x01021994;
const ORDER = ["uniform", "hot", "single", "ai", "sustained", "stored", "analytics", "importing", "rest"];
const FULL = {
  rounds: 5,
  seconds: 5,
  subjects: 10_000,
  sustainedSeconds: 60,
  storedEvents: 10_000_000,
  idleSeconds: 10,
  analyticsSubscriptions: 100_000,
  analyticsCalls: 300,
  importCustomers: 40_000,
};
const QUICK = {
  rounds: 1,
  seconds: 3,
  subjects: 1_000,
  sustainedSeconds: 12,
  storedEvents: 200_000,
  idleSeconds: 3,
  analyticsSubscriptions: 5_000,
  analyticsCalls: 30,
  importCustomers: 20_000,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean" }, dry: { type: "boolean" }, dir: { type: "string", default: tmpdir() } },
});
const unknown = positionals.filter((name) => !ORDER.includes(name));
if (unknown.length > 0) throw new Error(`No scenario ${unknown.join(", ")}; there are ${ORDER.join(", ")}`);
const wanted = positionals.length > 0 ? ORDER.filter((name) => positionals.includes(name)) : ORDER;

const program = (variable, fallback) => {
  const path = resolve(process.env[variable] ?? join(import.meta.dirname, "..", fallback));
  if (!existsSync(path)) throw new Error(`No ${path}: run make bench, or name it in ${variable}`);
  return path;
};
const binary = program("TOLLGATE_BIN", "target/release/tollgate");
const naiveBinary = program("NAIVE_BIN", "target/naive-axum/release/naive-axum");

const folder = mkdtempSync(join(values.dir, "tollgate-bench-"));
chmodSync(folder, 0o755); // PostgreSQL runs as another user when this runs as root
if (statfsSync(folder).type === TMPFS) console.error(`${folder} is in memory: a sync costs nothing there. Use --dir.`);

let cluster;
async function cleanUp() {
  await stopAll();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => cleanUp().finally(() => process.exit(130)));

try {
  cluster = await startPostgres(join(folder, "postgresql"));
  const context = { ...(values.quick ? QUICK : FULL), binary, naiveBinary, folder, cluster };
  const command = ["make bench", positionals.length > 0 && `BENCH='${positionals.join(" ")}'`]
    .filter(Boolean)
    .join(" ");
  for (const name of wanted) {
    console.error(`── ${name}`);
    const text = await scenarios[name](context);
    console.log(`\n${name}\n\n${text}\n`);
    if (!values.quick && !values.dry) write(name, `${text}\n\n${circumstances(command)}`);
  }
} finally {
  await cleanUp();
}
