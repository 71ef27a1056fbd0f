// How much memory and time an export of many users takes: plants them in a new SQLite store, and reads the export.
//   TOLLGATE_BIN=target/release/tollgate node bench/export.mjs [USERS]     (1,000,000 by default)
// Each user has a customer on Starter. It prints bytes, rows, seconds and the most memory that the server had.
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, start, stop, stopAll } from "./lib/process.mjs";

const PLANT_LIMIT_MS = 600_000;
const users = Number(process.argv[2] ?? 1_000_000);
const binary = process.env.TOLLGATE_BIN ?? "target/release/tollgate";
const folder = mkdtempSync(join(tmpdir(), "tollgate-export-"));
const password = randomBytes(12).toString("base64url");
const serve = () =>
  start(binary, ["serve", "--demo", "--listen", "127.0.0.1:0", "--data", folder], { TOLLGATE_DEMO_PASSWORD: password });

const tenant = "(SELECT tenant_id FROM tenant WHERE slug = 'halisoft')";
const plan = "(SELECT plan_id FROM plan WHERE slug = 'starter')";
const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${users})`;
const plant = `PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN;
  ${numbers} INSERT INTO customer (tenant_id, customer_id, external_id, name, anchor, suspended, entitlement_version, created_at)
    SELECT ${tenant}, printf('cus_%026d', i), 'e' || i, 'Customer ' || i, 0, 0, 1, 0 FROM n;
  ${numbers} INSERT INTO customer_summary (tenant_id, customer_id, worst, near, valid_until, catalog, version)
    SELECT ${tenant}, printf('cus_%026d', i), 0, 0, 9000000000000000000, 0, 0 FROM n;
  ${numbers} INSERT INTO subscription (tenant_id, subscription_id, customer_id, plan_id, status, period_start, created_at)
    SELECT ${tenant}, printf('sub_%026d', i), printf('cus_%026d', i), ${plan}, 'active', 0, 0 FROM n;
  ${numbers} INSERT INTO user_account (tenant_id, user_id, email, name, password_hash, role, customer_id, verified, created_at)
    SELECT ${tenant}, printf('usr_%026d', i), 'u' || i || '@long.example', 'User ' || i, 'x', 'user', printf('cus_%026d', i), 1, 0 FROM n;
  COMMIT; PRAGMA wal_checkpoint(TRUNCATE);`;

try {
  await stop(await serve());
  await run("sqlite3", ["-bail", join(folder, "tollgate.db")], { input: plant, limitMs: PLANT_LIMIT_MS });
  const server = await serve();
  const login = await fetch(`${server.url}/api/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: "admin@halisoft.example", password }),
  });
  const { accessToken } = await login.json();
  for (const format of ["csv", "json"]) {
    const began = performance.now();
    const headers = { authorization: `Bearer ${accessToken}` };
    const answer = await fetch(`${server.url}/api/admin/users?format=${format}`, { headers });
    let bytes = 0;
    for await (const piece of answer.body) bytes += piece.length;
    const peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]) / 1024;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const rows = answer.headers.get("x-total-count");
    console.log(`${format}: ${rows} rows, ${bytes} bytes, ${seconds} s, at most ${peak.toFixed(0)} MB`);
  }
} finally {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
}
