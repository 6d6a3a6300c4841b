"""The laboratory itself: what it claims must hold before any program is judged by it."""
import json
import os
import socket
import subprocess
import sys
import unittest

from lab import lab as places
from lab.capture import Capture, classify, leaks, summary
from lab.lab import Lab
from lab.programs import RELAY
from lab.wait import wait_until

HERE = os.path.dirname(os.path.abspath(places.__file__))


class Laboratory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(payload_mib=4)
        cls.addClassCleanup(cls.lab.close)

    def test_web_site_sees_public_addresses(self):
        for host, address in (("client_a", places.PUBLIC["a"]), ("node", places.PUBLIC["b"]), ("client_c", places.PUBLIC["c"])):
            self.assertEqual(self.lab.hosts[host].fetch(f"http://{places.WEB_NAME}/ip", "-4").strip(), address)
        self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB_NAME}/ip", "-6").strip(), places.CLIENT_A6)

    def test_homes_are_closed_from_outside(self):
        self.assertTrue(self.lab.printer.pings(places.NODE))
        self.assertFalse(self.lab.web.pings(places.NODE6))
        self.lab.serve(self.lab.node, "--banner", "[::]:9001", port=9001)
        self.assertTrue(self.lab.printer.tcp_reaches(places.NODE6, 9001))
        self.assertFalse(self.lab.web.tcp_reaches(places.NODE6, 9001))

    def test_download_resumes_where_it_was(self):
        whole = json.loads(self.lab.client_a.run("/usr/bin/python3", f"{HERE}/download.py", f"http://{places.WEB}/payload").stdout)
        self.assertEqual((whole["bytes"], whole["sha256"]), (4 * places.MIB, self.lab.payload_sha256))
        head = self.lab.client_a.run("curl", "-s", "-r", "1000-1003", f"http://{places.WEB}/payload", "-o", "/dev/null", "-w", "%{http_code} %{size_download}")
        self.assertEqual(head.stdout, "206 4")

    def mapped_port(self, host, target, local_port):
        """Sends one datagram and returns the outside (address, port) that the target saw."""
        with target.socket(kind=socket.SOCK_DGRAM) as there, host.socket(kind=socket.SOCK_DGRAM) as here:
            there.bind((places.WEB, 0))
            there.settimeout(2)
            here.bind(("0.0.0.0", local_port))
            here.sendto(b"x", there.getsockname())
            return there.recvfrom(10)[1]

    def test_nat_kinds_map_ports_as_they_should(self):
        for kind, stable, kept in (("port-restricted", True, True), ("port-restricted-remap", True, False), ("symmetric", False, False)):
            with self.subTest(kind=kind):
                self.lab.set_nat("a", kind)
                first, second = (self.mapped_port(self.lab.client_a, self.lab.web, 40001) for _ in range(2))
                self.assertEqual(first[0], places.PUBLIC["a"])
                self.assertEqual(first == second, stable)
                self.assertEqual(first[1] == 40001, kept)
        self.lab.set_nat("a", "port-restricted")

    def test_nat_kinds_filter_as_they_should(self):
        """Who may answer: (the address and port sent to, another port of it, another address)."""
        expected = {"port-restricted": (True, False, False), "address-restricted": (True, True, False), "full-cone": (True, True, True)}
        for kind, answers in expected.items():
            with self.subTest(kind=kind):
                self.lab.set_nat("a", kind)
                self.assertEqual(self.answers_through(), answers)
        self.lab.set_nat("a", "udp-blocked")
        with self.assertRaises(TimeoutError):
            self.mapped_port(self.lab.client_a, self.lab.web, 0)
        self.assertIsNotNone(self.lab.client_a.fetch(f"http://{places.WEB}/ip"), "TCP still leaves")
        self.lab.set_nat("a", "port-restricted")

    def answers_through(self):
        udp = socket.SOCK_DGRAM
        with self.lab.client_a.socket(kind=udp) as inside, self.lab.web.socket(kind=udp) as asked, \
                self.lab.web.socket(kind=udp) as other_port, self.lab.web.socket(kind=udp) as other_address:
            asked.bind((places.WEB, 0))
            other_port.bind((places.WEB, 0))
            other_address.bind((places.DNS, 0))
            asked.settimeout(2)
            inside.settimeout(0.3)
            inside.sendto(b"?", asked.getsockname())
            outside = asked.recvfrom(10)[1]
            got = []
            for sender in (asked, other_port, other_address):
                sender.sendto(b"!", outside)
                try:
                    inside.recvfrom(10)
                    got.append(True)
                except TimeoutError:
                    got.append(False)
            return tuple(got)

    def test_capture_sees_and_tells_apart(self):
        capture = Capture(self.lab.client_a, "eth0", {(places.WEB, 80)}, "capture")
        self.lab.client_a.run("ip", "neigh", "flush", "dev", "eth0")
        self.lab.client_a.fetch(f"http://{places.WEB}/ip")
        self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip")
        packets = capture.stop()
        self.assertTrue([packet for packet in packets if packet.what == "relay"], summary(packets))
        self.assertTrue([packet for packet in packets if packet.what == "neighbours"], summary(packets))
        self.assertEqual({packet.detail.split("]")[0].split(" ")[0] for packet in leaks(packets)}, {"TCP"})
        self.assertTrue(all(places.WEB6 in packet.detail for packet in leaks(packets)))

    def test_other_ports_of_the_server_are_leaks(self):
        header = bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x06" + bytes(2) + bytes([10, 1, 0, 2, 203, 0, 113, 10])
        self.assertEqual(classify(header + b"\x30\x00" + RELAY[1].to_bytes(2, "big"), {RELAY})[0], "relay")
        self.assertEqual(classify(header + b"\x30\x00\x00\x50", {RELAY})[0], "leak")

    def test_packets_of_a_path_are_told_from_leaks(self):
        def what(source, target, payload):
            header = bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x11" + bytes(2)
            return classify(header + socket.inet_aton(source) + socket.inet_aton(target) + bytes(8) + payload, {RELAY})[0]

        stun, wireguard, channel = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12), b"\4\0\0\0" + bytes(28), b"\x40\0\0\x20" + bytes(32)
        node, server, me = places.PUBLIC["b"], places.SERVER_2, places.CLIENT_A
        for far, payloads in ((node, (stun, wireguard)), (server, (stun, channel))):
            for payload in payloads:
                self.assertEqual([what(me, far, payload), what(far, me, payload)], ["path"] * 2)
        for far, payload in ((node, channel), (node, b"hello, node"), (server, wireguard), (server, b""), (places.WEB, stun), (places.WEB, wireguard)):
            self.assertEqual(what(me, far, payload), "leak", (far, payload))

    def test_only_what_the_link_needs_is_no_leak(self):
        def icmp(kind, target, hops):
            header = bytes(12) + b"\x86\xdd" + b"\x60" + bytes(5) + bytes([58, hops])
            return classify(header + socket.inet_pton(socket.AF_INET6, places.CLIENT_A6) + socket.inet_pton(socket.AF_INET6, target) + bytes([kind]) + bytes(23), {RELAY})[0]

        def udp(source, target):
            header = bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x11" + bytes(2) + socket.inet_aton(places.CLIENT_A) + socket.inet_aton("10.1.0.1")
            return classify(header + source.to_bytes(2, "big") + target.to_bytes(2, "big") + bytes(4), {RELAY})[0]

        self.assertEqual({icmp(kind, "2001:db8:a::1", 255) for kind in (133, 134, 135, 136)}, {"neighbours"})
        self.assertEqual({icmp(kind, "2001:db8:a::1", 64) for kind in (133, 134, 135, 136)}, {"leak"})
        self.assertEqual((icmp(143, "ff02::16", 1), icmp(143, places.WEB6, 255)), ("neighbours", "leak"))
        self.assertEqual({icmp(kind, places.WEB6, 255) for kind in (1, 128, 129, 137)}, {"leak"})
        self.assertEqual((udp(68, 67), udp(40000, 67), udp(68, 9), udp(547, 67)), ("dhcp", "leak", "leak", "leak"))

    def test_snapshot_sees_each_kind_of_change(self):
        host, before = self.lab.client_c, self.lab.client_c.snapshot()
        self.assertEqual(before, host.snapshot())
        for change, undo in (("ip rule add pref 5 lookup 7", "ip rule del pref 5"),
                             ("ip route add 192.0.2.0/24 dev eth0 table 7", "ip route del 192.0.2.0/24 dev eth0 table 7"),
                             ("ip tuntap add d0 mode tun", "ip tuntap del d0 mode tun"),
                             ("nft add table ip x", "nft delete table ip x"),
                             ("cp /etc/resolv.conf /tmp/$$; echo '# x' >>/etc/resolv.conf; rm /tmp/$$", "sed -i '/# x/d' /etc/resolv.conf"),
                             ("echo 1 >/proc/sys/net/ipv4/ip_forward", "echo 0 >/proc/sys/net/ipv4/ip_forward")):
            with self.subTest(change=change):
                host.sh(change)
                self.assertNotEqual(before, host.snapshot())
                host.sh(undo)
                self.assertEqual(before, host.snapshot())

    def test_two_laboratories_side_by_side(self):
        with Lab(payload_mib=1) as second:
            self.assertEqual(second.client_a.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC["a"])
            self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB}/ip").strip(), places.PUBLIC["a"])
            self.assertEqual(len(self.lab.seen(self.lab.web, "http", path="/none")), 0)

    def test_killed_laboratory_leaves_no_process(self):
        """SIGKILL of the outermost process: everything inside goes with it."""
        script = ("import sys; sys.path.insert(0, sys.argv[1])\nfrom lab import enter\nenter.enter()\nfrom lab.lab import Lab\n"
                  "lab = Lab(payload_mib=1); print(' '.join(open(f'/proc/{host.pid}/cmdline').read().replace(chr(0), ' ') for host in lab.hosts.values()), flush=True)\n"
                  "import threading; threading.Event().wait()")
        holders = lambda: subprocess.run(["pgrep", "-c", "-x", "sleep"], capture_output=True, text=True).stdout  # noqa: E731
        before = holders()
        outer = subprocess.Popen([sys.executable, "-c", script, os.path.dirname(HERE)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertIn("sleep infinity", outer.stdout.readline())
        self.assertNotEqual(holders(), before)
        outer.kill()
        outer.wait()
        outer.stdout.close()
        wait_until(lambda: holders() == before, 5, "the processes of the killed laboratory to be gone")

    def test_says_what_is_missing(self):
        done = subprocess.run(["unshare", "--mount", "sh", "-c",
                               f"mount -t tmpfs none /dev && exec {sys.executable} {HERE}/demo.py"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/dev/net/tun", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
