"""The kill switch: what leaves the physical interface while the tunnel, the node or the client dies."""
# ctest: cluster
import contextlib
import socket
import time
import unittest

from case import NODE_ADDRESS, PASSWORD, LabCase
from lab import lab as places
from lab.capture import Capture, leaks, summary
from lab.programs import RELAYS, Client
from lab.wait import wait_until

CHATTER = f"{places.os.path.dirname(places.__file__)}/chatter.py"


class Leaks(LabCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # So that test_nothing_leaks_at_disconnect need not wait for minutes.
        cls.lab.client_a.sh("sysctl -qw net.ipv4.tcp_orphan_retries=1")

    @contextlib.contextmanager
    def watched(self):
        """Captures the client's physical interface while the computer is talkative; the list has the packets at the end."""
        packets = []
        capture = Capture(self.lab.client_a, "eth0", RELAYS, self.id().rsplit(".", 1)[1])
        self.chatter = self.lab.client_a.popen("/usr/bin/python3", CHATTER)
        try:
            yield packets
        finally:
            self.chatter.kill()
            packets += capture.stop()

    def wait_chatter(self):
        before = len(self.lab.seen(self.lab.web, "dns", source=NODE_ADDRESS))
        wait_until(lambda: len(self.lab.seen(self.lab.web, "dns", source=NODE_ADDRESS)) > before + 5, 10,
                   "the chatter to reach the internet through the tunnel")

    def closed(self):
        return all(self.lab.client_a.run(program, "-C", *rule, check=False).returncode == 0 for program in ("iptables", "ip6tables")
                   for rule in (("OUTPUT", "-j", "HIGGSVPN-OUT"), ("HIGGSVPN-OUT", "-j", "DROP")))

    def flush(self):
        """Empties the tables as a firewall's reload does; from when until when the rules were away."""
        begun = time.time()
        self.lab.client_a.sh("iptables -F; ip6tables -F")
        wait_until(self.closed, 2, "the kill switch to be put back")
        return begun, time.time()

    def capture_node_restart(self):
        """Kills and restarts the node under a talkative client; the packets of the client's physical interface."""
        with self.watched() as packets:
            self.wait_chatter()
            self.node.kill()
            self.node.start()
            self.client.wait_tunnel(NODE_ADDRESS, 10)
        self.assertGreater(len([packet for packet in packets if packet.what in ("relay", "path")]), 10, summary(packets))
        return packets

    def assert_no_leak(self, packets):
        found = leaks(packets)
        self.assertEqual(found[:5], [], f"{len(found)} leaked: {summary(packets)}")

    def test_nothing_leaks_while_the_node_restarts(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.assert_no_leak(self.capture_node_restart())

    def test_without_kill_switch_the_same_capture_shows_leaks(self):
        self.client.connect("--no-kill-switch", expect=NODE_ADDRESS)
        self.assertGreater(len(leaks(self.capture_node_restart())), 10)

    def test_nothing_leaks_from_the_first_moment(self):
        """Of a `connect` that takes long, since its node does not answer; meanwhile somebody flushes the rules."""
        node = self.client.nodes()[0]["nodeId"]
        self.node.kill()
        with self.watched() as packets:
            wait_until(lambda: self.lab.seen(self.lab.web, "dns", source=places.PUBLIC["a"]), 10, "the chatter to be heard")
            self.client.begin("connect", "--node", node, "--state-dir", self.client.state)
            wait_until(self.closed, 10, "the kill switch")
            closed = time.time()
            wait_until(lambda: self.client.status()["state"] == "connecting", 10, "connect to try")
            flushed = self.flush()
            self.assertEqual(self.client.status()["state"], "connecting")
            self.node.start()
            self.client.wait_tunnel(NODE_ADDRESS, 15)
        self.assertGreater(len(leaks([packet for packet in packets if packet.time < closed])), 10, summary(packets))
        self.assert_no_leak([packet for packet in packets if packet.time > closed and not flushed[0] <= packet.time <= flushed[1]])

    def test_nothing_leaks_while_the_server_restarts(self):
        self.client.connect("--path", "relay", expect=NODE_ADDRESS)
        with self.watched() as packets:
            self.wait_chatter()
            self.server.kill()
            self.assertIsNone(self.client.exit_address(1))
            self.server.start()
            self.client.wait_tunnel(NODE_ADDRESS, 10)
        self.assert_no_leak(packets)

    def test_flushed_rules_are_back_while_nothing_is_connected(self):
        self.client.connect("--path", "relay", expect=NODE_ADDRESS)
        with self.watched() as packets:
            self.wait_chatter()
            self.server.kill()
            self.node.kill()
            wait_until(lambda: self.client.status()["state"] == "reconnecting", 10, "the client to notice")
            flushed = self.flush()
            self.assertEqual(self.client.status()["state"], "reconnecting")
            self.server.start()
            self.node.start()
            self.client.wait_tunnel(NODE_ADDRESS, 15)
        self.assert_no_leak([packet for packet in packets if not flushed[0] <= packet.time <= flushed[1]])

    def test_routes_and_policy_rules_are_put_back(self):
        """systemd-networkd removes foreign rules when it restarts."""
        self.client.connect(expect=NODE_ADDRESS)
        with self.watched() as packets:
            self.wait_chatter()
            self.lab.client_a.sh("for family in -4 -6; do ip $family rule del pref 4850; ip $family route flush table 18505; done")
            self.client.wait_tunnel(NODE_ADDRESS, 3)
            wait_until(lambda: (self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip", timeout=1) or "").strip() == places.NODE6, 5, "IPv6 to be led there as well")
        self.assert_no_leak(packets)

    def test_nothing_leaks_at_disconnect(self):
        # What another test let begin outside of the tunnel repeats its FIN until that is given up, or let through.
        wait_until(lambda: not self.lab.client_a.sh("ss -Htan state fin-wait-1 state closing state last-ack").stdout.strip(), 30,
                   "connections of earlier tests to be given up")
        self.client.connect(expect=NODE_ADDRESS)
        with self.watched() as packets:
            self.wait_chatter()
            self.chatter.kill()
            self.chatter.wait()
            self.client.disconnect()
            self.assert_untouched(self.lab.client_a)
        self.assert_no_leak(packets)

    def test_a_second_connect_touches_nothing_of_the_first(self):
        other = Client(self.lab.client_a, self.server.pin(), state=f"{self.client.state}-other")
        other.login("alice", PASSWORD)
        other.connect(expect=NODE_ADDRESS)
        other.kill()  # it leaves a journal behind
        self.addCleanup(other.vpn, "disconnect", check=False)
        self.client.connect(expect=NODE_ADDRESS)
        with self.watched() as packets:
            self.wait_chatter()
            before = self.lab.client_a.snapshot()
            for command in (("connect", "--detach"), ("disconnect",)):
                refused = other.vpn(*command, check=False)
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn("another connect runs", refused.stderr)
                self.assertMultiLineEqual(before, self.lab.client_a.snapshot())
            self.assertEqual(self.client.exit_address(), NODE_ADDRESS)
        self.assert_no_leak(packets)
        self.client.disconnect()
        other.disconnect()
        self.assert_untouched(self.lab.client_a)

    def test_kill_switch_outlives_sigkill_of_the_client(self):
        self.client.connect(expect=NODE_ADDRESS)
        with self.watched() as packets:
            self.client.kill()
            self.assertIsNone(self.client.exit_address(), "blocked while the client is dead")
            self.assertIsNone(self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip"))
            self.client.connect(expect=NODE_ADDRESS, seconds=5)
        self.assert_no_leak(packets)
        self.client.disconnect()
        self.assert_untouched(self.lab.client_a)

    def test_without_kill_switch_a_killed_client_leaks(self):
        self.client.connect("--no-kill-switch", expect=NODE_ADDRESS)
        self.client.kill()
        wait_until(lambda: self.client.exit_address(1) == places.PUBLIC["a"], 10, "traffic to leave from home A")

    def test_packets_for_the_tunnel_address_from_outside_are_dropped(self):
        """A neighbour on the home network must not reach the tunnel's address (CVE-2019-14899)."""
        self.client.connect(expect=NODE_ADDRESS)
        address = self.tunnel_address()
        self.lab.router_a.run("ip", "route", "add", f"{address}/32", "via", places.CLIENT_A)
        self.addCleanup(self.lab.router_a.run, "ip", "route", "del", f"{address}/32")
        self.assertFalse(self.hears(address))
        self.client.disconnect()
        self.lab.client_a.run("ip", "addr", "add", f"{address}/32", "dev", "eth0")
        self.addCleanup(self.lab.client_a.run, "ip", "addr", "del", f"{address}/32", "dev", "eth0")
        self.assertTrue(self.hears(address), "the same arrives when no tunnel is up")

    def hears(self, address):
        """Whether the home router's datagram to that address arrives; an answer would take the tunnel and prove nothing."""
        with self.lab.client_a.socket(kind=socket.SOCK_DGRAM) as ear, self.lab.router_a.socket(kind=socket.SOCK_DGRAM) as mouth:
            ear.bind((address, 0))
            ear.settimeout(1)
            mouth.sendto(b"x", (address, ear.getsockname()[1]))
            try:
                return ear.recv(1) == b"x"
            except TimeoutError:
                return False

    def tunnel_address(self):
        lines = self.lab.client_a.run("ip", "-4", "-br", "addr").stdout.splitlines()
        tunnel = [line.split() for line in lines if line.split()[0] not in ("lo",) and not line.startswith("eth0")]
        return tunnel[0][2].split("/")[0]


if __name__ == "__main__":
    unittest.main()
