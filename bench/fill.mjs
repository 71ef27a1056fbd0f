// Puts many old events into a store while its server is stopped, to see what history costs.
//   node bench/fill.mjs sqlite://PATH|postgres://… EVENTS
// It writes rows of usage_event, idempotency and counter as migrations/0001 has them: consumes of the tenant halisoft's
// customers s0 … sN in a period that ended long ago, in time order. A counter row of that period holds their sum, so
// `tollgate doctor --invariants` finds nothing. For benchmarks only: nothing but the gate writes these tables otherwise.
import { pathToFileURL } from "node:url";
import { run } from "./lib/process.mjs";

const DAY_MICROS = 86_400_000_000;
const CHUNK_EVENTS = 500_000;
const CHUNK_LIMIT_MS = 600_000;
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** How the two databases write what differs. */
const dialects = {
  sqlite: {
    series: (from, to) =>
      `(WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to - 1}) SELECT i FROM n)`,
    padded: "printf('%016d', i)",
    before: "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN;",
    after: "COMMIT;",
    finish: "PRAGMA wal_checkpoint(TRUNCATE);",
  },
  postgres: {
    series: (from, to) => `generate_series(${from}::bigint, ${to - 1}::bigint)`,
    padded: "lpad(i::text, 16, '0')",
    before: "SET synchronous_commit = off; BEGIN;",
    after: "COMMIT;",
    finish: "VACUUM ANALYZE usage_event; VACUUM ANALYZE idempotency; VACUUM ANALYZE counter; CHECKPOINT;",
  },
};

/** The first ten characters of an id made at this time: 48 bits of milliseconds behind two zero bits. */
function idHead(millis) {
  let head = "";
  for (let rest = millis, place = 0; place < 10; place++, rest = Math.floor(rest / 32))
    head = ALPHABET[rest % 32] + head;
  return head;
}

const SUBJECTS = `CREATE TEMP TABLE subject AS
  SELECT ROW_NUMBER() OVER (ORDER BY c.customer_id) - 1 AS n, COUNT(*) OVER () AS many, c.tenant_id, c.customer_id
  FROM customer c JOIN tenant t ON t.tenant_id = c.tenant_id AND t.slug = 'halisoft' WHERE c.external_id LIKE 's%';
  CREATE UNIQUE INDEX subject_n ON subject (n);`;

function chunk(dialect, made, from, to, count) {
  const { series, padded, before, after } = dialect;
  const [start, end] = [made * 1000 - 30 * DAY_MICROS, made * 1000 + DAY_MICROS];
  const numbers = `${series(from, to)} numbers${dialect === dialects.postgres ? "(i)" : ""}`;
  const subject = `JOIN subject s ON s.n = i % ${count}`;
  return `${SUBJECTS} ${before}
    INSERT INTO usage_event (tenant_id, event_id, line, node, customer_id, feature, source, period_start, period_end, kind,
      amount, hold, overrun, used_after, held_after, limit_value, credits_after, status_after, version, at, reservation_id, detail)
    SELECT s.tenant_id, 'evt_${idHead(made)}' || ${padded}, 0, 1, s.customer_id, 'invoice_ocr', 'plan', ${start}, ${end}, 'consume',
      1, 0, 0, i / ${count} + 1, 0, NULL, 0, 0, i / ${count} + 1, ${made * 1000} + i, NULL, NULL
    FROM ${numbers} ${subject};
    INSERT INTO idempotency (tenant_id, idem_key, request_hash, event_id, at)
    SELECT s.tenant_id, '${idHead(made)}' || ${padded}, 0, 'evt_${idHead(made)}' || ${padded}, ${made * 1000} + i
    FROM ${numbers} ${subject};
    INSERT INTO counter (tenant_id, customer_id, feature, source, period_start, used, held, next_expiry, version)
    SELECT s.tenant_id, s.customer_id, 'invoice_ocr', 'plan', ${start}, COUNT(*), 0, NULL, COUNT(*)
    FROM ${numbers} ${subject} WHERE true GROUP BY s.tenant_id, s.customer_id
    ON CONFLICT (tenant_id, customer_id, feature, source, period_start) DO UPDATE
      SET used = counter.used + excluded.used, version = counter.version + excluded.version;
    ${after}`;
}

export async function fill({ databaseUrl, events }) {
  const kind = databaseUrl.startsWith("sqlite://") ? "sqlite" : "postgres";
  const sql = (text) =>
    kind === "sqlite"
      ? run("sqlite3", ["-bail", databaseUrl.slice("sqlite://".length)], { input: text, limitMs: CHUNK_LIMIT_MS })
      : run("psql", [databaseUrl, "-qAt", "-v", "ON_ERROR_STOP=1"], { input: text, limitMs: CHUNK_LIMIT_MS });
  const count = Number((await sql(`${SUBJECTS} SELECT COUNT(*) FROM subject;`)).trim());
  if (count === 0) throw new Error("the store has no customers s0 … sN to fill for");
  const dialect = dialects[kind];
  // One moment for all chunks, so that they share a period and their ids go on from each other.
  const made = Date.now() - 60 * 86_400_000;
  for (let from = 0; from < events; from += CHUNK_EVENTS) {
    await sql(chunk(dialect, made, from, Math.min(from + CHUNK_EVENTS, events), count));
  }
  await sql(dialect.finish);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [databaseUrl, events] = process.argv.slice(2);
  await fill({ databaseUrl, events: Number(events) });
}
