"""Two regions: server A at the primary PostgreSQL, server B with a read replica. The client is at B, its node at A.

The replica is paused, then the primary is killed and the replica promoted. Nothing is restarted, the tunnel goes on, and
requests fail only while there is no primary.
"""
# ctest: serial
import re

from case import NODE_ADDRESS, PASSWORD, LoggedCase
from lab import api
from lab.cluster import Regions
from lab.programs import METRICS_PORT, Client, Node
from lab.stream import Stream
from lab.wait import SCALE, wait_until

ROUNDS = 5  # of requests while the replica is paused
GAP_SECONDS = 3.0
PASSED_OVER = "the store's replica is passed over"
LISTS = ("/api/v1/nodes", "/api/v1/admin/sessions", "/api/v1/admin/audit")


class TwoRegions(LoggedCase):
    cluster = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.regions = Regions(cls.lab, "--rates-login", "100000")
            cls.a, cls.b = cls.regions.servers
            cls.a.add_user("alice", PASSWORD)
            cls.a.add_user("carol", PASSWORD, role="admin")
            cls.node = Node(cls.lab.node, cls.a.pin(), url=cls.a.url)
            cls.node.start()
            cls.client = Client(cls.lab.client_a, cls.b.pin(), url=cls.b.url)
            cls.client.login("alice", PASSWORD)
            cls.client.connect("--path", "relay", expect=NODE_ADDRESS)
        except BaseException:
            cls.failed = True
            raise

    def login(self, server):
        return api.login(self.lab.client_c, "carol", PASSWORD, url=server.url)

    def token(self, server):
        answer = self.login(server)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.body["accessToken"]

    def ask(self, server, token):
        """Lists and a route, which must all be answered."""
        for path in LISTS:
            answer = api.call(self.lab.client_c, "GET", path, token=token, url=server.url)
            self.assertEqual(answer.status, 200, f"{path} at {server.url}: {answer.body}")
        route = api.request_route(self.lab.client_c, token, url=server.url)
        self.assertEqual(route.status, 200, f"route at {server.url}: {route.body}")
        session = route.body["selectedRoute"]["sessionId"]
        ended = api.call(self.lab.client_c, "DELETE", f"/api/v1/sessions/{session}", token=token, url=server.url)
        self.assertEqual(ended.status, 204, ended.body)

    def reads(self, place):
        """How many reads of what may be old were answered there."""
        text = self.b.host.fetch(f"http://127.0.0.1:{METRICS_PORT}/metrics")
        found = re.search(r'higgs_store_old_reads_total\{place="%s"\} (\S+)' % place, text)
        return float(found.group(1)) if found else 0.0

    def replica_is(self, up):
        wait_until(lambda: self.b.metrics().get("higgs_store_replica_up") == up, 20, f"higgs_store_replica_up to be {up}")

    def test_replica_and_primary_may_go(self):
        stream = Stream(self.lab.client_a)
        try:
            self.reads_are_near()
            self.replica_pauses()
            self.primary_dies(stream)
        finally:
            stream.stop()
        self.assertIsNone(stream.failure, "the tunnel must go on")
        self.client.disconnect()

    def reads_are_near(self):
        self.replica_is(1)
        self.assertLess(self.b.metrics()["higgs_store_replica_lag_seconds"], 10)
        self.assertNotIn("higgs_store_replica_up", self.a.metrics(), "server A has none")
        before = self.reads("replica")
        self.ask(self.b, self.token(self.b))
        self.assertGreater(self.reads("replica"), before)

    def replica_pauses(self):
        token = self.token(self.b)
        before, said = self.reads("primary"), self.b.output().count(PASSED_OVER)
        self.regions.replica.pause()
        for _ in range(ROUNDS):
            self.ask(self.b, token)
        self.replica_is(0)
        self.assertGreater(self.reads("primary"), before)
        wait_until(lambda: self.b.output().count(PASSED_OVER) == said + 1, 20, "the log to say so")
        self.regions.replica.resume()
        self.replica_is(1)

    def primary_dies(self, stream):
        processes = [server.process.pid for server in self.regions.servers]
        begin = stream.moments[-1]
        self.regions.primary.kill()
        for server in self.regions.servers:
            self.assertEqual(self.login(server).status, 503)
        self.regions.replica.promote()
        for server in self.regions.servers:
            wait_until(lambda server=server: self.login(server).status == 200, 15, f"logins at {server.url}")
            self.ask(server, self.token(server))
        self.replica_is(0)
        self.assertEqual([server.process.pid for server in self.regions.servers if server.running], processes)
        position = stream.position
        wait_until(lambda: stream.failure or stream.position > position, 10, "the download to go on")
        self.assertLess(stream.longest_gap(begin, stream.moments[-1]), GAP_SECONDS * SCALE)
        status = next(node for node in self.client.nodes() if node["nodeId"])["status"]
        self.assertEqual(status, "online")
