-- The audit is a hash chain. One row says where it begins and ends; entries from before there was one have no hash.
ALTER TABLE audit ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
CREATE TABLE audit_chain (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  anchor_id   INTEGER NOT NULL,
  anchor_hash BLOB NOT NULL,
  head_id     INTEGER NOT NULL,
  head_hash   BLOB NOT NULL
);
INSERT INTO audit_chain (id, anchor_id, anchor_hash, head_id, head_hash)
  SELECT 1, coalesce(max(id), 0), zeroblob(32), coalesce(max(id), 0), zeroblob(32) FROM audit;

-- One-time codes. The secret is sealed with the key file of the state directory; it waits until it is confirmed.
CREATE TABLE totp_secrets (
  user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  sealed       BLOB NOT NULL,
  created_at   INTEGER NOT NULL,
  confirmed_at INTEGER,
  last_step    INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE recovery_codes (
  user_id TEXT NOT NULL REFERENCES totp_secrets (user_id) ON DELETE CASCADE,
  digest  BLOB NOT NULL,
  PRIMARY KEY (user_id, digest)
);

CREATE TABLE invites (
  id         TEXT PRIMARY KEY,
  digest     BLOB NOT NULL UNIQUE,
  role       TEXT NOT NULL CHECK (role IN ('user', 'operator', 'admin')),
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  uses_left  INTEGER NOT NULL
);
CREATE INDEX invites_expiry ON invites (expires_at);

CREATE TABLE api_keys (
  id           TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name         TEXT NOT NULL,
  digest       BLOB NOT NULL UNIQUE,
  role         TEXT NOT NULL CHECK (role IN ('user', 'operator', 'admin')),
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  last_used_at INTEGER,
  UNIQUE (user_id, name)
);

-- Nodes that may join in admission mode allowlist, beside the configured ones.
CREATE TABLE allow_entries (
  id           TEXT PRIMARY KEY,
  network      TEXT UNIQUE,
  identity_key BLOB UNIQUE,
  note         TEXT NOT NULL,
  created_by   TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  CHECK ((network IS NULL) <> (identity_key IS NULL))
);

-- Servers ask twice a second.
CREATE INDEX nodes_banned ON nodes (id) WHERE admission = 'banned';
