"""Which path a tunnel finds between two NATs: the telling cells of `make nat-matrix`, and what it does not hold."""
# ctest: serial
import unittest

from lab import lab as places
from lab import traversal
from lab.lab import Lab
from lab.programs import Program
from lab.traversal import DIRECT, DIRECT_V6, RELAY
from lab.wait import SCALE, wait_until

PATIENCE = 3.0 * SCALE  # the matrix, which runs alone, has the limits themselves


class Traversal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Program.started.clear()
        cls.lab = Lab(payload_mib=traversal.DOWNLOAD_MIB)
        cls.addClassCleanup(cls.lab.close)
        cls.pair = traversal.Pair(cls.lab)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            traversal.keep_logs(self.lab, f"{type(self).__name__}.{self.id().rsplit('.', 1)[1]}")

    def tearDown(self):
        self.pair.client.vpn("disconnect", check=False)
        if self.pair.client.running:
            self.pair.client.process.wait(10)
        for home in "ab":
            self.lab.set_ipv6(home, False)
        self.assertEqual(Program.reports(), [])

    def cells(self, node, *clients):
        self.pair.node_behind(node)
        for client in clients:
            with self.subTest(client=client, node=node):
                cell, wrong = self.pair.cell(client, node, PATIENCE)
                print(f"{client}: {cell.path} {cell.ms_to_tunnel}/{cell.ms_to_best_path} ms ", end="", flush=True)
                self.assertEqual(wrong, [])

    def test_node_behind_port_restricted(self):
        self.cells("port-restricted", "address-restricted", "port-restricted", "symmetric")

    def test_node_behind_symmetric(self):
        self.cells("symmetric", "full-cone", "symmetric")

    def test_node_without_nat(self):
        self.cells("none", "symmetric", "udp-blocked")

    def test_node_without_udp(self):
        self.cells("udp-blocked", "none")

    def reaches(self, best, *arguments):
        """Connects and holds the server's interface against the path that the status tells of."""
        _, to_path = self.pair.connect(best, *arguments)
        self.assertIsNotNone(to_path, f"{best} is not reached, the path is {self.pair.path()}")
        shares = self.pair.download()
        self.assertEqual(self.pair.path(), best)
        self.assertEqual(traversal.carried(best, shares), [])

    def test_ipv6_between_two_firewalls(self):
        """Both routers let in only what was asked for; IPv4 alone would not do."""
        self.pair.node_behind("symmetric")
        self.pair.client_behind("symmetric")
        for home in "ab":
            self.lab.set_ipv6(home, True)
        self.pair.node_behind("symmetric")
        self.reaches(DIRECT_V6)

    def test_ipv6_of_one_side_only(self):
        self.lab.set_ipv6("a", True)
        self.pair.node_behind("port-restricted")
        self.pair.client_behind("port-restricted")
        self.reaches(DIRECT)

    def test_sequential_symmetric_nat_is_predicted(self):
        self.pair.node_behind("port-restricted")
        self.pair.client_behind("symmetric-sequential")
        self.reaches(DIRECT)

    def test_relay_by_request(self):
        self.pair.node_behind("none")
        self.pair.client_behind("none")
        self.reaches(RELAY, "--path", "relay")

    def test_nat_that_changes_under_a_tunnel(self):
        """From a NAT that lets no direct path be to one that does: the tunnel becomes direct without a new connect."""
        self.pair.node_behind("port-restricted")
        self.pair.client_behind("udp-blocked")
        self.pair.connect(RELAY)
        self.assertEqual(self.pair.path(), RELAY)
        self.lab.set_nat("a", "full-cone")
        wait_until(lambda: self.pair.path() == DIRECT, 60, "the direct path to be found by a retry")
        self.assertEqual(traversal.carried(DIRECT, self.pair.download()), [])
        self.assertEqual(self.pair.client.exit_address(), places.PUBLIC["b"])


if __name__ == "__main__":
    unittest.main()
