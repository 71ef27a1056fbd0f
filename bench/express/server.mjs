// The briefs' own design as users write it, as the baseline: Express and pg, one look-up, one SUM, one INSERT.
//   DATABASE_URL=postgres://… node server.mjs PORT
import { randomUUID } from "node:crypto";
import express from "express";
import pg from "pg";

const POOL_CONNECTIONS = 20;
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: POOL_CONNECTIONS });
const app = express();
app.use(express.json());

app.post("/api/usage/consume", async (request, response) => {
  const { customer, items } = request.body;
  const [{ feature, amount }] = items;
  const plan = await pool.query(
    `SELECT f.limit_value FROM subscription s JOIN plan_feature f ON f.plan_id = s.plan_id
     WHERE s.user_id = $1 AND s.status = 'active' AND f.feature = $2 AND f.enabled`,
    [customer, feature],
  );
  if (plan.rowCount === 0) return response.status(403).json({ code: "feature-not-in-plan" });
  const limit = Number(plan.rows[0].limit_value);
  const usage = await pool.query(
    `SELECT COALESCE(SUM(value), 0) AS used FROM usage_tracking
     WHERE user_id = $1 AND feature = $2 AND created_at >= date_trunc('month', now())`,
    [customer, feature],
  );
  const used = Number(usage.rows[0].used) + amount;
  if (used > limit) return response.status(429).json({ code: "quota-exceeded", used, limit });
  await pool.query("INSERT INTO usage_tracking (user_id, feature, value) VALUES ($1, $2, $3)", [
    customer,
    feature,
    amount,
  ]);
  const percentage = Math.floor((used * 100) / limit);
  response.json({
    id: randomUUID(),
    allowed: true,
    quotas: { [feature]: { feature, used, reserved: 0, limit, remaining: limit - used, percentage, status: "ok" } },
  });
});

app.get("/healthz", (_request, response) => response.send("ok"));

const server = app.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  console.log(`ready http://127.0.0.1:${server.address().port}`);
});
