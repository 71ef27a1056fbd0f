-- What administration stands on: subscriptions with their history, revisions for lost-update checks, creations once.

ALTER TABLE tenant ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE tenant ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tenant ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT FALSE;

-- Since when the subscription is on its plan: which published version of the plan holds for it follows from this.
ALTER TABLE subscription ADD COLUMN plan_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscription ADD COLUMN ended_at BIGINT;
ALTER TABLE subscription ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
UPDATE subscription SET plan_since = created_at;

-- Every transition of a subscription with its cause, and what it is worth in a year (minor units) before and after: the
-- revenue of any past day is a sum over these rows.
CREATE TABLE subscription_change (
  tenant_id TEXT NOT NULL,
  change_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  subscription_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  cause TEXT NOT NULL,
  actor TEXT NOT NULL,
  status_before TEXT,
  status_after TEXT NOT NULL,
  plan_before TEXT,
  plan_after TEXT NOT NULL,
  price_before TEXT,
  price_after TEXT,
  currency TEXT NOT NULL,
  annual_before BIGINT NOT NULL,
  annual_after BIGINT NOT NULL,
  movement TEXT,
  PRIMARY KEY (tenant_id, change_id)
);
CREATE INDEX subscription_change_time ON subscription_change (tenant_id, at);
CREATE INDEX subscription_change_customer ON subscription_change (tenant_id, customer_id, at);

-- What was made under an idempotency key, so that a retry makes nothing.
CREATE TABLE creation (
  tenant_id TEXT NOT NULL,
  idem_key TEXT NOT NULL,
  request_hash BIGINT NOT NULL,
  made TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, idem_key)
);
