"""What a client can never reach through a volunteer: each target is shown to be there, and then to be out of reach."""
# ctest: cluster
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places

LAN_PORT, ANY_PORT, LOOPBACK_PORT = 8001, 8002, 8003


class EgressPolicy(LabCase):
    second_client = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lab = cls.lab
        lab.serve(lab.printer, "--banner", f"{places.PRINTER}:{LAN_PORT}", "--banner", f"[{places.PRINTER6}]:{LAN_PORT}", port=LAN_PORT)
        lab.serve(lab.node, "--banner", f"0.0.0.0:{ANY_PORT}", "--banner", f"[::]:{LAN_PORT}", "--banner", f"127.0.0.1:{LOOPBACK_PORT}", port=LOOPBACK_PORT)
        lab.serve(lab.router_b, "--banner", f"{places.METADATA}:80", "--banner", f"{NODE_ADDRESS}:{ANY_PORT}", port=ANY_PORT)

    def setUp(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.me = self.lab.client_a

    def address_of(self, host, family="-4"):
        """The tunnel's address on that host."""
        for line in host.run("ip", family, "-br", "addr").stdout.splitlines():
            words = line.split()
            if words[0] != "lo" and not words[0].startswith("eth0"):
                return next(word.split("/")[0] for word in words[2:] if not word.startswith("fe80"))
        raise AssertionError(f"{host.name} has no tunnel")

    def test_allowed_port_outside(self):
        self.assertTrue(self.me.tcp_reaches(places.WEB, 8080))

    def test_mail_ports_outside(self):
        for port in (25, 465, 587):
            with self.subTest(port=port):
                self.assertTrue(self.lab.node.tcp_reaches(places.WEB, port), "the volunteer's own computer reaches it")
                self.assertFalse(self.me.tcp_reaches(places.WEB, port))

    def test_node_lan(self):
        for address in (places.PRINTER, places.PRINTER6):
            with self.subTest(address=address):
                self.assertTrue(self.lab.node.tcp_reaches(address, LAN_PORT))
                self.assertFalse(self.me.tcp_reaches(address, LAN_PORT))
        self.assertTrue(self.lab.node.pings(places.PRINTER))
        self.assertFalse(self.me.pings(places.PRINTER))

    def test_node_itself(self):
        inside = self.address_of(self.lab.node)
        self.assertTrue(self.lab.printer.tcp_reaches(places.NODE, ANY_PORT), "a neighbour reaches it")
        self.assertTrue(self.lab.node.tcp_reaches(inside, ANY_PORT), "it listens on the tunnel's address too")
        for address in (places.NODE, inside):
            with self.subTest(address=address):
                self.assertFalse(self.me.tcp_reaches(address, ANY_PORT))
        self.assertTrue(self.lab.printer.tcp_reaches(places.NODE6, LAN_PORT))
        self.assertFalse(self.me.tcp_reaches(places.NODE6, LAN_PORT))

    def test_node_loopback(self):
        """127.0.0.1 of the node, addressed as such from the tunnel: the client routes it there by force."""
        self.assertTrue(self.lab.node.tcp_reaches("127.0.0.1", LOOPBACK_PORT))
        device = next(line.split()[0] for line in self.me.run("ip", "-br", "link").stdout.splitlines()
                      if line.split()[0] != "lo" and not line.startswith("eth0"))
        self.me.sh(f"ip rule del pref 0; ip rule add pref 10 lookup local; ip rule add pref 1 to 127.0.0.1 lookup 99; "
                   f"ip route add 127.0.0.1 dev {device} table 99; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
        try:
            self.assertFalse(self.me.tcp_reaches("127.0.0.1", LOOPBACK_PORT))
        finally:
            self.me.sh("echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet; ip route flush table 99; ip rule del pref 1; "
                       "ip rule add pref 0 lookup local; ip rule del pref 10")

    def test_own_public_address_of_the_node(self):
        self.assertTrue(self.lab.node.tcp_reaches(NODE_ADDRESS, ANY_PORT))
        self.assertFalse(self.me.tcp_reaches(NODE_ADDRESS, ANY_PORT))

    def test_metadata_service(self):
        self.assertTrue(self.lab.node.tcp_reaches(places.METADATA, 80))
        self.assertFalse(self.me.tcp_reaches(places.METADATA, 80))

    def test_other_client(self):
        self.other.connect(expect=NODE_ADDRESS)
        for family in ("-4", "-6"):
            with self.subTest(family=family):
                address = self.address_of(self.lab.client_c, family)
                bind = f"[{address}]" if ":" in address else address
                port = 9004 if family == "-4" else 9006
                self.lab.serve(self.lab.client_c, "--banner", f"{bind}:{port}", port=port)
                self.assertTrue(self.lab.client_c.tcp_reaches(address, port))
                self.assertFalse(self.me.tcp_reaches(address, port))
        self.assertFalse(self.me.pings(self.address_of(self.lab.client_c)))


if __name__ == "__main__":
    unittest.main()
