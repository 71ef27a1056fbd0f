-- AI components with their versions and drafts, credentials that are seen by their ends alone, credit packs and coupons.

ALTER TABLE component ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE component ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
ALTER TABLE component ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;
-- An edit that is not published yet, as JSON, and the version that it was made from.
ALTER TABLE component ADD COLUMN draft TEXT;
ALTER TABLE component ADD COLUMN draft_of BIGINT;

-- Every version that was ever published. The switch and the place in lists are no part of one.
CREATE TABLE component_version (
  tenant_id TEXT NOT NULL,
  component TEXT NOT NULL,
  version BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  cause TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  description TEXT NOT NULL,
  base_token_cost BIGINT NOT NULL,
  credit_feature TEXT,
  upstream TEXT NOT NULL,
  model TEXT NOT NULL,
  charge_rule TEXT NOT NULL,
  draws TEXT NOT NULL,
  actions TEXT NOT NULL,
  PRIMARY KEY (tenant_id, component, version)
);
INSERT INTO component_version (tenant_id, component, version, at, actor, cause, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, draws, actions)
  SELECT c.tenant_id, c.component, 1, t.created_at, 'system', 'created', c.name, c.category, c.description, c.base_token_cost, c.credit_feature, c.upstream, c.model, c.charge_rule, c.draws, c.actions
  FROM component c JOIN tenant t ON t.tenant_id = c.tenant_id;

ALTER TABLE upstream ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
-- The last characters of the key, so that people can tell which one it is.
ALTER TABLE upstream ADD COLUMN key_hint TEXT;

-- Add-ons: units of a feature for a price, once.
CREATE TABLE credit_pack (
  tenant_id TEXT NOT NULL,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  feature TEXT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
  currency TEXT NOT NULL,
  expires_after_days BIGINT CHECK (expires_after_days > 0),
  active BOOLEAN NOT NULL,
  archived BOOLEAN NOT NULL DEFAULT FALSE,
  position BIGINT NOT NULL,
  revision BIGINT NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, slug)
);

-- The discount of a coupon never changes: who has redeemed it keeps its terms.
CREATE TABLE coupon (
  tenant_id TEXT NOT NULL,
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  percent_off BIGINT CHECK (percent_off BETWEEN 1 AND 100),
  amount_off_minor BIGINT CHECK (amount_off_minor > 0),
  currency TEXT,
  duration TEXT NOT NULL,
  months BIGINT,
  max_redemptions BIGINT CHECK (max_redemptions > 0),
  redeemed BIGINT NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
  valid_until BIGINT,
  plans TEXT NOT NULL,
  active BOOLEAN NOT NULL,
  revision BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, code)
);
