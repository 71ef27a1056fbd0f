-- The briefs' own design as users write it, for the baselines (bench/express, bench/naive-axum): a plan's limit is
-- looked up, use is summed, a row is inserted. 10,000 subjects, each with 100 rows of use in the running month.
CREATE TABLE plan_feature (
  plan_id INTEGER NOT NULL,
  feature TEXT NOT NULL,
  enabled BOOLEAN NOT NULL,
  limit_value BIGINT NOT NULL,
  PRIMARY KEY (plan_id, feature)
);
CREATE TABLE subscription (
  id SERIAL PRIMARY KEY,
  user_id TEXT NOT NULL,
  plan_id INTEGER NOT NULL,
  status TEXT NOT NULL
);
CREATE INDEX subscription_user ON subscription (user_id);
CREATE TABLE usage_tracking (
  id BIGSERIAL PRIMARY KEY,
  user_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  value BIGINT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX usage_user_feature ON usage_tracking (user_id, feature, created_at);

INSERT INTO plan_feature VALUES (1, 'invoice_ocr', true, 1000000000);
INSERT INTO subscription (user_id, plan_id, status) SELECT 's' || n, 1, 'active' FROM generate_series(0, 9999) n;
INSERT INTO usage_tracking (user_id, feature, value)
  SELECT 's' || n % 10000, 'invoice_ocr', 1 FROM generate_series(0, 999999) n;
ANALYZE;
