-- The life of subscriptions: all that decides what may happen to one, what is asked for, and clocks that are moved.

-- Where billing periods are counted from; every boundary is a whole number of months from here. 0 of one that is not
-- billed yet.
ALTER TABLE subscription ADD COLUMN billing_anchor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscription ADD COLUMN pending_until BIGINT;
ALTER TABLE subscription ADD COLUMN trial_ends_at BIGINT;
ALTER TABLE subscription ADD COLUMN trial_warned BOOLEAN NOT NULL DEFAULT FALSE;
-- What was charged for the period from an instant on: all that can be given back of it.
ALTER TABLE subscription ADD COLUMN paid_minor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscription ADD COLUMN paid_from BIGINT NOT NULL DEFAULT 0;
-- The grace of a failed payment.
ALTER TABLE subscription ADD COLUMN dunning_since BIGINT;
ALTER TABLE subscription ADD COLUMN dunning_until BIGINT;
ALTER TABLE subscription ADD COLUMN dunning_tried BIGINT NOT NULL DEFAULT 0;
-- What happens at the end of the period, as JSON.
ALTER TABLE subscription ADD COLUMN scheduled TEXT;
ALTER TABLE subscription ADD COLUMN resume_at BIGINT;
-- A coupon by its code, whose terms never change, and from when on it counts.
ALTER TABLE subscription ADD COLUMN coupon TEXT;
ALTER TABLE subscription ADD COLUMN discount_from BIGINT;
-- Whether a payment method is known.
ALTER TABLE subscription ADD COLUMN payable BOOLEAN NOT NULL DEFAULT FALSE;
-- When time does something to it next.
ALTER TABLE subscription ADD COLUMN next_due_at BIGINT;
CREATE INDEX subscription_due ON subscription (tenant_id, next_due_at) WHERE next_due_at IS NOT NULL;

-- Those without an anchor are taken up one by one (app::time): only the calendar of their tenant says which period of
-- theirs runs, and nothing of before is asked for. A node that still runs the release before makes such rows, too.
CREATE INDEX subscription_unbilled ON subscription (tenant_id)
  WHERE billing_anchor = 0 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled');

-- The key of what time did: once for each subscription.
ALTER TABLE subscription_change ADD COLUMN slot TEXT;
CREATE UNIQUE INDEX subscription_change_slot ON subscription_change (tenant_id, subscription_id, slot)
  WHERE slot IS NOT NULL;

-- Money that was asked for or given back, once for each slot of a subscription. Refunds have an amount below nothing.
CREATE TABLE invoice (
  tenant_id TEXT NOT NULL,
  invoice_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  subscription_id TEXT NOT NULL,
  slot TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'failed', 'retrying', 'paid', 'void', 'refunded')),
  currency TEXT NOT NULL,
  amount_minor BIGINT NOT NULL,
  provider TEXT,
  tries BIGINT NOT NULL DEFAULT 0,
  collect_at BIGINT,
  issued_at BIGINT NOT NULL,
  settled_at BIGINT,
  PRIMARY KEY (tenant_id, invoice_id),
  CONSTRAINT invoice_slot UNIQUE (tenant_id, subscription_id, slot)
);
CREATE INDEX invoice_collect ON invoice (tenant_id, collect_at) WHERE collect_at IS NOT NULL;
CREATE INDEX invoice_of_customer ON invoice (tenant_id, customer_id, issued_at);

CREATE TABLE invoice_line (
  tenant_id TEXT NOT NULL,
  invoice_id TEXT NOT NULL,
  line BIGINT NOT NULL,
  kind TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  amount_minor BIGINT NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT NOT NULL,
  -- Of use beyond a soft limit.
  feature TEXT,
  units BIGINT,
  PRIMARY KEY (tenant_id, invoice_id, line)
) {clustered};

-- Who redeemed a coupon, once each; and the one that a purchase is made with.
CREATE TABLE coupon_redemption (
  tenant_id TEXT NOT NULL,
  code TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, code, customer_id)
) {clustered};
ALTER TABLE checkout ADD COLUMN coupon TEXT;

-- Units that were not used and go on to the next quota period, at most so many.
ALTER TABLE plan_feature ADD COLUMN rollover_cap BIGINT CHECK (rollover_cap > 0);

-- Up to where a customer's quota periods are closed, and when the next one is to be; none of one that nobody has looked
-- at yet.
ALTER TABLE customer ADD COLUMN closed_to BIGINT;
ALTER TABLE customer ADD COLUMN next_close_at BIGINT;
CREATE INDEX customer_close ON customer (tenant_id, next_close_at) WHERE next_close_at IS NOT NULL;
CREATE INDEX customer_unclosed ON customer (tenant_id) WHERE closed_to IS NULL;

-- Quota periods that are closed, each once.
CREATE TABLE period_close (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  slot TEXT NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id, slot)
) {clustered};

-- What was used beyond a limit, which few events have: found when its period is closed.
CREATE INDEX usage_event_overrun ON usage_event (tenant_id, customer_id, feature, period_start) WHERE overrun > 0;

-- How the sandbox provider answers for a customer, and what it was asked for: its own books.
ALTER TABLE sandbox_subscription ADD COLUMN declines BOOLEAN NOT NULL DEFAULT FALSE;
CREATE TABLE sandbox_charge (
  tenant_id TEXT NOT NULL,
  reference TEXT NOT NULL,
  sandbox_subscription_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  amount_minor BIGINT NOT NULL,
  paid BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, reference)
);

-- A sandbox tenant's clock while it is moved: from where, to where, and how far it has come in what falls due.
CREATE TABLE clock (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  started_at BIGINT NOT NULL,
  target BIGINT NOT NULL,
  done_to BIGINT NOT NULL,
  steps BIGINT NOT NULL,
  error TEXT
);
