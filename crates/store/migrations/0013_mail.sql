-- Mail: an outbox that is sent from, templates, accounts, who wants what, and the links that mails carry.

-- One row for each mail that is to be sent or was. `slot` is what it must be written only once for. `link_sealed` is the
-- secret of the link inside, which stands in the texts as the mail's own id, and is gone once the mail is.
CREATE TABLE email (
  tenant_id TEXT NOT NULL,
  email_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  slot TEXT NOT NULL,
  recipient TEXT NOT NULL,
  recipient_name TEXT,
  language TEXT NOT NULL,
  subject TEXT NOT NULL,
  html TEXT NOT NULL,
  body TEXT NOT NULL,
  message_id TEXT NOT NULL,
  unsubscribe TEXT,
  link_sealed TEXT,
  good_until BIGINT,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  leased_until BIGINT,
  fence BIGINT NOT NULL,
  last_error TEXT,
  created_at BIGINT NOT NULL,
  sent_at BIGINT,
  PRIMARY KEY (tenant_id, email_id),
  CONSTRAINT email_slot UNIQUE (tenant_id, slot)
);
CREATE INDEX email_due ON email (tenant_id, next_at) WHERE state = 'queued';

-- A tenant's own text for a kind of mail in a language, instead of the one that comes with the product.
CREATE TABLE email_template (
  tenant_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  language TEXT NOT NULL,
  subject TEXT NOT NULL,
  html TEXT NOT NULL,
  body TEXT NOT NULL,
  revision BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, kind, language)
);

-- The mail server that a tenant sends through, and as whom.
CREATE TABLE mail_account (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  host TEXT,
  port BIGINT,
  security TEXT NOT NULL,
  username TEXT,
  password_sealed TEXT,
  ca_pem TEXT,
  from_address TEXT,
  from_name TEXT,
  reply_to TEXT,
  revision BIGINT NOT NULL
);

-- A kind of mail that an address does not want.
CREATE TABLE mail_refusal (
  tenant_id TEXT NOT NULL,
  address TEXT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, address, kind)
);

-- An address that a server refused for good.
CREATE TABLE mail_bounce (
  tenant_id TEXT NOT NULL,
  address TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, address)
);

-- A link that proves an address or lets its owner choose a new password: hashed, for one purpose, once.
CREATE TABLE account_token (
  tenant_id TEXT NOT NULL,
  token_hash TEXT NOT NULL,
  user_id TEXT NOT NULL,
  purpose TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (tenant_id, token_hash)
);
CREATE INDEX account_token_of_user ON account_token (tenant_id, user_id, purpose);

-- Somebody asked for a new password. Answered by a job, so that the asking takes as long for an address that nobody has.
CREATE TABLE password_request (
  tenant_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  address TEXT NOT NULL,
  origin TEXT NOT NULL,
  at BIGINT NOT NULL,
  answered BOOLEAN NOT NULL,
  PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX password_request_of_address ON password_request (tenant_id, address, at);
CREATE INDEX password_request_open ON password_request (at) WHERE answered = FALSE;
