"""What the integration tests share: a laboratory with a server, a node and a client that has logged in."""
import os
import shutil
import unittest

from lab import lab as places
from lab.cluster import Cluster
from lab.lab import Lab
from lab.programs import Client, Node, Program, Server

PASSWORD = "correct horse battery staple"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODE_ADDRESS = places.PUBLIC["b"]
# The same tests on a cluster: client and node at different servers, which share PostgreSQL and Redis.
CLUSTER = os.environ.get("HIGGS_LAB_CLUSTER") == "1"


class LoggedCase(unittest.TestCase):
    """A class with a laboratory of its own, `cls.lab`: its logs are kept if a test failed or a program reported an error."""

    payload_mib = 8
    cluster = CLUSTER  # whether there are hosts for databases and for a second server

    @classmethod
    def setUpClass(cls):
        Program.started.clear()
        cls.failed = False
        cls.lab = Lab(payload_mib=cls.payload_mib, cluster=cls.cluster)
        cls.addClassCleanup(cls._close)

    @classmethod
    def _close(cls):
        reports = Program.reports()
        if cls.failed or reports:
            target = os.path.join(ROOT, "build", "lab-logs", cls.__name__)
            shutil.rmtree(target, ignore_errors=True)
            cls.lab.keep_logs(target)
            print(f"logs of the failed run: {target}")
        cls.lab.close()
        if reports:
            raise AssertionError("\n".join(reports))

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            type(self).failed = True


class LabCase(LoggedCase):
    """One laboratory per class. Sub-classes set what they need and start from a running server and node."""

    second_client = False
    server_arguments = ()
    node_arguments = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.before = {name: host.snapshot() for name, host in cls.lab.hosts.items()}
            cls.server, nodes_server = cls._start_servers()
            cls.server.add_user("alice", PASSWORD)
            cls.node = Node(cls.lab.node, nodes_server.pin(), url=nodes_server.url)
            cls.node.start(*cls.node_arguments)
            cls.client = Client(cls.lab.client_a, cls.server.pin())
            cls.client.login("alice", PASSWORD)
            if cls.second_client:
                cls.server.add_user("carol", PASSWORD)
                cls.other = Client(cls.lab.client_c, cls.server.pin())
                cls.other.login("carol", PASSWORD)
        except BaseException:
            cls.failed = True
            raise

    @classmethod
    def _start_servers(cls):
        """The server of the clients, and that of the node."""
        if not CLUSTER:
            server = Server(cls.lab.server)
            server.start(*cls.server_arguments)
            return server, server
        cls.cluster = Cluster(cls.lab, *cls.server_arguments)
        # Each of them has the choice, and would otherwise often take the same one.
        cls.cluster.part()
        return cls.cluster.a, cls.cluster.b

    def tearDown(self):
        """Each test leaves the client disconnected; the server and the node go on."""
        for client in [self.client] + ([self.other] if self.second_client else []):
            client.vpn("disconnect", check=False)
            if client.running:
                client.process.wait(10)
            client.process = None

    def assert_untouched(self, host):
        """The host is byte for byte as before the programs were first started on it."""
        self.maxDiff = None
        self.assertMultiLineEqual(self.before[host.name], host.snapshot(), f"{host.name} is not as it was")
