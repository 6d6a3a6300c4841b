"""A volunteer's computer as it may be: IPv6 switched off, a firewall that others reload, a router with several addresses."""
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places
from lab.miniupnpd import Miniupnpd
from lab.programs import SERVER_PORT, Server
from lab.wait import wait_until

ROUTER_PORT, LAN_PORT = 8002, 8001
SERVER_NAME = "higgs.lab.test"


class NodeHost(LabCase):
    @classmethod
    def _start_servers(cls):
        """The server has a name, and the node comes to it over IPv6, which goes past the router's NAT."""
        for host in (cls.lab.node, cls.lab.client_a):
            host.sh("cat >>/etc/hosts", input=f"{places.SERVER6} {SERVER_NAME}\n{places.SERVER} {SERVER_NAME}\n")
        server = Server(cls.lab.server)
        server.url = f"https://{SERVER_NAME}:{SERVER_PORT}"
        server.start()
        return server, server

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.serve(cls.lab.printer, "--banner", f"{places.PRINTER}:{LAN_PORT}", port=LAN_PORT)
        cls.lab.serve(cls.lab.router_b, "--banner", f"0.0.0.0:{ROUTER_PORT}", port=ROUTER_PORT)
        cls.me = cls.lab.client_a

    def public_addresses(self):
        return (self.node.status() or {}).get("egress", {}).get("publicAddresses", [])

    def test_router_behind_a_node_that_comes_over_ipv6(self):
        wait_until(lambda: self.public_addresses(), 10, "an address to be known")
        self.assertIn(places.NODE6, self.public_addresses(), "the server saw the node's own address")
        self.client.connect(expect=NODE_ADDRESS)
        wait_until(lambda: NODE_ADDRESS in self.public_addresses(), 10, "STUN to tell the router's address")
        self.assertTrue(self.lab.node.tcp_reaches(NODE_ADDRESS, ROUTER_PORT), "the router answers its own network there")
        self.assertFalse(self.me.tcp_reaches(NODE_ADDRESS, ROUTER_PORT))

    def test_address_that_the_router_maps_ports_from(self):
        daemon = Miniupnpd(self.lab, "b")
        self.addCleanup(daemon.close)
        daemon.start()
        self.client.connect(expect=NODE_ADDRESS)
        wait_until(lambda: daemon.outside in self.public_addresses(), 30, "the router to tell its address")
        self.assertTrue(self.lab.node.tcp_reaches(daemon.outside, ROUTER_PORT))
        self.assertFalse(self.me.tcp_reaches(daemon.outside, ROUTER_PORT))

    def test_firewall_that_somebody_else_flushes(self):
        self.client.connect(expect=NODE_ADDRESS)
        repairs = self.node.status()["egress"]["repairs"]
        lan, mail = ("tcp", places.PRINTER, LAN_PORT), ("tcp", places.WEB, 25)
        self.assertEqual(self.lab.node.answered(lan, mail), [lan, mail])
        self.lab.node.sh("iptables -F; ip6tables -F")
        self.assertNotIn(lan, self.me.answered(lan), "at no moment")
        wait_until(lambda: self.node.status()["egress"]["repairs"] > repairs, 5, "the rules to be back")
        self.assertEqual(self.me.answered(lan, mail), [])
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS, "it goes on serving")

    def test_routes_that_somebody_else_removes(self):
        """As systemd-networkd does with rules that are not its own."""
        self.client.connect(expect=NODE_ADDRESS)
        before = self.lab.node.sh("ip rule; ip -6 rule").stdout
        self.assertIn("iif higgs", before)
        for family in ("-4", "-6"):
            self.lab.node.run("ip", family, "rule", "flush", "pref", "64")
        wait_until(lambda: self.lab.node.sh("ip rule; ip -6 rule").stdout == before, 5, "the rules to be back")

    def test_ipv6_switched_off_by_sysctl(self):
        self.node.stop()
        self.lab.node.sh("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        try:
            self.node.start()
            egress = self.node.status()["egress"]
            self.assertTrue(egress["inForce"])
            self.assertFalse(egress["ipv6"])
            self.assertEqual(len(self.node.status()["tunnel"]["prefixes"]), 1)
            self.assertIn("-FWD -j REJECT", self.lab.node.run("ip6tables", "-S").stdout, "it may be switched on again at any time")
            self.client.connect(expect=NODE_ADDRESS)
            self.assertTrue(self.me.tcp_reaches(places.WEB, 8080))
            self.client.disconnect()
            self.node.stop()
        finally:
            self.lab.node.sh("echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
            for on in (False, True):
                self.lab.set_ipv6("b", on)
            if not self.node.running:
                self.node.start()


if __name__ == "__main__":
    unittest.main()
