-- The catalog can be edited: faces of plans and features, ends of prices, versions of plans, drafts.

ALTER TABLE plan ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE plan ADD COLUMN visible BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE plan ADD COLUMN trial_days BIGINT NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN archived_at BIGINT;
ALTER TABLE plan ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
-- An edit that is not published yet, as JSON, with its own revision.
ALTER TABLE plan ADD COLUMN draft TEXT;
ALTER TABLE plan ADD COLUMN draft_by TEXT;
ALTER TABLE plan ADD COLUMN draft_at BIGINT;
ALTER TABLE plan ADD COLUMN draft_revision BIGINT NOT NULL DEFAULT 0;

ALTER TABLE feature ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE feature ADD COLUMN archived_at BIGINT;
ALTER TABLE feature ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;

-- What a unit beyond a soft limit costs, in millionths of the tenant's currency: such prices are often below a cent.
ALTER TABLE plan_feature ADD COLUMN overage_micros BIGINT CHECK (overage_micros >= 0);

ALTER TABLE price ADD COLUMN ended_at BIGINT;
CREATE UNIQUE INDEX price_version_own ON price (tenant_id, plan_id, interval, currency, customer_id, version)
  WHERE customer_id IS NOT NULL;

-- What a plan said at each of its versions, and for whom that holds. `plan_feature` is the newest.
CREATE TABLE plan_version (
  tenant_id TEXT NOT NULL,
  plan_id TEXT NOT NULL,
  version BIGINT NOT NULL,
  applies TEXT NOT NULL,
  published_at BIGINT NOT NULL,
  published_by TEXT NOT NULL,
  terms TEXT NOT NULL,
  PRIMARY KEY (tenant_id, plan_id, version)
);
CREATE INDEX plan_version_for_all ON plan_version (tenant_id, plan_id, version) WHERE applies = 'now';

CREATE INDEX subscription_of_plan ON subscription (tenant_id, plan_id)
  WHERE status IN ('trialing', 'active', 'past_due', 'paused', 'canceled');
