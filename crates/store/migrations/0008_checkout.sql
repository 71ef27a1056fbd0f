-- Our side of what exists at payment providers: an intent before the call, the result after it.
CREATE TABLE provider_price (
  tenant_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  price_id TEXT NOT NULL,
  state TEXT NOT NULL,
  remote_id TEXT,
  attempts BIGINT NOT NULL,
  leased_until BIGINT,
  last_error TEXT,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, provider, price_id)
);

-- A purchase that waits for its buyer's approval.
CREATE TABLE checkout (
  tenant_id TEXT NOT NULL,
  checkout_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  price_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  state TEXT NOT NULL,
  remote_id TEXT,
  approval_url TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, checkout_id)
);
CREATE INDEX checkout_open ON checkout (tenant_id, customer_id) WHERE state = 'open';
CREATE INDEX checkout_open_price ON checkout (tenant_id, price_id) WHERE state = 'open';

-- The sandbox provider's own books, which stand for those of a payment company: nothing else reads or writes them.
CREATE TABLE sandbox_plan (
  tenant_id TEXT NOT NULL,
  sandbox_plan_id TEXT NOT NULL,
  reference TEXT NOT NULL,
  name TEXT NOT NULL,
  interval TEXT NOT NULL,
  currency TEXT NOT NULL,
  amount_minor BIGINT NOT NULL,
  active BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, sandbox_plan_id)
);
CREATE INDEX sandbox_plan_reference ON sandbox_plan (tenant_id, reference);

CREATE TABLE sandbox_subscription (
  tenant_id TEXT NOT NULL,
  sandbox_subscription_id TEXT NOT NULL,
  reference TEXT NOT NULL,
  sandbox_plan_id TEXT NOT NULL,
  token TEXT NOT NULL,
  return_url TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, sandbox_subscription_id)
);
CREATE UNIQUE INDEX sandbox_subscription_token ON sandbox_subscription (token);
CREATE INDEX sandbox_subscription_reference ON sandbox_subscription (tenant_id, reference);
