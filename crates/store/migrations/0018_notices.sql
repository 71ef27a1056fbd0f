-- Telling customers that a limit is near: what the gate noted, what was told, and the inbox.

-- A use that moved a level over a threshold. Written by the gate in the transaction of the use, taken by whoever tells.
CREATE TABLE crossing (
  tenant_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  gauge BOOLEAN NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT,
  level_before BIGINT NOT NULL,
  level_after BIGINT NOT NULL,
  limit_value BIGINT NOT NULL,
  warning BIGINT NOT NULL,
  critical BIGINT NOT NULL,
  version BIGINT NOT NULL,
  quiet BOOLEAN NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, event_id, feature)
);

-- What was told of a threshold, or passed on the way to a higher one (decision 0015).
CREATE TABLE notice (
  tenant_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  feature TEXT NOT NULL,
  period_start BIGINT NOT NULL,
  threshold BIGINT NOT NULL,
  limit_value BIGINT NOT NULL,
  number BIGINT NOT NULL,
  announced BOOLEAN NOT NULL,
  rearmed BOOLEAN NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, customer_id, feature, period_start, threshold, limit_value, number)
);

-- The inbox of a customer.
CREATE TABLE notification (
  tenant_id TEXT NOT NULL,
  notification_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, notification_id)
);
CREATE INDEX notification_of_customer ON notification (tenant_id, customer_id, notification_id);

-- What somebody has read of it: a user, or under the customer's own id whoever looks through the integrator's pages.
CREATE TABLE notification_read (
  tenant_id TEXT NOT NULL,
  reader TEXT NOT NULL,
  notification_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, reader, notification_id)
);

-- A kind that a user does not want in the inbox.
CREATE TABLE notification_refusal (
  tenant_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id, kind)
);
