"""Two servers that are one: at one place with one PostgreSQL and one Redis, or in two regions."""
import base64
import os

from lab import lab as places
from lab.databases import STORE_URL, Postgres, Redis, postgres_url
from lab.programs import Server


def _make_key(lab):
    """A sealing key for all servers of a store."""
    key = os.path.join(lab.dir, "cluster.key")
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(base64.b64encode(os.urandom(32)).decode())
    return key


def _keep_apart(host, home):
    """A home does not reach that server."""
    host.run("nft", "-f", "-", input=f"""table inet lab_apart {{
  chain input {{
    type filter hook input priority 0; policy accept;
    ip saddr {{ {places.PUBLIC[home]}, {places.PUBLIC_HOST[home]} }} drop
    ip6 saddr {{ 2001:db8:{home}::/64, {places.PUBLIC_HOST6[home]}, {places.PUBLIC6[home]} }} drop
  }}
}}
""")


class Cluster:
    """`a` and `b` are the servers, the client's and the node's; all of it is up once it is made."""

    def __init__(self, lab, *arguments):
        self.lab = lab
        self.postgres, self.redis = Postgres(lab.databases), Redis(lab.databases)
        self.postgres.start()
        self.redis.start()
        shared = ["--store", STORE_URL, "--cache", self.redis.url, "--sealing-key-file", _make_key(lab), *arguments]
        self.a = Server(lab.server, shared=shared)
        self.b = Server(lab.server_b, places.SERVER_B, places.SERVER_B_2, shared=shared)
        for server in self.servers:
            server.start()

    @property
    def servers(self):
        return [self.a, self.b]

    def part(self):
        """From here on home A reaches server A alone, and home B server B alone: client and node are at different ones."""
        _keep_apart(self.lab.server_b, "a")
        _keep_apart(self.lab.server, "b")

    def join(self):
        for host in (self.lab.server_b, self.lab.server):
            host.run("nft", "delete", "table", "inet", "lab_apart")


class Regions:
    """Server `a` at the primary PostgreSQL, server `b` with a read replica beside it, each with a Redis of its region.

    Home A reaches `b` alone, home B `a`.
    """

    def __init__(self, lab, *arguments):
        self.primary = Postgres(lab.databases)
        self.primary.start()
        host_b = lab.stranger("databases_b", places.DATABASES_B)
        self.replica = Postgres(host_b, places.DATABASES_B, primary=self.primary)
        caches = [Redis(lab.databases), Redis(host_b, places.DATABASES_B)]
        for database in (self.replica, *caches):
            database.start()
        shared = ["--store", postgres_url(places.DATABASES, places.DATABASES_B), "--sealing-key-file", _make_key(lab), *arguments]
        self.a = Server(lab.server, shared=[*shared, "--cache", caches[0].url])
        self.b = Server(lab.server_b, places.SERVER_B, places.SERVER_B_2,
                        shared=[*shared, "--cache", caches[1].url, "--store-replica", postgres_url(places.DATABASES_B)])
        for server in self.servers:
            server.start()
        _keep_apart(lab.server, "a")
        _keep_apart(lab.server_b, "b")

    @property
    def servers(self):
        return [self.a, self.b]
