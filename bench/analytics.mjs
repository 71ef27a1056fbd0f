// Puts two years of 100,000 subscriptions and the sums that 50 million events would have left into a store while its
// server is stopped. The sums of use are written directly; those of revenue are made by the server's own job.
// For benchmarks only: nothing but the gate's follower writes the tables of use otherwise.
import { run } from "./lib/process.mjs";

const DAY = 86_400_000_000;
const DAYS = 730;
const LIMIT_MS = 1_200_000;
const FEATURES = [
  "invoice_ocr",
  "risk_assessment",
  "audit_assistant",
  "contract_review",
  "expense_categorization",
  "cash_flow_forecast",
];
const PLANS = ["starter", "professional", "enterprise"];
/** What each plan brings in a year, in cents. */
const WORTH = [358_800, 958_800, 3_600_000];

const dialects = {
  sqlite: {
    series: (count) =>
      `(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1}) SELECT i FROM n)`,
    padded: "printf('%08d', i)",
    before: "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN;",
    finish: "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);",
  },
  postgres: {
    series: (count) => `generate_series(0::bigint, ${count - 1}::bigint)`,
    padded: "lpad(i::text, 8, '0')",
    before: "SET synchronous_commit = off; BEGIN;",
    finish: "COMMIT; VACUUM ANALYZE;",
  },
};

const cases = (values, by) => `CASE ${by} ${values.map((value, n) => `WHEN ${n} THEN ${value}`).join(" ")} END`;
const quoted = (names) => names.map((name) => `'${name}'`);

/** Each subscription begins, every third takes the next plan after 90 days, every tenth of all ends after 180. */
function changes(numbers, dialect, now, subscriptions) {
  const began = `${now - DAYS * DAY} + i * ${Math.floor((DAYS * DAY) / subscriptions)}`;
  const plan = (name) => `(SELECT plan_id FROM plan p WHERE p.tenant_id = t.tenant_id AND p.slug = '${name}')`;
  const planOf = cases(PLANS.map(plan), "i % 3");
  const next = cases([PLANS[1], PLANS[2], PLANS[2]].map(plan), "i % 3");
  const [worth, nextWorth] = [cases(WORTH, "i % 3"), cases([WORTH[1], WORTH[2], WORTH[2]], "i % 3")];
  const columns =
    "tenant_id, change_id, at, subscription_id, customer_id, cause, actor, status_before, status_after, plan_before, plan_after, currency, annual_before, annual_after, movement";
  const ids = `'sub_' || ${dialect.padded}, 'cus_' || ${dialect.padded}`;
  const select = (kind, at, where, rest) =>
    `INSERT INTO subscription_change (${columns}) SELECT t.tenant_id, 'chg_${kind}' || ${dialect.padded}, ${at}, ${ids}, 'bench', 'bench', ${rest} FROM ${numbers} JOIN tenant t ON t.slug = 'halisoft' WHERE ${at} < ${now} AND ${where};`;
  return [
    select("a", began, "true", `NULL, 'active', NULL, ${planOf}, 'USD', 0, ${worth}, 'new'`),
    select(
      "b",
      `${began} + ${90 * DAY}`,
      "i % 9 = 0 AND i % 10 <> 1",
      `'active', 'active', ${planOf}, ${next}, 'USD', ${worth}, ${nextWorth}, 'expansion'`,
    ),
    select(
      "c",
      `${began} + ${180 * DAY}`,
      "i % 10 = 1",
      `'active', 'expired', ${planOf}, ${planOf}, 'USD', ${worth}, 0, 'churn'`,
    ),
    `INSERT INTO customer (tenant_id, customer_id, anchor, suspended, entitlement_version, created_at) SELECT t.tenant_id, 'cus_' || ${dialect.padded}, ${began}, false, 1, ${began} FROM ${numbers} JOIN tenant t ON t.slug = 'halisoft' WHERE true;`,
    `INSERT INTO subscription (tenant_id, subscription_id, customer_id, plan_id, status, period_start, created_at) SELECT t.tenant_id, ${ids}, ${planOf}, CASE WHEN i % 10 = 1 AND ${began} + ${180 * DAY} < ${now} THEN 'expired' ELSE 'active' END, ${began}, ${began} FROM ${numbers} JOIN tenant t ON t.slug = 'halisoft' WHERE true;`,
  ].join("\n");
}

function use(dialect, now, subscriptions) {
  const today = now - (now % DAY);
  const [feature, plan] = [
    cases(quoted(FEATURES), "(i / 3) % 6"),
    "(SELECT plan_id FROM plan p WHERE p.tenant_id = t.tenant_id AND p.slug = PLAN)",
  ];
  const planOf = plan.replace("PLAN", cases(quoted(PLANS), "i % 3"));
  const series = (count) => `${dialect.series(count)} numbers${dialect === dialects.postgres ? "(i)" : ""}`;
  const from = (count) => `FROM ${series(count)} JOIN tenant t ON t.slug = 'halisoft' WHERE true ON CONFLICT DO NOTHING;`;
  const months = [0, 1, 2].map((back) => {
    const date = new Date(now / 1000);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - back) * 1000;
  });
  const parts = [
    // 50,000,000 events ÷ 17,520 hours ÷ 18 rows of each hour.
    `INSERT INTO usage_hour (tenant_id, hour, feature, plan_id, used, events) SELECT t.tenant_id, ${today} - (i / 18) * 3600000000, ${feature}, ${planOf}, 158, 158 ${from(DAYS * 24 * 18)}`,
    `INSERT INTO usage_day (tenant_id, day, feature, plan_id, used, events) SELECT t.tenant_id, ${today} - (i / 18) * ${DAY}, ${feature}, ${planOf}, 3805, 3805 ${from(DAYS * 18)}`,
    `INSERT INTO ai_day (tenant_id, day, component, model, plan_id, calls, input_tokens, output_tokens, cost_micros) SELECT t.tenant_id, ${today} - (i / 36) * ${DAY}, ${feature}, CASE (i / 18) % 2 WHEN 0 THEN 'small' ELSE 'great' END, ${planOf}, 1902, 2000000, 300000, 12000000 ${from(DAYS * 36)}`,
  ];
  for (const month of months) {
    parts.push(
      `INSERT INTO ai_customer_month (tenant_id, month, customer_id, calls, input_tokens, output_tokens, cost_micros) SELECT t.tenant_id, ${month}, 'cus_' || ${dialect.padded}, 20, 20000, 3000, 1000 + i * 7919 % 100003 ${from(subscriptions)}`,
    );
    for (const name of FEATURES) {
      parts.push(
        `INSERT INTO usage_customer_month (tenant_id, feature, month, customer_id, used, events) SELECT t.tenant_id, '${name}', ${month}, 'cus_' || ${dialect.padded}, 1 + i * 7919 % 1009, 4 ${from(subscriptions)}`,
      );
    }
  }
  return parts.join("\n");
}

function client(databaseUrl) {
  const kind = databaseUrl.startsWith("sqlite://") ? "sqlite" : "postgres";
  const sql = (text) =>
    kind === "sqlite"
      ? run("sqlite3", ["-bail", databaseUrl.slice("sqlite://".length)], { input: text, limitMs: LIMIT_MS })
      : run("psql", [databaseUrl, "-qAt", "-v", "ON_ERROR_STOP=1"], { input: text, limitMs: LIMIT_MS });
  return { dialect: dialects[kind], sql };
}

/** Fills a stopped store. */
export async function fillAnalytics({ databaseUrl, subscriptions }) {
  const { dialect, sql } = client(databaseUrl);
  const now = Date.now() * 1000;
  const numbers = `${dialect.series(subscriptions)} numbers${dialect === dialects.postgres ? "(i)" : ""}`;
  await sql(
    `${dialect.before} ${changes(numbers, dialect, now, subscriptions)} ${use(dialect, now, subscriptions)} ${dialect.finish}`,
  );
}

/** How many changes the server has not summed yet. */
export async function unsummed({ databaseUrl }) {
  return Number(
    (await client(databaseUrl).sql("SELECT COUNT(*) FROM subscription_change WHERE rolled = FALSE;")).trim(),
  );
}
