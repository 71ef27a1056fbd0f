-- The audit trail as a chain per tenant, members by invitation, and requests to sales.

-- `mac` is the writer's code; what follows is the entry's place in its tenant's chain, which it gets soon after. No
-- release has had entries without a code, and to take them over would be a way to forge some.
DROP TABLE audit_entry;
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
  mac TEXT NOT NULL,
  seq BIGINT,
  prev_hash TEXT,
  hash TEXT,
  PRIMARY KEY (tenant_id, audit_id)
);
CREATE UNIQUE INDEX audit_seq ON audit_entry (tenant_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_unsealed ON audit_entry (tenant_id, audit_id) WHERE seq IS NULL;
CREATE INDEX audit_time ON audit_entry (tenant_id, at, audit_id);

-- The last sealed place, under a code whose key is not in the database.
CREATE TABLE audit_head (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL,
  mac TEXT NOT NULL,
  sealed_at BIGINT NOT NULL,
  began_at BIGINT NOT NULL
);

ALTER TABLE user_account ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;

-- A link by which somebody chooses a password, once.
CREATE TABLE invitation (
  tenant_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  token_hash TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id)
);

-- Free text of people who may not even be users: erasable.
CREATE TABLE contact_request (
  tenant_id TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  message TEXT NOT NULL,
  plan TEXT,
  customer_id TEXT,
  origin TEXT NOT NULL,
  status TEXT NOT NULL,
  revision BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, contact_id)
);
CREATE INDEX contact_origin ON contact_request (tenant_id, origin, at);
