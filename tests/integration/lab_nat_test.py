"""The NAT kinds of the laboratory, judged by plain UDP sockets: the truth that the programs are held against.

For each kind: which outside address and port two targets see (mapping), who may answer (filtering), and for each pair
of kinds whether two computers can meet at all when each sends to where the other was last seen.
"""
import itertools
import select
import socket
import time
import unittest

from lab import lab as places
from lab import nat, traversal
from lab.lab import Lab

UDP = socket.SOCK_DGRAM
PATIENCE, SILENCE = 5.0, 0.3  # for what must come, and for what must not
COMPUTER = {"a": "client_a", "b": "node"}
# Kind: (one outside port whatever the target, the inside port is kept, who may answer: the address and port sent to, another port of it, another address)
BEHAVIOUR = {
    "none": (True, True, (True, True, True)),
    "full-cone": (True, True, (True, True, True)),
    "full-cone-remap": (True, False, (True, True, True)),
    "address-restricted": (True, True, (True, True, False)),
    "port-restricted": (True, True, (True, False, False)),
    "port-restricted-remap": (True, False, (True, False, False)),
    "symmetric": (False, False, (True, False, False)),
    "symmetric-sequential": (False, False, (True, False, False)),
}


def can_meet(one, other):
    """The theory: an outside port that changes with the target is found only by who does not filter by port."""
    if "udp-blocked" in (one, other):
        return False
    if "symmetric" not in (one, other):
        return True
    return one == "symmetric" and other not in ("symmetric", "port-restricted") or other == "symmetric" and one not in ("symmetric", "port-restricted")


class NatKinds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(payload_mib=1)
        cls.addClassCleanup(cls.lab.close)
        for home in "ab":
            cls.lab.set_ipv6(home, False)

    def tearDown(self):
        for home in "ab":
            self.lab.set_nat(home, "port-restricted")

    def udp(self, host, address="0.0.0.0", port=0):
        opened = host.socket(kind=UDP)
        self.addCleanup(opened.close)
        opened.bind((address, port))
        opened.settimeout(PATIENCE)
        return opened

    def outside(self, inside, target):
        """The address and port that the target sees."""
        inside.sendto(b"?", target.getsockname())
        return target.recvfrom(10)[1]

    def hears(self, inside, sender, where):
        inside.settimeout(SILENCE)
        sender.sendto(b"!", where)
        try:
            return inside.recvfrom(10)[0] == b"!"
        except TimeoutError:
            return False
        finally:
            inside.settimeout(PATIENCE)

    def test_all_kinds_are_judged(self):
        self.assertEqual(set(nat.KINDS) - {"full-cone-hairpin", "udp-blocked"}, set(BEHAVIOUR) - {"none"})

    def test_mapping(self):
        for home, (kind, (stable, kept, _)) in itertools.product("ab", BEHAVIOUR.items()):
            with self.subTest(home=home, kind=kind):
                self.lab.set_nat(home, kind)
                inside = self.udp(self.lab.hosts[COMPUTER[home]], port=40001)
                targets = [self.udp(self.lab.web, address) for address in (places.WEB, places.WEB, places.DNS)]
                seen = [self.outside(inside, target) for target in targets]
                self.assertEqual({address for address, _ in seen}, {self.lab.public_address(home)})
                self.assertEqual(len({port for _, port in seen}), 1 if stable else 3)
                self.assertEqual(seen[0][1] == 40001, kept)
                self.assertEqual(self.outside(inside, targets[0]), seen[0], "a flow keeps its port")
                inside.close()

    def test_filtering(self):
        for home, (kind, (_, _, answers)) in itertools.product("ab", BEHAVIOUR.items()):
            with self.subTest(home=home, kind=kind):
                self.lab.set_nat(home, kind)
                inside = self.udp(self.lab.hosts[COMPUTER[home]])
                asked, other_port, other_address = (self.udp(self.lab.web, address) for address in (places.WEB, places.WEB, places.DNS))
                where = self.outside(inside, asked)
                self.assertEqual(tuple(self.hears(inside, sender, where) for sender in (asked, other_port, other_address)), answers)
                inside.close()

    def test_sequential_ports_follow_each_other(self):
        self.lab.set_nat("a", "symmetric-sequential")
        target = self.udp(self.lab.web, places.WEB)
        ports = [self.outside(self.udp(self.lab.client_a), target)[1] for _ in range(8)]
        self.assertEqual(ports, list(range(ports[0], ports[0] + 8)))

    def test_random_ports_do_not(self):
        self.lab.set_nat("a", "symmetric")
        target = self.udp(self.lab.web, places.WEB)
        ports = [self.outside(self.udp(self.lab.client_a), target)[1] for _ in range(8)]
        self.assertGreater(max(ports) - min(ports), 1000, ports)

    def test_udp_blocked(self):
        for home in "ab":
            self.lab.set_nat(home, "udp-blocked")
            host, target = self.lab.hosts[COMPUTER[home]], self.udp(self.lab.web, places.WEB)
            target.settimeout(SILENCE)
            with self.assertRaises(TimeoutError):
                self.outside(self.udp(host), target)
            self.assertEqual(host.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC[home], "TCP still leaves")

    def test_flows_are_forgotten_when_the_kind_changes(self):
        self.lab.set_nat("a", "full-cone")
        inside, asked, stranger = self.udp(self.lab.client_a), self.udp(self.lab.web, places.WEB), self.udp(self.lab.web, places.DNS)
        where = self.outside(inside, asked)
        self.assertTrue(self.hears(inside, stranger, where))
        self.lab.set_nat("a", "port-restricted")
        self.assertFalse(self.hears(inside, stranger, where))
        self.assertFalse(self.hears(inside, asked, where))

    def test_another_public_address_cuts_every_flow(self):
        inside, target = self.udp(self.lab.client_a), self.udp(self.lab.web, places.WEB)
        before = self.outside(inside, target)
        self.lab.set_wan("a", "203.0.113.121")
        try:
            self.assertFalse(self.hears(inside, target, before))
            after = self.outside(inside, target)
            self.assertEqual(after[0], "203.0.113.121")
            self.assertTrue(self.hears(inside, target, after))
            self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB}/ip").strip(), "203.0.113.121")
        finally:
            self.lab.set_wan("a", places.PUBLIC["a"])
        self.assertEqual(self.outside(inside, target)[0], places.PUBLIC["a"])

    def test_a_cut_between_two_homes_and_only_there(self):
        self.assertTrue(self.meet())
        self.lab.cut("a", places.PUBLIC["b"])
        self.assertFalse(self.meet())
        self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC["a"])
        self.lab.mend("a")
        self.assertTrue(self.meet())

    def test_another_address_of_a_computer(self):
        self.lab.readdress("client_a", "10.1.0.77")
        self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC["a"])
        self.assertFalse(self.lab.router_a.pings(places.CLIENT_A))
        self.lab.readdress("client_a", places.CLIENT_A)
        self.assertTrue(self.lab.router_a.pings(places.CLIENT_A))

    def test_who_can_meet_whom(self):
        for one, other in itertools.product(traversal.KINDS, traversal.KINDS):
            with self.subTest(client=one, node=other):
                self.lab.set_nat("a", one)
                self.lab.set_nat("b", other)
                self.assertEqual(self.meet(), can_meet(one, other))

    def test_the_table_of_truth_says_the_same(self):
        for one, other in itertools.product(traversal.KINDS, traversal.KINDS):
            self.assertEqual(traversal.truth(one, other) == traversal.DIRECT, can_meet(one, other), (one, other))
            self.assertEqual(traversal.truth(one, other) == traversal.RELAY, "udp-blocked" in (one, other), (one, other))

    def test_deviations_are_seen(self):
        """What the programs say is not enough."""
        alone, over_udp, over_tcp = ({"all": udp + tcp, "udp": udp, "tcp": tcp} for udp, tcp in ((0.001, 0.002), (2.2, 0.001), (0.001, 2.2)))
        direct, turn, relay = traversal.DIRECT, traversal.TURN, traversal.RELAY
        for path, shares in ((direct, alone), (turn, over_udp), (relay, over_tcp)):
            self.assertEqual(traversal.deviations(path, path, 0.9, 1.9, shares), [])
            for other in (alone, over_udp, over_tcp):
                self.assertEqual(len(traversal.deviations(path, path, 0.9, 1.9, other)), int(other is not shares))
        for told, first, best in ((turn, 0.9, 1.9), (None, 0.9, 1.9), (direct, 1.1, 1.9), (direct, None, 1.9), (direct, 0.9, 2.1), (direct, 0.9, None)):
            self.assertEqual(len(traversal.deviations(direct, told, first, best, alone)), 1, (told, first, best))

    def meet(self):
        """Both learn their outside address from a third, tell it each other, and send for a while."""
        ends = [self.udp(self.lab.hosts[COMPUTER[home]]) for home in "ab"]
        reflector = self.udp(self.lab.web, places.WEB)
        reflector.settimeout(SILENCE)
        try:
            to = dict(zip(ends, reversed([self.outside(end, reflector) for end in ends])))
        except TimeoutError:
            return False
        heard, deadline = set(), time.monotonic() + 2 * SILENCE
        while len(heard) < 2 and time.monotonic() < deadline:
            for end in ends:
                end.sendto(b"punch", to[end])
            for end in select.select(ends, [], [], 0.02)[0]:
                to[end] = end.recvfrom(10)[1]  # where it really came from
                heard.add(end)
        for end in ends:
            end.close()
        return len(heard) == 2


class Ipv6(unittest.TestCase):
    """Both homes have IPv6 behind routers that let in only what was asked for."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(payload_mib=1)
        cls.addClassCleanup(cls.lab.close)

    def ends(self):
        for name, address in (("client_a", places.CLIENT_A6), ("node", places.NODE6)):
            opened = self.lab.hosts[name].socket(socket.AF_INET6, UDP)
            self.addCleanup(opened.close)
            opened.bind((address, 0))
            opened.settimeout(SILENCE)
            yield opened

    def test_unasked_is_dropped_and_answers_pass(self):
        client, node = self.ends()
        client.sendto(b"?", node.getsockname()[:2])
        with self.assertRaises(TimeoutError):
            node.recvfrom(10)
        node.sendto(b"!", client.getsockname()[:2])
        self.assertEqual(client.recvfrom(10)[0], b"!")
        client.sendto(b"?", node.getsockname()[:2])
        self.assertEqual(node.recvfrom(10)[0], b"?")

    def test_it_can_be_switched_off_and_on(self):
        before = self.lab.client_a.snapshot()
        self.lab.set_ipv6("a", False)
        self.assertNotIn("2001:db8", self.lab.client_a.run("ip", "-6", "addr").stdout)
        self.assertIsNone(self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip"))
        self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC["a"])
        self.lab.set_ipv6("a", True)
        self.assertEqual(self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip").strip(), places.CLIENT_A6)
        self.assertEqual(self.lab.client_a.snapshot(), before)

    def test_a_public_host_and_back(self):
        before = self.lab.node.snapshot()
        self.lab.set_nat("b", "none")
        self.assertTrue(self.lab.web.pings(places.PUBLIC_HOST["b"]) and self.lab.web.pings(places.PUBLIC_HOST6["b"]))
        self.assertTrue(self.lab.client_a.pings(places.PUBLIC_HOST["b"]) and self.lab.client_a.pings(places.PUBLIC_HOST6["b"]))
        self.assertEqual(self.lab.node.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC_HOST["b"])
        self.lab.set_nat("b", "port-restricted")
        self.assertEqual(self.lab.node.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC["b"])
        self.assertEqual(self.lab.node.snapshot(), before)


if __name__ == "__main__":
    unittest.main()
