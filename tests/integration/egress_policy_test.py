"""What a client can never reach through a volunteer: each target is shown to be there, and then to be out of reach."""
# ctest: cluster
import re
import socket
import struct
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places
from lab import wire
from lab.wait import wait_until

LAN_PORT, ANY_PORT, LOOPBACK_PORT, RANGE_PORT, ECHO_PORT, GROUP_PORT = 8001, 8002, 8003, 8009, 8010, 8011
MAIL_PORTS = (25, 465, 587)
# One address of each range that no client may reach; the router of the node's home has them all.
FORBIDDEN = ("10.2.0.1", "10.77.0.1", "100.64.0.1", "172.16.0.1", "192.0.0.9", "192.88.99.1", "192.168.77.1", "198.18.0.1", "240.0.0.1",
             "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2002:a00:1::1", "fd99::1", "fec0::1", "4000::1")
# Another network of the prefix that the home has, and one that the node has a route to.
HOME_NETWORK, SITE_NETWORK, SITE = "2001:db8:b:7::1", "192.0.2.0/24", "192.0.2.9"
GROUPS = ("239.7.7.7", "ff15::77")


def at(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class EgressPolicy(LabCase):
    second_client = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lab = cls.lab
        lab.serve(lab.printer, "--banner", f"{places.PRINTER}:{LAN_PORT}", "--banner", f"[{places.PRINTER6}]:{LAN_PORT}", port=LAN_PORT)
        lab.serve(lab.node, "--banner", f"0.0.0.0:{ANY_PORT}", "--banner", f"[::]:{LAN_PORT}", "--banner", f"127.0.0.1:{LOOPBACK_PORT}", port=LOOPBACK_PORT)
        lab.serve(lab.router_b, "--banner", f"{places.METADATA}:80", "--banner", f"{NODE_ADDRESS}:{ANY_PORT}", port=ANY_PORT)
        there = (*FORBIDDEN, HOME_NETWORK, SITE)
        lab.router_b.sh("\n".join(f"ip addr replace {address}/{128 if ':' in address else 32} dev lan0 {'nodad' if ':' in address else ''}"
                                  for address in there if address != "10.2.0.1"))
        lab.serve(lab.router_b, *(word for address in there for word in ("--banner", at(address, RANGE_PORT))), port=RANGE_PORT)
        lab.serve(lab.web, *(word for port in (*MAIL_PORTS, ECHO_PORT) for word in ("--udp-echo", f"{places.WEB}:{port}")),
                  "--udp-echo", f"[{places.WEB6}]:{ECHO_PORT}", port=ECHO_PORT, kind="udp")

    def setUp(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.me = self.lab.client_a

    def tunnel_of(self, host):
        """The tunnel's interface on that host."""
        return next(line.split()[0] for line in host.run("ip", "-br", "link").stdout.splitlines()
                    if line.split()[0] != "lo" and not line.startswith("eth0"))

    def dropped_at_input(self, program="iptables"):
        """Packets from the tunnel to the node itself that its rules have dropped."""
        chain = re.search(r"HIGGSN-\w+-IN\b", self.lab.node.run(program, "-S").stdout)
        if not chain:
            return 0
        return sum(int(line.split()[0]) for line in self.lab.node.run(program, "-vxnL", chain.group()).stdout.splitlines()[2:])

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
        targets = [(kind, places.WEB, port) for port in MAIL_PORTS for kind in ("tcp", "udp")]
        self.assertEqual(self.lab.node.answered(*targets), targets, "the volunteer's own computer reaches them")
        allowed = ("udp", places.WEB, ECHO_PORT)
        self.assertEqual(self.me.answered(*targets, allowed), [allowed])

    def test_forbidden_ranges(self):
        targets = [("tcp", address, RANGE_PORT) for address in FORBIDDEN]
        self.assertEqual(self.lab.node.answered(*targets), targets, "the volunteer's own computer reaches them")
        self.assertEqual(self.me.answered(*targets), [])

    def test_other_networks_of_the_site(self):
        home, site = ("tcp", HOME_NETWORK, RANGE_PORT), ("tcp", SITE, RANGE_PORT)
        self.assertEqual(self.lab.node.answered(home, site), [home, site])
        self.assertEqual(self.me.answered(home, site), [site], "it may be anybody's as long as the node has no route of its own to it")
        self.lab.node.run("ip", "route", "add", SITE_NETWORK, "via", "10.2.0.1")
        self.addCleanup(self.lab.node.run, "ip", "route", "del", SITE_NETWORK)
        wait_until(lambda: not self.me.answered(home, site), 10, "the network behind the gateway to be closed")

    def test_addresses_that_stand_for_others(self):
        """IPv4-mapped and the like: sockets do not send to these, so whole packets are put on the tunnel's interface."""
        hidden = ["::10.2.0.9", "::ffff:10.2.0.9", "::ffff:0:10.2.0.9", "64:ff9b::10.2.0.9", "2002:a02:9::1"]
        me = (self.address_of(self.me, "-6"), 40000)
        with self.lab.router_b.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire_of_the_home:
            wire_of_the_home.bind(("lan0", wire.ETH_P_ALL))
            wire.send_out(self.me, self.tunnel_of(self.me), *(wire.ip_packet(me, (address, ECHO_PORT), b"hidden") for address in hidden),
                          wire.ip_packet(me, (places.WEB6, ECHO_PORT), b"stands for itself"))
            wait_until(lambda: self.lab.seen(self.lab.web, "udp", text="stands for itself"), 10, "the last packet to arrive")
            wire_of_the_home.setblocking(False)
            frames = []
            with self.assertRaises(BlockingIOError):
                while True:
                    frames.append(wire_of_the_home.recv(2048))
        came = {payload for frame in frames for payload in (b"hidden", b"stands for itself") if frame.endswith(payload)}
        self.assertEqual(came, {b"stands for itself"})

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
        """127.0.0.1 of the node, addressed as such from the tunnel: the client routes it there by force, and the node's kernel lets it in."""
        self.assertTrue(self.lab.node.tcp_reaches("127.0.0.1", LOOPBACK_PORT))
        device, inside = self.tunnel_of(self.me), f"/proc/sys/net/ipv4/conf/{self.tunnel_of(self.lab.node)}/route_localnet"
        self.lab.node.sh(f"echo 1 >{inside}")
        self.me.sh(f"ip rule del pref 0; ip rule add pref 10 lookup local; ip rule add pref 1 to 127.0.0.1 lookup 99; "
                   f"ip route add 127.0.0.1 dev {device} table 99; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
        try:
            before = self.dropped_at_input()
            self.assertFalse(self.me.tcp_reaches("127.0.0.1", LOOPBACK_PORT))
            self.assertGreater(self.dropped_at_input(), before, "it got as far as the node's own rules")
        finally:
            self.me.sh("echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet; ip route flush table 99; ip rule del pref 1; "
                       "ip rule add pref 0 lookup local; ip rule del pref 10")
            self.lab.node.sh(f"echo 0 >{inside}")

    def test_groups_that_the_node_has_joined(self):
        device = self.tunnel_of(self.lab.node)
        index = int(self.lab.node.run("cat", f"/sys/class/net/{device}/ifindex").stdout)
        for group in GROUPS:
            with self.subTest(group=group):
                v6 = ":" in group
                program, family = ("ip6tables", "-6") if v6 else ("iptables", "-4")
                with self.lab.node.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as member:
                    if v6:
                        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
                    else:
                        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("!4s4s", socket.inet_aton(group), bytes(4)) + struct.pack("@i", index))
                    member.bind(("", GROUP_PORT))
                    before, text = self.dropped_at_input(program), f"behind {group}"
                    me = (self.address_of(self.me, family), 40000)
                    outside = (places.WEB6 if v6 else places.WEB, ECHO_PORT)
                    wire.send_out(self.me, self.tunnel_of(self.me), wire.ip_packet(me, (group, GROUP_PORT), b"to all"), wire.ip_packet(me, outside, text.encode()))
                    wait_until(lambda: self.lab.seen(self.lab.web, "udp", text=text), 10, "the packet behind it to arrive")
                    member.setblocking(False)
                    with self.assertRaises(BlockingIOError, msg="the node's member of the group has heard the client"):
                        member.recv(100)
                    self.assertGreater(self.dropped_at_input(program), before, "it got as far as the node's own rules")

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
