"""Two servers on one PostgreSQL and one Redis: the client's is server A, the node's server B."""
import base64
import os

from lab import lab as places
from lab.databases import CACHE_URL, STORE_URL, Postgres, Redis
from lab.programs import Server


class Cluster:
    """`a` and `b` are the servers; all of it is up once it is made."""

    def __init__(self, lab, *arguments):
        self.lab = lab
        self.postgres, self.redis = Postgres(lab.databases), Redis(lab.databases)
        self.postgres.start()
        self.redis.start()
        key = os.path.join(lab.dir, "cluster.key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(base64.b64encode(os.urandom(32)).decode())
        shared = ["--store", STORE_URL, "--cache", CACHE_URL, "--sealing-key-file", key, *arguments]
        self.a = Server(lab.server, shared=shared)
        self.b = Server(lab.server_b, places.SERVER_B, places.SERVER_B_2, shared=shared)
        for server in self.servers:
            server.start()

    @property
    def servers(self):
        return [self.a, self.b]

    def part(self):
        """From here on home A reaches server A alone, and home B server B alone: client and node are at different ones."""
        for host, home in ((self.lab.server_b, "a"), (self.lab.server, "b")):
            host.run("nft", "-f", "-", input=f"""table inet lab_apart {{
  chain input {{
    type filter hook input priority 0; policy accept;
    ip saddr {{ {places.PUBLIC[home]}, {places.PUBLIC_HOST[home]} }} drop
    ip6 saddr {{ 2001:db8:{home}::/64, {places.PUBLIC_HOST6[home]}, {places.PUBLIC6[home]} }} drop
  }}
}}
""")

    def join(self):
        for host in (self.lab.server_b, self.lab.server):
            host.run("nft", "delete", "table", "inet", "lab_apart")
