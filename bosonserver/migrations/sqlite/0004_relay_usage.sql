-- What users send over the relays of all servers, by month (year × 100 + month).
CREATE TABLE relay_usage (
  period  INTEGER NOT NULL,
  user_id TEXT NOT NULL,
  bytes   INTEGER NOT NULL,
  PRIMARY KEY (period, user_id)
);

-- Quotas of their own; who has none has the configured one.
CREATE TABLE relay_quotas (
  user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  bytes   INTEGER NOT NULL
);
