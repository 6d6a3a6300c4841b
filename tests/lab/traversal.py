"""What the tests of NAT traversal share: the truth about pairs of NATs, and one connection measured from outside."""
import collections
import json
import os
import selectors
import shutil
import socket
import threading
import time

from lab import lab as places
from lab.programs import Client, Node, Server
from lab.wait import Timeout, wait_until

PASSWORD = "correct horse battery staple"
KINDS = ("none", "full-cone", "address-restricted", "port-restricted", "symmetric", "udp-blocked")
NAT_TYPE = {"none": "Open", "full-cone": "FullCone", "address-restricted": "RestrictedCone", "port-restricted": "PortRestricted",
            "symmetric": "Symmetric", "symmetric-sequential": "Symmetric", "udp-blocked": "UdpBlocked"}
# Row: the client's NAT, column: the node's, in the order of KINDS. lab_nat_test shows with plain sockets which pairs can meet.
DIRECT, DIRECT_V6, TURN, RELAY = "direct-v4", "direct-v6", "turn", "relay"
TRUTH = dict(zip(KINDS, (
    (DIRECT, DIRECT, DIRECT, DIRECT, DIRECT, RELAY),
    (DIRECT, DIRECT, DIRECT, DIRECT, DIRECT, RELAY),
    (DIRECT, DIRECT, DIRECT, DIRECT, DIRECT, RELAY),
    (DIRECT, DIRECT, DIRECT, DIRECT, TURN, RELAY),
    (DIRECT, DIRECT, DIRECT, TURN, TURN, RELAY),
    (RELAY, RELAY, RELAY, RELAY, RELAY, RELAY))))
TUNNEL_SECONDS, DIRECT_SECONDS = 1.0, 2.0
SERVER_SHARE = 0.01  # of what flows over a direct path
COPIES_SHARE = 0.2
DOWNLOAD_MIB = 20
ATTEMPT_EVERY, ATTEMPTS_AT_ONCE = 0.02, 60
PATIENCE = 15.0  # for a verdict; what is measured is held against the limits above
LOGS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build", "lab-logs")
DOWNLOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "download.py")

COUNTERS = """
table inet lab_counters {
  counter udp_bytes { }
  counter tcp_bytes { }
  chain count {
    meta l4proto udp counter name "udp_bytes"
    meta l4proto tcp counter name "tcp_bytes"
  }
  chain arriving { type filter hook input priority -400; policy accept; iifname "eth0" jump count; }
  chain leaving { type filter hook output priority 400; policy accept; oifname "eth0" jump count; }
}
"""

Cell = collections.namedtuple("Cell", "client node path ms_to_tunnel ms_to_best_path natType_client natType_node")


def truth(client, node):
    return TRUTH[client][KINDS.index(node)]


class FirstByte:
    """Connects to the web site's whoami from a host, again and again, until the answer is that address."""

    def __init__(self, host, expect):
        self._host, self._expect, self._stop = host, expect.encode() + b"\n", threading.Event()
        self.time = None  # on the monotonic clock, once it came
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with selectors.DefaultSelector() as waiting:
            while self.time is None and not self._stop.is_set():
                attempt = self._host.socket()
                attempt.setblocking(False)
                try:
                    attempt.connect_ex((places.WEB, places.WHOAMI_PORT))
                except OSError:
                    pass  # forbidden by the kill switch; it will read an error too
                waiting.register(attempt, selectors.EVENT_READ)
                self._read(waiting, time.monotonic() + ATTEMPT_EVERY)
                if len(waiting.get_map()) > ATTEMPTS_AT_ONCE:
                    self._drop(waiting, next(iter(waiting.get_map().values())).fileobj)
            for key in list(waiting.get_map().values()):
                self._drop(waiting, key.fileobj)

    def _read(self, waiting, until):
        while self.time is None and (left := until - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                try:
                    answer = key.fileobj.recv(100)
                except OSError:
                    answer = b""
                if answer == self._expect:
                    self.time = time.monotonic()
                self._drop(waiting, key.fileobj)

    @staticmethod
    def _drop(waiting, attempt):
        waiting.unregister(attempt)
        attempt.close()

    def stop(self):
        self._stop.set()
        self._thread.join()


class Wire:
    """The bytes that have passed a host's interface, by protocol, as the kernel counts them."""

    def __init__(self, host):
        self._host = host
        host.run("nft", "-f", "-", input=COUNTERS)

    def read(self):
        listing = json.loads(self._host.run("nft", "-j", "list", "counters").stdout)["nftables"]
        result = {item["counter"]["name"].removesuffix("_bytes"): item["counter"]["bytes"] for item in listing if "counter" in item}
        with open(f"/proc/{self._host.pid}/net/dev", encoding="ascii") as lines:
            fields = next(line for line in lines if line.strip().startswith("eth0:")).split(":")[1].split()
        return {**result, "all": int(fields[0]) + int(fields[8])}

    def since(self, before):
        return {name: value - before[name] for name, value in self.read().items()}


def ask(program, request="status"):
    """What a running program answers on its control socket, without the cost of starting another; None: nobody there."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(2)
        try:
            control.connect(os.path.join(program.state, "control.sock"))
            control.sendall(request.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                block = control.recv(1 << 16)
                if not block:
                    return None
                answer += block
        except OSError:
            return None
    return json.loads(answer)


class Pair:
    """A server, a node and a client in a laboratory whose two homes have the NATs that a test asks for."""

    def __init__(self, lab, ipv6=False):
        self.lab = lab
        for home in "ab":
            lab.set_ipv6(home, ipv6)
        self.server = Server(lab.server)
        self.server.start()
        self.server.add_user("alice", PASSWORD)
        self.wire = Wire(lab.server)
        self.node = Node(lab.node, self.server.pin())
        self.client = Client(lab.client_a, self.node.pin)
        self._logged_in = False

    def node_behind(self, kind, *arguments):
        """Starts the node anew behind such a NAT and waits until it knows that."""
        if self.node.running:
            self.node.stop()
        self.lab.set_nat("b", kind)
        self.node.start(*arguments)
        self.known_nat(self.node, kind)

    def client_behind(self, kind):
        self.lab.set_nat("a", kind)
        if not self._logged_in:
            self.client.login("alice", PASSWORD)
            self._logged_in = True

    @staticmethod
    def nat_type(program):
        return (ask(program) or {}).get("natType")

    def known_nat(self, program, kind):
        """The NAT type that it comes to. It begins with what it knew of this network, and a verdict takes longer than a tunnel."""
        self._when(lambda: self.nat_type(program) == NAT_TYPE[kind])
        return self.nat_type(program)

    def connect(self, best, *arguments):
        """`connect`, and waits for the path `best`: the seconds to the first byte through the tunnel and to that path, None for never."""
        begun = time.monotonic()
        first = FirstByte(self.client.host, self.lab.public_address("b"))
        self.client.begin("connect", *arguments, "--state-dir", self.client.state)
        try:
            reached = self._when(lambda: self.path() == best and time.monotonic())
            arrived = self._when(lambda: first.time)
        finally:
            first.stop()
        return arrived and arrived - begun, reached and reached - begun

    def _when(self, condition):
        """What the condition returns once it is true; None if it does not become so."""
        try:
            return wait_until(condition, PATIENCE, "what the connection is to come to", at_most=0.02)
        except Timeout:
            return None

    def path(self):
        return (ask(self.client) or {}).get("path")

    def download(self):
        """DOWNLOAD_MIB through the tunnel; the bytes that passed the server meanwhile, by protocol, as shares of that."""
        before = self.wire.read()
        done = json.loads(self.client.host.run("/usr/bin/python3", DOWNLOAD, f"http://{places.WEB}/payload", timeout=120).stdout)
        passed = self.wire.since(before)
        assert done["sha256"] == self.lab.payload_sha256, f"the download is broken: {done}"
        return {name: value / self.lab.payload_bytes for name, value in passed.items()}

    def cell(self, client, node, patience=1.0):
        """Connects, downloads, disconnects; (Cell, what deviates from the truth as a list of sentences). `patience` stretches the limits."""
        self.client_behind(client)
        best = truth(client, node)
        to_tunnel, to_path = self.connect(best)
        try:
            shares = self.download()
            path = self.path()
            nat_client, nat_node = self.known_nat(self.client, client), self.known_nat(self.node, node)
        finally:
            self.client.disconnect()
        wrong = deviations(best, path, to_tunnel, to_path, shares, patience)
        for who, kind, told in (("client", client, nat_client), ("node", node, nat_node)):
            if told != NAT_TYPE[kind]:
                wrong.append(f"the {who} takes its NAT for {told}, it is {NAT_TYPE[kind]}")
        return Cell(client, node, path, milliseconds(to_tunnel), milliseconds(to_path), nat_client, nat_node), wrong


def milliseconds(seconds):
    return None if seconds is None else round(seconds * 1000)


def deviations(best, path, to_tunnel, to_path, shares, patience=1.0):
    """What is not as it must be, by the truth and by what the server's interface has carried."""
    wrong = []
    if path != best:
        wrong.append(f"the path is {path}, it must be {best}")
    if to_tunnel is None or to_tunnel > TUNNEL_SECONDS * patience:
        wrong.append(f"the first byte came after {milliseconds(to_tunnel)} ms")
    if best == DIRECT and (to_path is None or to_path > DIRECT_SECONDS * patience):
        wrong.append(f"direct after {milliseconds(to_path)} ms")
    wrong += carried(best, shares)
    return wrong


def carried(best, shares):
    """Whether the server's interface agrees: a list of one sentence if not."""
    # While a path is in doubt copies take the relay too: over TURN a little may pass by TCP.
    proofs = {DIRECT: shares["all"] < SERVER_SHARE, DIRECT_V6: shares["all"] < SERVER_SHARE, TURN: shares["udp"] > 1 and shares["tcp"] < COPIES_SHARE, RELAY: shares["tcp"] > 1}
    if proofs[best]:
        return []
    return ["the server carried " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) + " of the download"]


def keep_logs(lab, name):
    """Of a failed test: beside those of the others."""
    target = os.path.join(LOGS, name)
    shutil.rmtree(target, ignore_errors=True)
    lab.keep_logs(target)
    print(f"logs of the failed run: {target}")
