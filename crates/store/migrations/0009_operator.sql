-- Since when and why a tenant is suspended, as the operator said.

ALTER TABLE tenant ADD COLUMN suspended_at BIGINT;
ALTER TABLE tenant ADD COLUMN suspended_reason TEXT;
