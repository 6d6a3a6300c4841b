"""higgs-wg as a drop-in for wireguard-go: against it, in its place, and under WireGuard's own tools."""
import os
import signal
import sys
import unittest

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from lab.programs import STOP_SECONDS, binary  # noqa: E402
from lab.wait import SCALE, wait_until  # noqa: E402
from lab.wg_pair import GO, HIGGS, PORT, Pair, lost  # noqa: E402

SIZE = 8 << 20


class Case(unittest.TestCase):
    def assert_carries(self, pair, size=SIZE, family=4):
        for sender, receiver in (pair.ends, pair.ends[::-1]):
            with self.subTest(sender=sender.implementation, family=family):
                self.assertEqual(pair.transfer(sender, receiver, size, family), (True, size))


class Interop(Case):
    def test_each_implementation_as_initiator(self):
        for initiator in (HIGGS, GO):
            with self.subTest(initiator=initiator), Pair(HIGGS, GO, initiator=initiator) as pair:
                first, second = pair.ends if initiator == HIGGS else pair.ends[::-1]
                self.assertEqual(second.show("endpoints", first), "(none)")
                pair.ping(first, second)
                self.assertTrue(first.handshake(second))
                self.assertEqual(second.show("endpoints", first), f"{first.outer()}:{PORT}")
                self.assert_carries(pair)

    def test_ipv6_inside_and_outside(self):
        with Pair(HIGGS, GO, family=6) as pair:
            pair.ping(pair.left, pair.right, 6)
            self.assertEqual(pair.right.show("endpoints", pair.left), f"[{pair.left.outer(6)}]:{PORT}")
            self.assert_carries(pair, family=6)
            self.assert_carries(pair, family=4)

    def test_link_local_outside(self):
        for right in (GO, HIGGS):
            with self.subTest(right=right), Pair(HIGGS, right, configure=False) as pair:
                for end in pair.ends:
                    end.set_own()
                    end.link_up()
                where = [f"[{end.link_local()}%eth0]:{PORT}" for end in pair.ends]
                pair.right.set_peer(pair.left, endpoint=False)
                pair.left.set("peer", pair.right.public_key, "endpoint", where[1], "allowed-ips", f"{pair.right.inner()}/32")
                pair.ping(*pair.ends)
                self.assertEqual(pair.left.show("endpoints", pair.right), where[1])
                heard = where[0] if right == HIGGS else where[0].replace("%eth0", "")  # wireguard-go does not tell the zone
                self.assertEqual(pair.right.show("endpoints", pair.left), heard)
                self.assert_carries(pair, 1 << 20)

    def test_preshared_key(self):
        with Pair(HIGGS, GO, psk=True) as pair:
            pair.ping(pair.left, pair.right)
            self.assert_carries(pair, 1 << 20)
            self.assertNotEqual(pair.left.show("preshared-keys", pair.right), "(none)")

    def test_wrong_preshared_key_carries_nothing(self):
        with Pair(HIGGS, GO, psk=True) as pair:
            pair.left.set("peer", pair.right.public_key, "preshared-key", pair.left.secret(pair.hosts[0].run("wg", "genpsk").stdout))
            self.assertFalse(pair.left.host.pings(pair.right.inner(), 3))
            self.assertEqual(pair.left.handshake(pair.right), 0)

    def test_keepalive_starts_the_tunnel_and_counts(self):
        with Pair(HIGGS, GO, keepalive=1) as pair:
            for end, peer in (pair.ends, pair.ends[::-1]):
                wait_until(lambda: end.handshake(peer), 10, "a handshake without any data")  # noqa: B023
            before = pair.right.show("transfer", pair.left)
            wait_until(lambda: pair.right.show("transfer", pair.left) != before, 10, "a keepalive to arrive")
            self.assertEqual(pair.left.show("persistent-keepalive", pair.right), "1")

    def test_mtus(self):
        for mtu in (1280, 1420):
            with self.subTest(mtu=mtu), Pair(HIGGS, GO, mtu=mtu) as pair:
                pair.ping(pair.left, pair.right)
                self.assert_carries(pair)
                full = pair.left.host.run("ping", "-n", "-c", 3, "-i", "0.2", "-M", "do", "-s", mtu - 28, pair.right.inner()).stdout
                self.assertEqual(lost(full), 0)

    def test_packets_larger_than_the_path_are_fragmented_outside(self):
        with Pair(HIGGS, GO, mtu=1600) as pair:  # sealed they are longer than the cable's 1,500
            pair.ping(pair.left, pair.right)
            self.assert_carries(pair, 1 << 20)


class Fallbacks(Case):
    """Every offload switched off, alone and all together."""

    def test_without(self):
        for words in ("tun", "tun-udp", "udp-segment", "udp-gather", "all"):
            for right in (HIGGS, GO):
                with self.subTest(without=words, peer=right), Pair(HIGGS, right, without=words) as pair:
                    pair.ping(pair.left, pair.right)
                    self.assert_carries(pair, 2 << 20)


class TwoOfOurs(Case):
    def test_tcp_both_ways_and_both_families(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            self.assert_carries(pair, 4 * SIZE)
            self.assert_carries(pair, SIZE, family=6)

    def test_udp_arrives_whole(self):
        """Datagrams sent by segmentation offload through the tunnel, received by one that gathers and one that does not."""
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            sizes = [1200] * 20 + [700]
            for gather in (0, 1):
                with pair.right.host.socket(kind=2) as receiver, pair.left.host.socket(kind=2) as sender:
                    receiver.bind((pair.right.inner(), 0))
                    receiver.settimeout(10 * SCALE)
                    receiver.setsockopt(17, 104, gather)  # UDP_GRO
                    sender.setsockopt(17, 103, sizes[0])  # UDP_SEGMENT
                    data = os.urandom(sum(sizes))
                    sender.sendto(data, receiver.getsockname())
                    got = b""
                    while len(got) < len(data):
                        got += receiver.recv(65536)
                    self.assertEqual(got, data)

    def test_corrupted_segments_are_not_mended(self):
        """A TCP segment that is sealed with a bad checksum inside must not reach the receiver's socket as a good one."""
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            before = self.bad_segments(pair.right)
            script = ("import socket,struct,sys\n"
                      "s=socket.socket(socket.AF_INET,socket.SOCK_RAW,6)\n"
                      "for n in range(8):\n"
                      "  s.sendto(struct.pack('!HHIIBBHHH',1,2,1+n*100,1,0x50,0x10,500,0x1234,0)+bytes(100),(sys.argv[1],0))\n")
            pair.left.host.run("/usr/bin/python3", "-c", script, pair.right.inner())
            wait_until(lambda: self.bad_segments(pair.right) >= before + 8, 5, "eight segments to be refused for their checksums")

    @staticmethod
    def bad_segments(end):
        lines = end.host.run("cat", "/proc/net/snmp").stdout.splitlines()
        names, values = [line.split() for line in lines if line.startswith("Tcp:")]
        return int(values[names.index("InCsumErrors")])

    def test_roaming(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            pair.left.host.run("ip", "addr", "add", "203.0.113.77/24", "dev", "eth0")
            pair.left.host.run("ip", "addr", "del", f"{pair.left.outer()}/24", "dev", "eth0")
            pair.left.host.run("ip", "addr", "replace", "203.0.113.77/24", "dev", "eth0")
            pair.ping(pair.left, pair.right)
            self.assertEqual(pair.right.show("endpoints", pair.left), f"203.0.113.77:{PORT}")
            pair.left.set("listen-port", 51999)
            pair.ping(pair.left, pair.right)
            self.assertEqual(pair.right.show("endpoints", pair.left), "203.0.113.77:51999")
            self.assert_carries(pair, 1 << 20)

    def test_answers_from_the_address_that_was_asked(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.right.host.run("ip", "addr", "add", "203.0.113.99/24", "dev", "eth0")
            pair.left.set("peer", pair.right.public_key, "endpoint", f"203.0.113.99:{PORT}")
            pair.ping(pair.left, pair.right)
            self.assertEqual(pair.left.show("endpoints", pair.right), f"203.0.113.99:{PORT}")

    def test_link_down_and_up_again(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            pair.left.host.run("ip", "link", "set", pair.left.ifname, "down")
            wait_until(lambda: not pair.left.host.run("ss", "-Hlun", f"sport = :{PORT}").stdout.strip(), 5, "the UDP port to be closed")
            pair.left.host.run("ip", "link", "set", pair.left.ifname, "up")
            pair.ping(pair.left, pair.right)
            self.assert_carries(pair, 1 << 20)

    def test_mtu_changed_while_running(self):
        with Pair(HIGGS, HIGGS, mtu=1280) as pair:
            pair.ping(pair.left, pair.right)
            for mtu in (9000, 1280, 1420):
                for host, end in zip(pair.hosts, pair.ends):
                    host.run("ip", "link", "set", "eth0", "mtu", 9100)
                    host.run("ip", "link", "set", end.ifname, "mtu", mtu)
                self.assert_carries(pair, SIZE)


class Tools(Case):
    def test_show_and_set(self):
        with Pair(HIGGS, HIGGS) as pair:
            left, right = pair.ends
            pair.ping(left, right)
            self.assertEqual(left.show("public-key"), left.public_key)
            self.assertEqual(left.show("private-key"), left.private_key)
            self.assertEqual(left.show("listen-port"), str(PORT))
            self.assertEqual(left.show("fwmark"), "off")
            left.set("fwmark", 0x4242)
            self.assertEqual(left.show("fwmark"), "0x4242")
            left.set("fwmark", "off")
            self.assertEqual(left.show("fwmark"), "off")
            received, sent = map(int, left.show("transfer", right).split("\t"))
            self.assertGreater(received, 0)
            self.assertGreater(sent, 0)
            self.assertIn("latest handshake", left.wg("show"))
            left.set("peer", right.public_key, "allowed-ips", "10.9.0.2/32")
            self.assertEqual(left.show("allowed-ips", right), "10.9.0.2/32")
            left.set("peer", right.public_key, "remove")
            self.assertEqual(left.show("peers"), "")

    def test_allowed_ips_move_between_peers_and_guard_the_source(self):
        with Pair(HIGGS, HIGGS) as pair:
            left, right = pair.ends
            pair.ping(left, right)
            other = left.host.run("wg", "pubkey", input=left.host.run("wg", "genkey").stdout).stdout.strip()
            left.set("peer", other, "allowed-ips", f"{right.inner()}/32")
            self.assertNotIn(right.inner() + "/32", left.show("allowed-ips", right))
            self.assertFalse(left.host.pings(right.inner()))
            self.assertFalse(right.host.pings(left.inner()), "what comes from an address that is another peer's is dropped")
            self.assertTrue(right.host.pings(left.inner(6)))

    def test_setconf_syncconf_showconf_addconf(self):
        with Pair(HIGGS, HIGGS) as pair:
            left, right = pair.ends
            pair.ping(left, right)
            before = left.handshake(right)
            conf = left.wg("showconf", left.ifname)
            self.assertIn(right.public_key, conf)
            left.wg("syncconf", left.ifname, left.secret(conf))
            self.assertEqual(left.wg("showconf", left.ifname), conf)
            self.assertEqual(left.handshake(right), before, "what does not change keeps its session")
            extra = left.host.run("wg", "pubkey", input=left.host.run("wg", "genkey").stdout).stdout.strip()
            left.wg("addconf", left.ifname, left.secret(f"[Peer]\nPublicKey = {extra}\nAllowedIPs = 10.77.0.0/16\n"))
            self.assertEqual(len(left.show("peers").split()), 2)
            left.wg("syncconf", left.ifname, left.secret(conf))
            self.assertEqual(left.show("peers"), right.public_key)
            left.wg("setconf", left.ifname, left.secret(conf))
            pair.ping(left, right)

    def test_a_thousand_peers(self):
        with Pair(HIGGS, HIGGS) as pair:
            keys = [os.urandom(32) for _ in range(1000)]
            lines = ["set=1"]
            for number, key in enumerate(keys):
                lines += [f"public_key={key.hex()}", f"allowed_ip=10.{100 + number // 250}.{number % 250}.0/24", "endpoint=203.0.113.2:9"]
            answer = self.uapi(pair.left, "\n".join(lines) + "\n\n")
            self.assertEqual(answer, "errno=0\n\n")
            self.assertEqual(len(pair.left.show("peers").split()), 1001)

    @staticmethod
    def uapi(end, text):
        return end.host.run("socat", "-t5", "-", f"UNIX-CONNECT:{end.socket}", input=text).stdout

    def test_uapi_answers_errors_and_goes_on(self):
        with Pair(HIGGS, HIGGS) as pair:
            end = pair.left
            for bad in ("set=1\nlisten_port=abc\n\n", "get=2\n\n", "hello\n\n", "\n\n", "set=1\nprivate_key=00\n\n"):
                self.assertEqual(self.uapi(end, bad).split("\n")[0], "errno=-22", bad)
            self.assertIn("errno=0\n\n", self.uapi(end, "get=1\n\n"))
            two = self.uapi(end, "set=1\nfwmark=7\n\nget=1\n\n")
            self.assertTrue(two.startswith("errno=0\n\n"))
            self.assertIn("fwmark=7\n", two)

    def test_taken_port_is_told(self):
        with Pair(HIGGS, HIGGS) as pair, pair.left.host.socket(kind=2) as taken:
            taken.bind(("0.0.0.0", 0))
            answer = self.uapi(pair.left, f"set=1\nlisten_port={taken.getsockname()[1]}\n\n")
            self.assertEqual(answer, "errno=-98\n\n")
            self.assertEqual(pair.left.show("listen-port"), str(PORT))
            pair.ping(pair.left, pair.right)

    def test_many_clients_at_once(self):
        with Pair(HIGGS, HIGGS) as pair:
            script = ("import socket,sys\nidle=[]\n"
                      "for _ in range(40):\n  s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);s.send(b'get=1\\n');idle.append(s)\n"
                      "for s in idle:\n  s.send(b'\\n')\n  t=b''\n  while b'errno=0' not in t:\n    b=s.recv(65536); assert b; t+=b\n")
            pair.left.host.run("/usr/bin/python3", "-c", script, pair.left.socket)
            script = ("import socket,sys\nall=[]\n"
                      "for _ in range(200):\n  s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);all.append(s)\n")
            pair.left.host.run("/usr/bin/python3", "-c", script, pair.left.socket)
            wait_until(lambda: pair.left.host.run("wg", "show", pair.left.ifname, check=False).returncode == 0, 5, "wg to be served again")


class Life(Case):
    def test_socket_is_private(self):
        with Pair(HIGGS, HIGGS, configure=False) as pair:
            self.assertEqual(pair.left.host.run("stat", "-c", "%a", pair.left.socket).stdout.strip(), "600")

    def test_ends_with_its_interface(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            pair.left.host.run("ip", "link", "del", pair.left.ifname)
            self.assert_ended(pair.left)

    def test_ends_at_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number), Pair(HIGGS, HIGGS) as pair:
                pair.left.process.send_signal(number)
                self.assert_ended(pair.left)

    def test_ends_with_its_socket(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.left.host.run("rm", pair.left.socket)
            self.assert_ended(pair.left)

    def assert_ended(self, end):
        self.assertEqual(end.process.wait(STOP_SECONDS * SCALE), 0)
        self.assertNotEqual(end.host.run("test", "-e", end.socket, check=False).returncode, 0)
        self.assertNotEqual(end.host.run("ip", "link", "show", end.ifname, check=False).returncode, 0)

    def test_goes_to_the_background_once_the_interface_is_there(self):
        with Pair(HIGGS, HIGGS, configure=False) as pair:
            host = pair.left.host
            host.run(binary(HIGGS), "wgd")
            self.assertEqual(host.run("wg", "show", "wgd", "peers").stdout, "")
            again = host.run(binary(HIGGS), "wgd", check=False)
            self.assertEqual(again.returncode, 1)
            self.assertIn("in use", again.stderr)
            self.assertEqual(host.run("wg", "show", "wgd", "peers").stdout, "", "the first one is unharmed")
            host.run("ip", "link", "del", "wgd")
            wait_until(lambda: host.run("test", "-e", "/var/run/wireguard/wgd.sock", check=False).returncode, 5, "the socket to go")

    def test_stays_in_the_foreground_as_wireguard_go_does(self):
        with Pair(HIGGS, HIGGS, configure=False) as pair:
            host = pair.left.host
            process = host.popen(binary(HIGGS), "wgf", env={"WG_PROCESS_FOREGROUND": "1"})
            wait_until(lambda: host.run("wg", "show", "wgf", check=False).returncode == 0, 10, "the interface")
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(STOP_SECONDS * SCALE), 0)

    def test_takes_over_after_sigkill(self):
        with Pair(HIGGS, HIGGS) as pair:
            pair.ping(pair.left, pair.right)
            pair.left.kill()
            pair.left.start()
            pair.left.set_own()
            pair.left.set_peer(pair.right)
            pair.left.link_up()
            pair.ping(pair.left, pair.right, seconds=20)

    def test_usage(self):
        with Pair(HIGGS, HIGGS, configure=False) as pair:
            host = pair.left.host
            self.assertEqual(host.run(binary(HIGGS), check=False).returncode, 2)
            self.assertEqual(host.run(binary(HIGGS), "--nonsense", check=False).returncode, 2)
            self.assertEqual(host.run(binary(HIGGS), "a-name-longer-than-15", check=False).returncode, 1)
            self.assertIn("usage", host.run(binary(HIGGS), "--help").stdout)
            self.assertIn("higgs-wg", host.run(binary(HIGGS), "--version").stdout)


class Quick(Case):
    def test_wg_quick_full_tunnel_up_and_down(self):
        with Pair(HIGGS, GO, configure=False) as pair:
            left, right = pair.ends
            right.set_own()
            right.link_up()
            host, name = left.host, "wgq"
            key = host.run("wg", "genkey").stdout.strip()
            public = host.run("wg", "pubkey", input=key).stdout.strip()
            right.set("peer", public, "allowed-ips", "10.9.0.50/32,fd09::50/128")
            conf = os.path.join(host.dir, f"{name}.conf")
            with open(conf, "w", encoding="ascii") as out:
                out.write(f"[Interface]\nPrivateKey = {key}\nAddress = 10.9.0.50/32, fd09::50/128\nListenPort = 51999\n\n"
                          f"[Peer]\nPublicKey = {right.public_key}\nEndpoint = {right.outer()}:{PORT}\nAllowedIPs = 0.0.0.0/0, ::/0\n")
            os.chmod(conf, 0o600)
            before = host.snapshot()
            environment = {"WG_QUICK_USERSPACE_IMPLEMENTATION": binary(HIGGS)}
            host.run("wg-quick", "up", conf, env=environment)
            for family in (4, 6):
                self.assertTrue(host.pings(right.inner(family), 3))
                self.assertIn("0xca6c", host.run("ip", f"-{family}", "rule").stdout)
            self.assertEqual(host.run("wg", "show", name, "fwmark").stdout.strip(), "0xca6c")
            host.run("wg-quick", "down", conf, env=environment)
            wait_until(lambda: host.run("test", "-e", f"/var/run/wireguard/{name}.sock", check=False).returncode, 5, "the socket to go")
            # wg-quick leaves src_valid_mark on; that is its own.
            after = host.snapshot().replace("src_valid_mark 1", "src_valid_mark 0")
            self.assertMultiLineEqual(before, after)


if __name__ == "__main__":
    os.execv("/usr/bin/python3", ["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py"), os.path.abspath(__file__), *sys.argv[1:]])
