-- Sums that keep the figures of revenue and of use fast.

-- A change of currency leaves one sum and comes to another.
ALTER TABLE subscription_change ADD COLUMN currency_before TEXT;
-- Whether the row's entries are summed in revenue_day. What is not is added by whoever reads.
ALTER TABLE subscription_change ADD COLUMN rolled BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX subscription_change_unrolled ON subscription_change (tenant_id, at) WHERE rolled = FALSE;

-- The entries of a day, summed (`domain::revenue::Fact`); the day is its first instant in the zone of revenue_zone.
CREATE TABLE revenue_day (
  tenant_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  day BIGINT NOT NULL,
  plan_id TEXT NOT NULL,
  fact TEXT NOT NULL,
  amount BIGINT NOT NULL,
  number BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, currency, day, plan_id, fact)
) {clustered};

-- The time zone that a tenant's days were summed in.
CREATE TABLE revenue_zone (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  timezone TEXT NOT NULL
);

-- Use of a whole tenant, summed by the follower of the gate's batches, by the plan that the customer had then. Days and
-- months begin at midnight of the tenant's zone.
CREATE TABLE usage_hour (
  tenant_id TEXT NOT NULL,
  hour BIGINT NOT NULL,
  feature TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  used BIGINT NOT NULL,
  events BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, hour, feature, plan_id)
) {clustered};

CREATE TABLE usage_day (
  tenant_id TEXT NOT NULL,
  day BIGINT NOT NULL,
  feature TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  used BIGINT NOT NULL,
  events BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, day, feature, plan_id)
) {clustered};

CREATE TABLE usage_customer_month (
  tenant_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  month BIGINT NOT NULL,
  customer_id TEXT NOT NULL,
  used BIGINT NOT NULL,
  events BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, feature, month, customer_id)
) {clustered};

-- AI calls: tokens, and what they cost in micro-units of the tenant's currency.
CREATE TABLE ai_day (
  tenant_id TEXT NOT NULL,
  day BIGINT NOT NULL,
  component TEXT NOT NULL,
  model TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  calls BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cost_micros BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, day, component, model, plan_id)
) {clustered};

CREATE TABLE ai_customer_month (
  tenant_id TEXT NOT NULL,
  month BIGINT NOT NULL,
  customer_id TEXT NOT NULL,
  calls BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cost_micros BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, month, customer_id)
) {clustered};
