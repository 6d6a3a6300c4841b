-- The audit is a hash chain. One row says where it begins and ends, and gives the ids; entries from before there was one
-- have no hash.
ALTER TABLE audit ALTER COLUMN id DROP IDENTITY;
ALTER TABLE audit ADD COLUMN hash BYTEA NOT NULL DEFAULT '\x';
CREATE TABLE audit_chain (
  id          BIGINT PRIMARY KEY CHECK (id = 1),
  anchor_id   BIGINT NOT NULL,
  anchor_hash BYTEA NOT NULL,
  head_id     BIGINT NOT NULL,
  head_hash   BYTEA NOT NULL
);
INSERT INTO audit_chain (id, anchor_id, anchor_hash, head_id, head_hash)
  SELECT 1, coalesce(max(id), 0), decode(repeat('00', 32), 'hex'), coalesce(max(id), 0), decode(repeat('00', 32), 'hex')
  FROM audit;

-- One-time codes. The secret is sealed with the key file of the state directory; it waits until it is confirmed.
CREATE TABLE totp_secrets (
  user_id      TEXT COLLATE "C" PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  sealed       BYTEA NOT NULL,
  created_at   BIGINT NOT NULL,
  confirmed_at BIGINT,
  last_step    BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE recovery_codes (
  user_id TEXT COLLATE "C" NOT NULL REFERENCES totp_secrets (user_id) ON DELETE CASCADE,
  digest  BYTEA NOT NULL,
  PRIMARY KEY (user_id, digest)
);

CREATE TABLE invites (
  id         TEXT COLLATE "C" PRIMARY KEY,
  digest     BYTEA NOT NULL UNIQUE,
  role       TEXT COLLATE "C" NOT NULL CHECK (role IN ('user', 'operator', 'admin')),
  created_by TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  uses_left  BIGINT NOT NULL
);
CREATE INDEX invites_expiry ON invites (expires_at);

CREATE TABLE api_keys (
  id           TEXT COLLATE "C" PRIMARY KEY,
  user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name         TEXT COLLATE "C" NOT NULL,
  digest       BYTEA NOT NULL UNIQUE,
  role         TEXT COLLATE "C" NOT NULL CHECK (role IN ('user', 'operator', 'admin')),
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT,
  last_used_at BIGINT,
  UNIQUE (user_id, name)
);

-- Nodes that may join in admission mode allowlist, beside the configured ones.
CREATE TABLE allow_entries (
  id           TEXT COLLATE "C" PRIMARY KEY,
  network      TEXT COLLATE "C" UNIQUE,
  identity_key BYTEA UNIQUE,
  note         TEXT COLLATE "C" NOT NULL,
  created_by   TEXT COLLATE "C" NOT NULL,
  created_at   BIGINT NOT NULL,
  CHECK ((network IS NULL) <> (identity_key IS NULL))
);

-- Servers ask twice a second.
CREATE INDEX nodes_banned ON nodes (id) WHERE admission = 'banned';
