"""Ports asked from a real miniupnpd: by every protocol, kept through a restart of the router, given back at the end."""
import json
import os
import select
import signal
import subprocess
import sys
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places
from lab.host import wait_for_listener
from lab.lab import Lab
from lab.miniupnpd import Miniupnpd
from lab.programs import binary
from lab.wait import SCALE, wait_until

PORT = 40123
INSIDE = f"{places.NODE}:{PORT}"


class Holder:
    """`higgsnode diagnose portmap --hold` on the node's host, and what it has said."""

    def __init__(self, host, *arguments):
        self.process = host.popen(binary("higgsnode"), "diagnose", "portmap", "--json", "--hold", "600", "--port", PORT, *arguments,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)
        self.said = []

    def read(self):
        while select.select([self.process.stdout], [], [], 0)[0]:
            line = self.process.stdout.readline()
            if not line:
                break
            self.said.append(json.loads(line))
        return self.said[-1] if self.said else None

    def wait(self, condition, seconds, what):
        return wait_until(lambda: (said := self.read()) is not None and condition(said) and said, seconds, what)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20 * SCALE)
        self.process.stdout.close()
        return status


class PortMapping(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(payload_mib=1)
        cls.addClassCleanup(cls.lab.close)

    def router(self, **options):
        daemon = Miniupnpd(self.lab, "b", **options)
        self.addCleanup(daemon.close)
        return daemon.start()

    def hold(self, *arguments):
        holder = Holder(self.lab.node, *arguments)
        self.addCleanup(holder.stop)
        return holder

    def protocols(self, said):
        return {mapping["protocol"] for mapping in said["mappings"]}

    def assert_reached(self, daemon):
        """A datagram of a stranger outside reaches the mapped port. The holder's socket has it: the kernel counts it."""
        def received():
            self.lab.web.run("/usr/bin/python3", "-c",
                             f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{daemon.outside}', {PORT}))")
            queued = self.lab.node.run("ss", "-Hlun", f"sport = :{PORT}").stdout.split()
            return len(queued) > 1 and int(queued[1]) > 0
        wait_until(received, 20, "a packet from outside to reach the port")

    def check_life(self, daemon, expected):
        """Mapped, reached, mapped again after the router forgot, and gone at the end."""
        holder = self.hold()
        said = holder.wait(lambda said: self.protocols(said) == expected, 30, f"mappings by {expected}")
        self.assertEqual(said["gateway"], "10.2.0.1")
        self.assertFalse(said["doubleNat"])
        for mapping in said["mappings"]:
            self.assertEqual(mapping["external"].split(":")[0], daemon.outside, mapping)
        self.assertEqual(len(said["failures"]), 3 - len(expected), said)
        self.assertEqual(daemon.mappings().get(PORT), INSIDE)
        self.assert_reached(daemon)

        self.assertEqual(daemon.restart(), {}, "what the router still knew when it came back")
        wait_until(lambda: daemon.mappings().get(PORT) == INSIDE, 15, "the mapping to be back")

        self.assertEqual(holder.stop(), 0)
        self.assertEqual(daemon.mappings(), {}, "given back at the end")

    def test_all_together(self):
        self.check_life(self.router(), {"PCP", "NAT-PMP", "UPnP"})

    def test_pcp_and_nat_pmp_without_upnp(self):
        self.check_life(self.router(upnp=False), {"PCP", "NAT-PMP"})

    def test_upnp_alone(self):
        self.check_life(self.router(natpmp=False), {"UPnP"})

    def test_restart_that_the_epoch_does_not_tell(self):
        """Many routers count their own uptime, not the daemon's: it says that it has started, and that is heard."""
        self.check_life(self.router(upnp=False, system_uptime=True), {"PCP", "NAT-PMP"})

    def test_router_without_any_of_it(self):
        status, said = self.diagnose()
        self.assertEqual((status, said["mappings"]), (1, []), said)
        self.assertEqual(len(said["failures"]), 3, said)

    def diagnose(self):
        done = self.lab.node.run(binary("higgsnode"), "diagnose", "portmap", "--json", check=False, timeout=60 * SCALE)
        return done.returncode, json.loads(done.stdout)

    def test_router_that_refuses_behind_another_nat(self):
        """miniupnpd maps nothing when the provider gave the router a shared address (RFC 6598)."""
        daemon = self.router(declared=False)
        status, said = self.diagnose()
        self.assertEqual((status, said["mappings"], daemon.mappings()), (1, [], {}), said)
        self.assertTrue(said["doubleNat"], said)

    def test_router_that_maps_behind_another_nat(self):
        """Other routers map all the same, to an address that nobody outside reaches."""
        router = self.lab.router_b.popen(sys.executable, os.path.join(os.path.dirname(places.__file__), "nat_pmp_router.py"), "10.2.0.1:5351", "100.64.7.7",
                                         log="nat_pmp_router.out")
        self.addCleanup(router.wait)
        self.addCleanup(router.kill)
        wait_for_listener(self.lab.router_b, 5351, "udp")
        status, said = self.diagnose()
        self.assertEqual([mapping["doubleNat"] for mapping in said["mappings"]], [True], said)
        self.assertTrue(said["doubleNat"])
        self.assertEqual(status, 1, "a mapping that nobody reaches is no success")
        text = self.lab.node.run(binary("higgsnode"), "diagnose", "portmap", check=False, timeout=60 * SCALE).stdout
        self.assertIn("behind a NAT", text)


class MappedNode(LabCase):
    """A client behind a symmetric NAT reaches a node behind a port-restricted one directly, because its router maps a port."""

    def setUp(self):
        for home in "ab":
            self.lab.set_ipv6(home, False)
        self.lab.set_nat("a", "symmetric")
        self.daemon = Miniupnpd(self.lab, "b")
        self.addCleanup(self.daemon.close)

    def node_port(self):
        return self.node.status()["traversal"]["listenPort"]

    def wait_direct(self, seconds):
        """By the mapped port and nothing else: that is where the client sends to."""
        outside = f"{self.daemon.outside}:{self.node_port()}"
        wait_until(lambda: (said := self.client.status())["path"] == "direct-v4" and said.get("pathRemote") == outside, seconds,
                   f"the client to send to {outside}")

    def server_bytes(self):
        return sum(int(self.lab.server.run("cat", f"/sys/class/net/eth0/statistics/{way}_bytes").stdout) for way in ("rx", "tx"))

    def download_past_the_server(self):
        """The bytes that the server has sent and received during a download."""
        before = self.server_bytes()
        fetched = self.client.host.fetch(f"http://{places.WEB}/payload", "-o", "/dev/null", "-w", "%{size_download}", timeout=60)
        self.assertEqual(fetched, str(self.lab.payload_bytes))
        return self.server_bytes() - before

    def test_mapping_makes_the_path_direct(self):
        inside = f"{places.NODE}:{self.node_port()}"
        self.client.connect(expect=NODE_ADDRESS)
        self.assertNotIn("direct", self.client.status()["path"], "these two NATs let nobody through")
        self.daemon.start()
        wait_until(lambda: self.node.status()["traversal"]["portMapping"]["mappings"], 30, "the node to have a port")
        self.assertEqual(self.daemon.mappings().get(self.node_port()), inside)
        self.wait_direct(30)

        wait_until(lambda: self.download_past_the_server() < self.lab.payload_bytes // 100, 60, "a download that the server carries nothing of")
        session = self.node.status()["sessions"][0]
        self.assertEqual(session["path"], "direct-v4")
        self.assertEqual(self.node.status()["traversal"]["counters"]["directSessions"], 1)

        self.assertEqual(self.daemon.restart(), {}, "what the router still knew when it came back")
        wait_until(lambda: self.daemon.mappings().get(self.node_port()) == inside, 15, "the mapping to be back")
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS)
        self.client.disconnect()
        self.node.stop()
        self.assertEqual(self.daemon.mappings(), {}, "given back at the end")
        self.node.start()


if __name__ == "__main__":
    unittest.main()
