-- What each server of the cluster says of itself, for the others; those that fell silent are as good as gone.
CREATE TABLE servers (
  id        TEXT COLLATE "C" PRIMARY KEY,
  entry     TEXT COLLATE "C" NOT NULL,
  last_seen BIGINT NOT NULL
);

-- The server at which the node's relay link stands.
ALTER TABLE nodes ADD COLUMN server_id TEXT COLLATE "C";
CREATE INDEX nodes_server ON nodes (server_id) WHERE server_id IS NOT NULL;

-- In which order a node's actions were queued: times are seconds, and the last of two changes must win.
ALTER TABLE node_actions ADD COLUMN queued BIGINT NOT NULL DEFAULT 0;
