-- Customers as an admin sees and edits them: revisions, status for sorting and filtering, imports.

ALTER TABLE customer ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
ALTER TABLE customer ADD COLUMN suspended_reason TEXT;

-- What the payment provider calls a subscription that was brought in from there.
ALTER TABLE subscription ADD COLUMN provider TEXT;
ALTER TABLE subscription ADD COLUMN provider_subscription TEXT;
ALTER TABLE subscription ADD COLUMN provider_customer TEXT;

-- The worst status of a customer's quotas, so that lists can be sorted and filtered by it. `near` is that of the quotas
-- alone, `worst` includes overdue payments. It must be made anew from `valid_until` on, or when `catalog`, a hash of
-- what the catalog grants, is another.
CREATE TABLE customer_summary (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  worst BIGINT NOT NULL,
  near BIGINT NOT NULL,
  valid_until BIGINT NOT NULL,
  catalog BIGINT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id)
) {clustered};
CREATE INDEX customer_summary_due ON customer_summary (tenant_id, valid_until);
CREATE INDEX customer_summary_catalog ON customer_summary (tenant_id, catalog);
CREATE INDEX customer_summary_worst ON customer_summary (tenant_id, worst, customer_id);
CREATE INDEX customer_summary_near ON customer_summary (tenant_id, near, customer_id) WHERE near > 0;
INSERT INTO customer_summary (tenant_id, customer_id, worst, near, valid_until, catalog, version)
  SELECT tenant_id, customer_id, 0, 0, 0, 0, 0 FROM customer;

-- How far the follower that keeps the summaries has come.
ALTER TABLE node ADD COLUMN summarized_seq BIGINT NOT NULL DEFAULT 0;

CREATE INDEX user_account_customer ON user_account (tenant_id, customer_id);
CREATE INDEX decision_customer ON decision (tenant_id, customer_id, decision_id);
CREATE INDEX audit_entry_of_target ON audit_entry (tenant_id, target, audit_id);
CREATE INDEX price_of_customer ON price (tenant_id, customer_id) WHERE customer_id IS NOT NULL;

-- Customers brought in from elsewhere. `done` counts lines; `counts` and `errors` are JSON.
CREATE TABLE import (
  tenant_id TEXT NOT NULL,
  import_id TEXT NOT NULL,
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  dry_run BOOLEAN NOT NULL,
  state TEXT NOT NULL,
  lines BIGINT NOT NULL,
  done BIGINT NOT NULL,
  counts TEXT NOT NULL,
  errors TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (tenant_id, import_id)
);
CREATE INDEX import_open ON import (created_at) WHERE state = 'running';

-- What is still to be read of an import: some lines each, dropped once they are done.
CREATE TABLE import_part (
  tenant_id TEXT NOT NULL,
  import_id TEXT NOT NULL,
  first_line BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant_id, import_id, first_line)
);
