-- Everything that Sallyport 0.1 keeps. Times are BIGINT, microseconds since 1970 (UTC);
-- lists and maps are JSON in TEXT, byte for byte as they were written.
-- compatible-from: 1

CREATE TABLE revision (
  id BIGINT NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO revision (id, value) VALUES (1, 0);

CREATE TABLE tenants (
  id TEXT NOT NULL PRIMARY KEY,
  title TEXT NOT NULL,
  disabled BOOLEAN NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL
);

CREATE TABLE users (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  title TEXT NOT NULL,
  email TEXT NOT NULL,
  service BOOLEAN NOT NULL,
  disabled BOOLEAN NOT NULL,
  password TEXT NOT NULL,
  must_change BOOLEAN NOT NULL,
  provider TEXT NOT NULL,
  external_id TEXT NOT NULL,
  group_names TEXT NOT NULL,
  role_names TEXT NOT NULL,
  everywhere TEXT NOT NULL,
  valid_from BIGINT NOT NULL,
  last_login BIGINT,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX users_name ON users (tenant, name);
CREATE UNIQUE INDEX users_external ON users (tenant, provider, external_id) WHERE provider <> '';

CREATE TABLE roles (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  title TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE policies (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  role TEXT NOT NULL,
  kind TEXT NOT NULL,
  match TEXT NOT NULL,
  action TEXT NOT NULL,
  deny BOOLEAN NOT NULL,
  note TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE group_roles (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  provider TEXT NOT NULL,
  group_name TEXT NOT NULL,
  role TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE tokens (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  name TEXT NOT NULL,
  hint TEXT NOT NULL,
  sum TEXT NOT NULL,
  scopes TEXT NOT NULL,
  expires BIGINT,
  last_used BIGINT,
  revoked BIGINT,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX tokens_sum ON tokens (sum);
CREATE INDEX tokens_user ON tokens (tenant, user_id);

CREATE TABLE logins (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  sum TEXT NOT NULL,
  csrf TEXT NOT NULL,
  provider TEXT NOT NULL,
  address TEXT NOT NULL,
  agent TEXT NOT NULL,
  made BIGINT NOT NULL,
  proved BIGINT NOT NULL,
  seen BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX logins_sum ON logins (sum);
CREATE INDEX logins_user ON logins (tenant, user_id);
CREATE INDEX logins_expires ON logins (expires);

CREATE TABLE providers (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  title TEXT NOT NULL,
  issuer TEXT NOT NULL,
  disabled BOOLEAN NOT NULL,
  login BOOLEAN NOT NULL,
  client_id TEXT NOT NULL,
  client_secret TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resource BOOLEAN NOT NULL,
  audiences TEXT NOT NULL,
  jwks TEXT NOT NULL,
  introspection TEXT NOT NULL,
  name_claim TEXT NOT NULL,
  group_claim TEXT NOT NULL,
  provision BOOLEAN NOT NULL,
  role_names TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE credentials (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  connector TEXT NOT NULL,
  sealed TEXT NOT NULL,
  note TEXT NOT NULL,
  set_at BIGINT NOT NULL,
  expires BIGINT,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX credentials_name ON credentials (tenant, owner, name);

CREATE TABLE connectors (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  title TEXT NOT NULL,
  issuer TEXT NOT NULL,
  authorize_url TEXT NOT NULL,
  token_url TEXT NOT NULL,
  client_id TEXT NOT NULL,
  client_secret TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resource TEXT NOT NULL,
  extra TEXT NOT NULL,
  disabled BOOLEAN NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE documents (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  number BIGINT NOT NULL,
  content TEXT NOT NULL,
  gone BOOLEAN NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE drafts (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  content TEXT NOT NULL,
  base BIGINT NOT NULL,
  deletes BOOLEAN NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE versions (
  tenant TEXT NOT NULL,
  document TEXT NOT NULL,
  number BIGINT NOT NULL,
  content TEXT NOT NULL,
  sum TEXT NOT NULL,
  deletes BOOLEAN NOT NULL,
  published_by TEXT NOT NULL,
  published_name TEXT NOT NULL,
  reason TEXT NOT NULL,
  from_number BIGINT NOT NULL,
  published BIGINT NOT NULL,
  PRIMARY KEY (tenant, document, number)
);

CREATE TABLE modules (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  manifest TEXT NOT NULL,
  content BLOB NOT NULL,
  size BIGINT NOT NULL,
  plugin TEXT NOT NULL,
  release TEXT NOT NULL,
  kinds TEXT NOT NULL,
  asks TEXT NOT NULL,
  signatures TEXT NOT NULL,
  grants TEXT NOT NULL,
  approved BIGINT,
  approved_by TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE pins (
  tenant TEXT NOT NULL,
  server TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  sum TEXT NOT NULL,
  content TEXT NOT NULL,
  state TEXT NOT NULL,
  approved_by TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, server, kind, name)
);

CREATE TABLE kv (
  tenant TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  value BLOB NOT NULL,
  expires BIGINT,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, namespace, name)
);
CREATE INDEX kv_expires ON kv (expires);

CREATE TABLE sessions (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  replica TEXT NOT NULL,
  server TEXT NOT NULL,
  subject TEXT NOT NULL,
  revision TEXT NOT NULL,
  client TEXT NOT NULL,
  made BIGINT NOT NULL,
  seen BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE revocations (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT NOT NULL,
  reason TEXT NOT NULL,
  revoker TEXT NOT NULL,
  PRIMARY KEY (tenant, kind, id)
);
CREATE INDEX revocations_until ON revocations (until);

CREATE TABLE limits (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  per TEXT NOT NULL,
  subjects TEXT NOT NULL,
  objects TEXT NOT NULL,
  rate DOUBLE PRECISION NOT NULL,
  burst BIGINT NOT NULL,
  at_once BIGINT NOT NULL,
  per_day BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  note TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE usage (
  tenant TEXT NOT NULL,
  day TEXT NOT NULL,
  subject TEXT NOT NULL,
  server TEXT NOT NULL,
  name TEXT NOT NULL,
  calls BIGINT NOT NULL,
  errors BIGINT NOT NULL,
  refused BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  millis BIGINT NOT NULL,
  PRIMARY KEY (tenant, day, subject, server, name)
);
CREATE INDEX usage_day ON usage (day);

CREATE TABLE settings (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE replicas (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  program TEXT NOT NULL,
  revision BIGINT NOT NULL,
  started BIGINT NOT NULL,
  seen BIGINT NOT NULL
);

CREATE TABLE audit (
  tenant TEXT NOT NULL,
  replica TEXT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  via TEXT NOT NULL,
  credential TEXT NOT NULL,
  address TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  request TEXT NOT NULL,
  trace TEXT NOT NULL,
  details TEXT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (tenant, replica, seq)
);
-- Two entries in one place would be a fork of the chain.
CREATE UNIQUE INDEX audit_chain ON audit (replica, seq);
CREATE INDEX audit_at ON audit (at, replica, seq);
CREATE INDEX audit_tenant_at ON audit (tenant, at, replica, seq);

CREATE TABLE anchors (
  replica TEXT NOT NULL,
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL,
  at BIGINT NOT NULL,
  mac TEXT NOT NULL,
  PRIMARY KEY (replica, seq)
);

-- Blocks of call records, of one tenant and replica each (store/callblock.go).
CREATE TABLE calls (
  tenant TEXT NOT NULL,
  last_id TEXT NOT NULL,
  replica TEXT NOT NULL,
  first_id TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  count BIGINT NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (tenant, last_id, replica)
);
CREATE INDEX calls_from ON calls (from_at, tenant, last_id, replica);
CREATE INDEX calls_to ON calls (to_at, tenant, last_id, replica);
CREATE INDEX calls_tenant_from ON calls (tenant, from_at, last_id, replica);
CREATE INDEX calls_tenant_to ON calls (tenant, to_at, last_id, replica);
