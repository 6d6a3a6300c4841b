-- Times are Unix seconds; ids are UUIDs as text; keys and digests are blobs; what only programs read is JSON.

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  name          TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  role          TEXT NOT NULL CHECK (role IN ('user', 'operator', 'admin')),
  disabled      INTEGER NOT NULL DEFAULT 0,
  created_at    INTEGER NOT NULL
);

-- All refresh tokens that descend from one login. Revoking the family ends them all.
CREATE TABLE refresh_families (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
);
CREATE INDEX refresh_families_user ON refresh_families (user_id);

CREATE TABLE refresh_tokens (
  digest     BLOB PRIMARY KEY,
  family_id  TEXT NOT NULL REFERENCES refresh_families (id) ON DELETE CASCADE,
  expires_at INTEGER NOT NULL,
  spent_at   INTEGER
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE nodes (
  id                   TEXT PRIMARY KEY,
  identity_key         BLOB NOT NULL UNIQUE,
  wireguard_key        BLOB NOT NULL UNIQUE,
  certificate_sequence INTEGER NOT NULL,
  key_certificate      TEXT NOT NULL,
  admission            TEXT NOT NULL CHECK (admission IN ('approved', 'pending', 'banned')),
  status               TEXT NOT NULL CHECK (status IN ('online', 'degraded', 'offline')),
  tunnel_prefixes      TEXT NOT NULL,
  network_info         TEXT NOT NULL,
  capabilities         TEXT NOT NULL,
  metrics              TEXT NOT NULL,
  location             TEXT,
  heartbeat_interval   INTEGER NOT NULL,
  address              TEXT NOT NULL,
  registered_at        INTEGER NOT NULL,
  last_seen            INTEGER NOT NULL
);
CREATE INDEX nodes_last_seen ON nodes (last_seen);

CREATE TABLE nonces (
  nonce      TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
);
CREATE INDEX nonces_expiry ON nonces (expires_at);

CREATE TABLE sessions (
  id              TEXT PRIMARY KEY,
  user_id         TEXT NOT NULL,
  node_id         TEXT NOT NULL,
  client_id       TEXT NOT NULL,
  wireguard_key   BLOB NOT NULL,
  address4        TEXT NOT NULL,
  address6        TEXT,
  path            TEXT NOT NULL,
  started_at      INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL,
  ended_at        INTEGER,
  end_reason      TEXT,
  bytes_to_node   INTEGER NOT NULL DEFAULT 0,
  bytes_to_client INTEGER NOT NULL DEFAULT 0
);
-- A key is never used twice, not even after its session: two sessions with one key would be linkable.
CREATE UNIQUE INDEX sessions_key ON sessions (wireguard_key);
CREATE UNIQUE INDEX sessions_address4 ON sessions (node_id, address4) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX sessions_address6 ON sessions (node_id, address6) WHERE ended_at IS NULL;
CREATE INDEX sessions_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  time    INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  address TEXT NOT NULL,
  action  TEXT NOT NULL,
  object  TEXT NOT NULL,
  outcome TEXT NOT NULL
);
CREATE INDEX audit_time ON audit (time);
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TABLE lockouts (
  subject      TEXT PRIMARY KEY,
  failures     INTEGER NOT NULL,
  last_failure INTEGER NOT NULL,
  locked_until INTEGER NOT NULL
);
CREATE INDEX lockouts_last_failure ON lockouts (last_failure);

-- The private half is sealed with the key file of the state directory.
CREATE TABLE signing_keys (
  id          TEXT PRIMARY KEY,
  public_key  BLOB NOT NULL,
  sealed      BLOB NOT NULL,
  created_at  INTEGER NOT NULL
);

CREATE TABLE node_metrics (
  node_id TEXT NOT NULL,
  time    INTEGER NOT NULL,
  report  TEXT NOT NULL,
  PRIMARY KEY (node_id, time)
);
CREATE INDEX node_metrics_time ON node_metrics (time);

CREATE TABLE node_actions (
  id         TEXT PRIMARY KEY,
  node_id    TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  type       TEXT NOT NULL,
  payload    TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  done_at    INTEGER,
  ok         INTEGER,
  detail     TEXT
);
CREATE INDEX node_actions_pending ON node_actions (node_id) WHERE done_at IS NULL;
