"""Two hosts joined by a cable, each with a WireGuard interface that some implementation runs in userspace."""
import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading

from lab import enter
from lab.host import Host
from lab.programs import Program, binary
from lab.wait import SCALE, wait_until

HIGGS, GO = "higgs-wg", "wireguard-go"
PORT = 51820
OUTER = {4: "203.0.113.{}", 6: "2001:db8::{}"}
INNER = {4: "10.9.0.{}", 6: "fd09::{}"}


class End(Program):
    """One end: a host, an implementation, an interface and its keys."""

    def __init__(self, host, number, implementation, without=""):
        self.implementation, self.number, self.without = implementation, number, without
        self.ifname = f"wg{number}"
        super().__init__(host, implementation)
        self.private_key = host.run("wg", "genkey").stdout.strip()
        self.public_key = host.run("wg", "pubkey", input=self.private_key).stdout.strip()
        self.socket = f"/var/run/wireguard/{self.ifname}.sock"

    def outer(self, family=4):
        return OUTER[family].format(self.number)

    def link_local(self):
        """The outer interface's address of its own, once it may be used."""
        def usable():
            text = self.host.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link", "-tentative").stdout
            return re.search(r"inet6 (\S+)/", text)
        return wait_until(usable, 10, "a link-local address")[1]

    def inner(self, family=4):
        return INNER[family].format(self.number)

    def start(self):
        program = binary(HIGGS) if self.implementation == HIGGS else GO
        self.process = self.host.popen(program, "-f", self.ifname, log=self.log, env={"LOG_LEVEL": "verbose", "HIGGS_WG_WITHOUT": self.without})
        wait_until(lambda: self.host.run("wg", "show", self.ifname, check=False).returncode == 0, 10, f"{self.implementation} to serve {self.socket}")

    def wg(self, *words, **options):
        return self.host.run("wg", *words, **options).stdout

    def secret(self, text):
        """A file with that text, for wg's options that take files."""
        with tempfile.NamedTemporaryFile("w", dir=self.host.dir, delete=False) as out:
            out.write(text)
        return out.name

    def set(self, *words):
        return self.wg("set", self.ifname, *words)

    def set_own(self):
        self.set("private-key", self.secret(self.private_key), "listen-port", PORT)

    def set_peer(self, peer, *words, endpoint=True, family=4):
        where = ["endpoint", f"[{peer.outer(6)}]:{PORT}" if family == 6 else f"{peer.outer()}:{PORT}"] if endpoint else []
        self.set("peer", peer.public_key, *where, "allowed-ips", f"{peer.inner()}/32,{peer.inner(6)}/128", *words)

    def link_up(self, mtu=1420):
        for family in (4, 6):
            self.host.run("ip", f"-{family}", "addr", "add", f"{self.inner(family)}/{24 if family == 4 else 64}", "dev", self.ifname)
        self.host.run("ip", "link", "set", self.ifname, "mtu", mtu, "up")

    def show(self, what, peer=None):
        """`wg show IFNAME WHAT`: the value, or with a peer the value behind its key."""
        text = self.wg("show", self.ifname, what)
        if peer is None:
            return text.strip()
        for line in text.splitlines():
            key, _, value = line.partition("\t")
            if key == peer.public_key:
                return value
        return None

    def handshake(self, peer):
        return int(self.show("latest-handshakes", peer) or 0)


class Pair:
    """Context manager. `left` and `right` name the implementations; the right one knows no endpoint at first if `initiator` is left."""

    def __init__(self, left, right, mtu=1420, initiator=None, family=4, without="", keepalive=0, psk=False, configure=True):
        self._directory = tempfile.mkdtemp(dir=enter.LAB_DIR)
        self.hosts = [Host("one", self._directory), Host("two", self._directory)]
        self._cable()
        self.left, self.right = End(self.hosts[0], 1, left, without), End(self.hosts[1], 2, right, without)
        self.ends = (self.left, self.right)
        for end in self.ends:
            end.start()
        if configure:
            self._configure(mtu, initiator, family, keepalive, psk)

    def _cable(self):
        one, two = self.hosts
        one.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", two.pid)
        for number, host in enumerate(self.hosts, 1):
            host.run("ip", "addr", "add", f"{OUTER[4].format(number)}/24", "dev", "eth0")
            host.run("ip", "addr", "add", f"{OUTER[6].format(number)}/64", "dev", "eth0", "nodad")
            host.run("ip", "link", "set", "eth0", "up")

    def _configure(self, mtu, initiator, family, keepalive, psk):
        words = ["persistent-keepalive", keepalive] if keepalive else []
        if psk:
            key = self.hosts[0].run("wg", "genpsk").stdout
        for end, peer in (self.ends, self.ends[::-1]):
            end.set_own()
            more = ["preshared-key", end.secret(key)] if psk else []
            end.set_peer(peer, *words, *more, endpoint=initiator in (None, end.implementation) or initiator is end.number, family=family)
            end.link_up(mtu)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.reports = Program.reports() if exception == (None, None, None) else []
        for host in self.hosts:
            host.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        if self.reports:
            raise AssertionError("\n".join(self.reports))

    def transfer(self, sender, receiver, size, family=4):
        """Sends random bytes by TCP through the tunnel; returns whether their SHA-256 is the same at both ends, and bytes received."""
        kind = socket.AF_INET6 if family == 6 else socket.AF_INET
        listener = receiver.host.socket(kind)
        listener.bind((receiver.inner(family), 0))
        listener.listen(1)
        listener.settimeout(20 * SCALE)
        data = os.urandom(size)
        failure = []

        def send():
            try:
                with sender.host.socket(kind) as out:
                    out.settimeout(20 * SCALE)
                    out.connect(listener.getsockname()[:2])
                    out.sendall(data)
                    out.shutdown(socket.SHUT_WR)
                    out.recv(1)
            except OSError as error:
                failure.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        digest, count = hashlib.sha256(), 0
        try:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(20 * SCALE)
                while block := connection.recv(1 << 18):
                    digest.update(block)
                    count += len(block)
        finally:
            thread.join()
        if failure:
            raise failure[0]
        return digest.digest() == hashlib.sha256(data).digest(), count

    def ping(self, sender, receiver, family=4, count=1, seconds=10):
        """Until an answer comes."""
        wait_until(lambda: sender.host.pings(receiver.inner(family), count), seconds, f"{sender.ifname} to reach {receiver.inner(family)}")


def lost(text):
    """The percentage that ping reports."""
    return float(re.search(r"([\d.]+)% packet loss", text).group(1))
