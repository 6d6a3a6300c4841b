-- What users send over the relays of all servers, by month (year × 100 + month).
CREATE TABLE relay_usage (
  period  BIGINT NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL,
  bytes   BIGINT NOT NULL,
  PRIMARY KEY (period, user_id)
);

-- Quotas of their own; who has none has the configured one.
CREATE TABLE relay_quotas (
  user_id TEXT COLLATE "C" PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  bytes   BIGINT NOT NULL
);
