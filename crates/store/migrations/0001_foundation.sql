-- One text for both databases. Tokens in braces are DDL that differs (see `db::ddl`).
-- Times are microseconds UTC, money minor units, JSON text. Every key leads with the tenant.

CREATE TABLE tenant (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  mode TEXT NOT NULL,
  currency TEXT NOT NULL,
  timezone TEXT NOT NULL,
  enforced BOOLEAN NOT NULL,
  clock_offset BIGINT NOT NULL,
  default_plan_id TEXT,
  brand TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  outbox_seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  CONSTRAINT tenant_slug UNIQUE (slug)
);

-- Secrets, encrypted by the master key; the platform's own stand under the reserved tenant.
CREATE TABLE secret (
  tenant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  sealed TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE feature (
  tenant_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  unit TEXT,
  position BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, feature)
);

CREATE TABLE plan (
  tenant_id TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  active BOOLEAN NOT NULL,
  contact_sales BOOLEAN NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, plan_id),
  CONSTRAINT plan_slug UNIQUE (tenant_id, slug)
);

CREATE TABLE plan_feature (
  tenant_id TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  enabled BOOLEAN NOT NULL,
  limit_value BIGINT NOT NULL CHECK (limit_value >= 0),
  limit_type TEXT NOT NULL,
  reset TEXT NOT NULL,
  warning BIGINT NOT NULL,
  critical BIGINT NOT NULL,
  fail_open BIGINT NOT NULL CHECK (fail_open >= 0),
  PRIMARY KEY (tenant_id, plan_id, feature)
);

-- Immutable versions of what a plan costs; a change is a new row.
CREATE TABLE price (
  tenant_id TEXT NOT NULL,
  price_id TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  interval TEXT NOT NULL,
  currency TEXT NOT NULL,
  amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
  version BIGINT NOT NULL,
  active BOOLEAN NOT NULL,
  customer_id TEXT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, price_id)
);
CREATE UNIQUE INDEX price_version ON price (tenant_id, plan_id, interval, currency, version) WHERE customer_id IS NULL;

CREATE TABLE customer (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  external_id TEXT,
  email TEXT,
  name TEXT,
  anchor BIGINT NOT NULL,
  suspended BOOLEAN NOT NULL,
  entitlement_version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id),
  CONSTRAINT customer_external_id UNIQUE (tenant_id, external_id)
);

CREATE TABLE subscription (
  tenant_id TEXT NOT NULL,
  subscription_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  price_id TEXT,
  status TEXT NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT,
  access_until BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, subscription_id)
);
CREATE UNIQUE INDEX subscription_one_current ON subscription (tenant_id, customer_id)
  WHERE status IN ('trialing', 'active', 'past_due', 'paused', 'canceled');

CREATE TABLE limit_override (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  limit_value BIGINT CHECK (limit_value >= 0),
  until BIGINT,
  PRIMARY KEY (tenant_id, customer_id, feature)
);

CREATE TABLE credit_grant (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  expires_at BIGINT,
  reason TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id, grant_id)
);

-- The gate's own tables: nothing else writes them.
CREATE TABLE counter (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  source TEXT NOT NULL,
  period_start BIGINT NOT NULL,
  used BIGINT NOT NULL CHECK (used >= 0),
  held BIGINT NOT NULL CHECK (held >= 0),
  next_expiry BIGINT,
  version BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id, feature, source, period_start)
) {updated_in_place};

CREATE TABLE usage_event (
  tenant_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  line BIGINT NOT NULL,
  node BIGINT NOT NULL,
  customer_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  source TEXT NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT,
  kind TEXT NOT NULL,
  amount BIGINT NOT NULL,
  hold BIGINT NOT NULL,
  overrun BIGINT NOT NULL,
  used_after BIGINT NOT NULL,
  held_after BIGINT NOT NULL,
  limit_value BIGINT,
  credits_after BIGINT,
  status_after BIGINT,
  version BIGINT NOT NULL,
  at BIGINT NOT NULL,
  reservation_id TEXT,
  detail TEXT,
  PRIMARY KEY (tenant_id, event_id, line)
) {clustered};

-- What callers attach to an event: free text, so it can be erased without touching the event.
CREATE TABLE usage_metadata (
  tenant_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  metadata TEXT NOT NULL,
  PRIMARY KEY (tenant_id, event_id)
) {clustered};

CREATE TABLE idempotency (
  tenant_id TEXT NOT NULL,
  idem_key TEXT NOT NULL,
  request_hash BIGINT NOT NULL,
  event_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, idem_key)
) {clustered};

CREATE TABLE reservation (
  tenant_id TEXT NOT NULL,
  reservation_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  principal TEXT NOT NULL,
  holds TEXT NOT NULL,
  state TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  settled_event TEXT,
  idem_key TEXT,
  PRIMARY KEY (tenant_id, reservation_id)
);
CREATE INDEX reservation_open ON reservation (tenant_id, customer_id, expires_at) WHERE state = 'open';
CREATE INDEX reservation_due ON reservation (expires_at) WHERE state = 'open';

-- One row for each committed batch: the order that readers follow.
CREATE TABLE gate_batch (
  node BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  tenants TEXT NOT NULL,
  first_event TEXT NOT NULL,
  last_event TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (node, seq)
);

-- A running process; its number marks its events and batches. On SQLite `low` is the last event that all counters hold.
CREATE TABLE node (
  node BIGINT NOT NULL PRIMARY KEY,
  started_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  low TEXT NOT NULL,
  followed_seq BIGINT NOT NULL,
  followed_event TEXT NOT NULL
);

CREATE TABLE usage_rollup (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  hour BIGINT NOT NULL,
  used BIGINT NOT NULL,
  events BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id, feature, hour)
) {clustered};

CREATE TABLE decision (
  tenant_id TEXT NOT NULL,
  decision_id TEXT NOT NULL,
  customer_id TEXT,
  at BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant_id, decision_id)
);

CREATE TABLE component (
  tenant_id TEXT NOT NULL,
  component TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  description TEXT NOT NULL,
  base_token_cost BIGINT NOT NULL CHECK (base_token_cost >= 0),
  credit_feature TEXT,
  upstream TEXT NOT NULL,
  model TEXT NOT NULL,
  charge_rule TEXT NOT NULL,
  active BOOLEAN NOT NULL,
  position BIGINT NOT NULL,
  draws TEXT NOT NULL,
  actions TEXT NOT NULL,
  PRIMARY KEY (tenant_id, component)
);

CREATE TABLE upstream (
  tenant_id TEXT NOT NULL,
  upstream TEXT NOT NULL,
  kind TEXT NOT NULL,
  base_url TEXT,
  api_key_sealed TEXT,
  PRIMARY KEY (tenant_id, upstream)
);

-- Micro-units of the tenant's currency for a million tokens; the row with the highest prompt band below the prompt counts.
CREATE TABLE model_price (
  tenant_id TEXT NOT NULL,
  model TEXT NOT NULL,
  effective_from BIGINT NOT NULL,
  prompt_tokens_over BIGINT NOT NULL,
  input BIGINT NOT NULL,
  output BIGINT NOT NULL,
  cache_write_5m BIGINT NOT NULL,
  cache_write_1h BIGINT NOT NULL,
  cache_read BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, model, effective_from, prompt_tokens_over)
);

-- Results of AI calls for a replay, encrypted and short-lived.
CREATE TABLE ai_result (
  tenant_id TEXT NOT NULL,
  reservation_id TEXT NOT NULL,
  sealed TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, reservation_id)
);

CREATE TABLE user_account (
  tenant_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  email TEXT NOT NULL,
  name TEXT,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  customer_id TEXT,
  verified BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id),
  CONSTRAINT user_email UNIQUE (tenant_id, email)
);

-- A signed-in browser or a family of refresh tokens. Ending it ends everything made from it.
CREATE TABLE session (
  tenant_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (tenant_id, session_id)
);

CREATE TABLE session_token (
  tenant_id TEXT NOT NULL,
  token_hash TEXT NOT NULL,
  session_id TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (tenant_id, token_hash)
);

CREATE TABLE login_failure (
  tenant_id TEXT NOT NULL,
  email TEXT NOT NULL,
  failures BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, email)
);

CREATE TABLE api_key (
  tenant_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  name TEXT NOT NULL,
  hint TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT,
  last_used_at BIGINT,
  PRIMARY KEY (tenant_id, key_id)
);
CREATE UNIQUE INDEX api_key_secret ON api_key (secret_hash);

-- What happened besides usage, in order within a tenant: feeds the live connection.
CREATE TABLE event (
  tenant_id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  kind TEXT NOT NULL,
  customer_id TEXT,
  data TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);

CREATE TABLE audit_entry (
  tenant_id TEXT NOT NULL,
  audit_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  before TEXT,
  after TEXT,
  request_id TEXT NOT NULL,
  origin TEXT NOT NULL,
  PRIMARY KEY (tenant_id, audit_id)
);

CREATE TABLE job (
  tenant_id TEXT NOT NULL,
  job_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  once_key TEXT NOT NULL,
  due_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  leased_until BIGINT,
  last_error TEXT,
  finished_at BIGINT,
  PRIMARY KEY (tenant_id, job_id),
  CONSTRAINT job_once UNIQUE (tenant_id, kind, once_key)
);
CREATE INDEX job_due ON job (due_at) WHERE state = 'ready';

{sqlite_generation}
