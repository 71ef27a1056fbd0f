-- Files of customers: what is known of them here, their bytes in a folder or a store beside the database.

-- A file, from before its first byte is kept until after its last is gone: receiving, received, kept, leaving.
-- `reservation_id` holds its size in the quota until it is kept. `writer` is who receives now, until `lease_until`.
CREATE TABLE file (
  tenant_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size BIGINT NOT NULL CHECK (size >= 0),
  received BIGINT NOT NULL CHECK (received >= 0),
  state TEXT NOT NULL CHECK (state IN ('receiving', 'received', 'kept', 'leaving')),
  resumable BOOLEAN NOT NULL,
  reservation_id TEXT NOT NULL,
  writer TEXT NOT NULL,
  lease_until BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, file_id)
);
CREATE INDEX file_of_customer ON file (tenant_id, customer_id, file_id);
CREATE INDEX file_to_tend ON file (tenant_id, lease_until) WHERE state <> 'kept';

-- A piece of a file under a key of its own, written down before it is put there; `size` once it is.
CREATE TABLE file_part (
  tenant_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  object TEXT NOT NULL,
  position BIGINT NOT NULL,
  size BIGINT,
  PRIMARY KEY (tenant_id, file_id, object)
);
