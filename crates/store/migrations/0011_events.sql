-- What is told to live connections: rows of `event`, written in the transaction of the change and numbered when it
-- commits, so that the order of numbers is the order of commits.

-- Who may hear of it, and what it is about.
ALTER TABLE event ADD COLUMN audience TEXT NOT NULL DEFAULT 'staff';
ALTER TABLE event ADD COLUMN subject TEXT;

-- The last number of each tenant. A row of its own, so that nobody who reads or locks the tenant waits for it.
CREATE TABLE event_head (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
) {updated_in_place};
