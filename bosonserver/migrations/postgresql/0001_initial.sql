-- Times are Unix seconds; ids are UUIDs as text; keys and digests are bytes; what only programs read is JSON. Text is
-- ordered by its bytes, as SQLite orders it. True and false are 1 and 0: the statements are the same for both stores.

CREATE TABLE users (
  id            TEXT COLLATE "C" PRIMARY KEY,
  name          TEXT COLLATE "C" NOT NULL UNIQUE,
  password_hash TEXT COLLATE "C" NOT NULL,
  role          TEXT COLLATE "C" NOT NULL CHECK (role IN ('user', 'operator', 'admin')),
  disabled      BIGINT NOT NULL DEFAULT 0,
  created_at    BIGINT NOT NULL
);

-- All refresh tokens that descend from one login. Revoking the family ends them all.
CREATE TABLE refresh_families (
  id         TEXT COLLATE "C" PRIMARY KEY,
  user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX refresh_families_user ON refresh_families (user_id);

CREATE TABLE refresh_tokens (
  digest     BYTEA PRIMARY KEY,
  family_id  TEXT COLLATE "C" NOT NULL REFERENCES refresh_families (id) ON DELETE CASCADE,
  expires_at BIGINT NOT NULL,
  spent_at   BIGINT
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- A heartbeat changes no indexed column and finds room on its page, so that it touches no index (heap-only tuples): there
-- are thousands a second. What asks for last_seen reads the table, and asks rarely.
CREATE TABLE nodes (
  id                   TEXT COLLATE "C" PRIMARY KEY,
  identity_key         BYTEA NOT NULL UNIQUE,
  wireguard_key        BYTEA NOT NULL UNIQUE,
  certificate_sequence BIGINT NOT NULL,
  key_certificate      TEXT COLLATE "C" NOT NULL,
  admission            TEXT COLLATE "C" NOT NULL CHECK (admission IN ('approved', 'pending', 'banned')),
  status               TEXT COLLATE "C" NOT NULL CHECK (status IN ('online', 'degraded', 'offline')),
  tunnel_prefixes      TEXT COLLATE "C" NOT NULL,
  network_info         TEXT COLLATE "C" NOT NULL,
  capabilities         TEXT COLLATE "C" NOT NULL,
  metrics              TEXT COLLATE "C" NOT NULL,
  location             TEXT COLLATE "C",
  heartbeat_interval   BIGINT NOT NULL,
  address              TEXT COLLATE "C" NOT NULL,
  registered_at        BIGINT NOT NULL,
  last_seen            BIGINT NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE nonces (
  nonce      TEXT COLLATE "C" PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX nonces_expiry ON nonces (expires_at);

CREATE TABLE sessions (
  id              TEXT COLLATE "C" PRIMARY KEY,
  user_id         TEXT COLLATE "C" NOT NULL,
  node_id         TEXT COLLATE "C" NOT NULL,
  client_id       TEXT COLLATE "C" NOT NULL,
  wireguard_key   BYTEA NOT NULL,
  address4        TEXT COLLATE "C" NOT NULL,
  address6        TEXT COLLATE "C",
  path            TEXT COLLATE "C" NOT NULL,
  started_at      BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL,
  ended_at        BIGINT,
  end_reason      TEXT COLLATE "C",
  bytes_to_node   BIGINT NOT NULL DEFAULT 0,
  bytes_to_client BIGINT NOT NULL DEFAULT 0
);
-- A key is never used twice, not even after its session: two sessions with one key would be linkable.
CREATE UNIQUE INDEX sessions_key ON sessions (wireguard_key);
CREATE UNIQUE INDEX sessions_address4 ON sessions (node_id, address4) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX sessions_address6 ON sessions (node_id, address6) WHERE ended_at IS NULL;
CREATE INDEX sessions_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE audit (
  id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  time    BIGINT NOT NULL,
  actor   TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  action  TEXT COLLATE "C" NOT NULL,
  object  TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_time ON audit (time);
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit is append-only';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_never_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_append_only();

CREATE TABLE lockouts (
  subject      TEXT COLLATE "C" PRIMARY KEY,
  failures     BIGINT NOT NULL,
  last_failure BIGINT NOT NULL,
  locked_until BIGINT NOT NULL
);
CREATE INDEX lockouts_last_failure ON lockouts (last_failure);

-- The private half is sealed with the key file of the state directory.
CREATE TABLE signing_keys (
  id          TEXT COLLATE "C" PRIMARY KEY,
  public_key  BYTEA NOT NULL,
  sealed      BYTEA NOT NULL,
  created_at  BIGINT NOT NULL
);

CREATE TABLE node_metrics (
  node_id TEXT COLLATE "C" NOT NULL,
  time    BIGINT NOT NULL,
  report  TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (node_id, time)
);
CREATE INDEX node_metrics_time ON node_metrics (time);

CREATE TABLE node_actions (
  id         TEXT COLLATE "C" PRIMARY KEY,
  node_id    TEXT COLLATE "C" NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  type       TEXT COLLATE "C" NOT NULL,
  payload    TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  done_at    BIGINT,
  ok         BIGINT,
  detail     TEXT COLLATE "C"
);
CREATE INDEX node_actions_pending ON node_actions (node_id) WHERE done_at IS NULL;
