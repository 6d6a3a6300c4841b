"""A server with limits, a tunnel over its relay that carries a download, and a stranger with many addresses who attacks."""
import contextlib
import json
import os
import re
import signal
import sys
import threading
import time

from lab import lab as places
from lab.host import wait_for_listener
from lab.programs import METRICS_PORT, SERVER_PORT, Client, Node, Program, Server
from lab.wait import Timeout, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
ATTACKS = ("silent", "slow-loris", "slow-read", "slow-body", "logins", "registrations", "malformed", "handshakes")
PASSWORD = "a pass phrase for the siege"
STRANGERS = [f"203.0.113.{last}" for last in range(160, 224)]
# What an address may register in a minute is soon used up: each storm comes from others than the three before it.
NEWCOMERS = "198.51.100"
NEWCOMERS_AT_ONCE, NEWCOMERS_TURNS = 63, 4
FLOW_PORT = 7100
LIMIT_MIB = 256
SAMPLE_SECONDS = 0.1
RESTING_CONNECTIONS = 100
# Who does not read has 30 s (HttpServerLimits::write); where the machine is busy everything takes longer.
REFUSED_SECONDS = 90
# What says that something was refused. Requests count by their status.
REFUSALS = re.compile(r"higgs_(http_refused|http_timeouts|http_handshake_failures|http_bad_requests|pool_refused|overload_refused|rate_limited)"
                      r'|higgs_http_requests_total.*status="(4|503)')
# Each attack must have been met by one of these.
EXPECTED = {
    "silent": "higgs_http_timeouts_total",
    "slow-loris": "higgs_http_timeouts_total",
    "slow-read": "higgs_(http_timeouts|overload_refused)_total",
    "slow-body": "higgs_http_(refused_for_memory|timeouts)_total",
    "logins": "/auth/login.*status=\"(429|503)\"",
    "registrations": "/(register|challenge)\".*status=\"(429|503)\"",
    "malformed": "higgs_http_bad_requests_total",
    "handshakes": "higgs_http_refused_handshakes_total",
}


class Samples(threading.Thread):
    """The most resident memory that the server has meanwhile."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self._server, self._done = server, threading.Event()
        self.peak_kib = 0
        self.start()

    def run(self):
        while not self._done.wait(SAMPLE_SECONDS):
            self.peak_kib = max(self.peak_kib, self._server.rss_kib())

    def stop(self):
        self._done.set()
        self.join()
        return self.peak_kib / 1024


class Flow:
    """The download through the tunnel."""

    def __init__(self, lab):
        self._lab, self._log = lab, os.path.join(lab.dir, "flow.log")
        lab.web.popen(sys.executable, f"{HERE}/flow.py", "serve", places.WEB, FLOW_PORT, log="flow.out")
        wait_for_listener(lab.web, FLOW_PORT)
        self._process = lab.client_a.popen(sys.executable, f"{HERE}/flow.py", "take", places.WEB, FLOW_PORT, self._log, log="flow.out")
        wait_until(lambda: self.total() > 0, 20, "the download to begin")

    @property
    def running(self):
        return self._process.poll() is None

    def total(self):
        """Bytes until now, with the time of that."""
        samples = self._samples()
        return samples[-1][1] if samples else 0

    def _samples(self):
        if not os.path.exists(self._log):
            return []
        with open(self._log, encoding="ascii") as lines:
            return [(float(when), int(count)) for when, count in (line.split() for line in lines if line.endswith("\n"))]

    def mbps(self, begin, end):
        """Between two moments, of those samples that lie between them."""
        inside = [sample for sample in self._samples() if begin <= sample[0] <= end]
        if len(inside) < 2:
            return 0.0
        (first, before), (last, after) = inside[0], inside[-1]
        return (after - before) * 8 / (last - first) / 1e6

    def stop(self):
        self._process.kill()
        self._process.wait()


class Siege:
    """In a laboratory of its own. `close()` ends the tunnel in order."""

    def __init__(self, lab, limit_mib=LIMIT_MIB):
        self.lab, self.limit_mib = lab, limit_mib
        self.stranger = lab.stranger("stranger", *STRANGERS)
        self.stranger.run("ip", "route", "add", "local", f"{NEWCOMERS}.0/24", "dev", "lo")
        lab.server.run("ip", "route", "add", f"{NEWCOMERS}.0/24", "dev", "eth0")
        self._storms = 0
        self.server = Server(lab.server)
        self.server.start("--limits-memory", str(limit_mib))
        self.server.add_user("alice", PASSWORD)
        self.node = Node(lab.node, self.server.pin())
        self.node.start()
        self.client = Client(lab.client_a, self.server.pin())
        self.client.login("alice", PASSWORD)
        self.client.connect("--path", "relay", expect=places.PUBLIC["b"])
        self.session = self.client.status()["sessionId"]
        self.flow = Flow(lab)

    def close(self):
        self.flow.stop()
        self.client.disconnect()
        self.node.stop()
        self.server.stop()

    def metrics(self):
        """Every sample with its labels."""
        text = self.lab.server.fetch(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=20)
        assert text, "the metrics cannot be had"
        return {name: float(value) for name, value in re.findall(r"^([a-z_]\S*(?:\{[^}]*\})?) (\S+)$", text, re.M)}

    def wait_rest(self):
        """Until what the last attack left behind is gone."""
        def rests():
            now = self.metrics()
            return now["higgs_http_connections"] < RESTING_CONNECTIONS and now["higgs_overload_level"] == 0
        wait_until(rests, 120, "the server to be at rest")

    def quiet(self, seconds, share=0):
        """Mbit/s while nobody attacks, and somebody else computes for this share of a processor."""
        self.wait_rest()
        neighbour = self.stranger.popen(sys.executable, f"{HERE}/neighbour.py", share)
        try:
            time.sleep(seconds / 4)
            begin = time.monotonic()
            time.sleep(seconds)
            return self.flow.mbps(begin, time.monotonic())
        finally:
            neighbour.kill()
            neighbour.wait()

    def _sources(self, name):
        if name == "handshakes":  # how many an address may have is to be seen where they come from few
            return STRANGERS[:1]
        if name != "registrations":
            return STRANGERS
        first = self._storms % NEWCOMERS_TURNS * NEWCOMERS_AT_ONCE
        self._storms += 1
        return [f"{NEWCOMERS}.{first + number + 1}" for number in range(NEWCOMERS_AT_ONCE)]

    def _refused(self, before):
        now = self.metrics()
        return {sample: round(now[sample] - before.get(sample, 0)) for sample in now if REFUSALS.match(sample) and now[sample] > before.get(sample, 0)}

    def _met(self, name, before):
        return any(re.search(EXPECTED[name], sample) for sample in self._refused(before))

    def attack(self, name, seconds, aside=True):
        """One attack of at least that many seconds, which goes on until it was met with a refusal; what became of the tunnel, the memory and the attack itself."""
        before, cpu = self.metrics(), self.server.cpu_seconds()
        samples, started = Samples(self.server), time.monotonic()
        process = self.stranger.popen(sys.executable, f"{HERE}/attack.py", "--attack", name, "--server", places.SERVER, "--port", SERVER_PORT,
                                      *(word for source in self._sources(name) for word in ("--source", source)), *(["--aside"] if aside else []),
                                      stdout=-1, text=True)
        try:
            if process.stdout.readline() != "ready\n":
                raise AssertionError(f"the attack {name} did not begin")
            begin = time.monotonic()
            time.sleep(seconds)
            mbps = self.flow.mbps(begin, time.monotonic())
            share = (self.server.cpu_seconds() - cpu) / (time.monotonic() - started)
            with contextlib.suppress(Timeout):  # problems() says so
                wait_until(lambda: self._met(name, before), REFUSED_SECONDS, f"{name} to be refused", every=0.2, at_most=0.5)
            process.send_signal(signal.SIGTERM)
            report = json.loads(process.stdout.readline())
            process.wait(60)
        finally:
            process.kill()
        peak = samples.stop()
        return {"attack": name, "mbps": round(mbps, 1), "rss_mib": round(peak, 1), "limit_mib": self.limit_mib, "refused": self._refused(before),
                "server_cpu": round(share, 2), "attack_cpu": report["cpu_share"], "opened": report["opened"], "most_standing": report["most"], "answers": report["answers"]}

    def problems(self, result):
        """What does not hold after an attack, but for the throughput."""
        found = []
        if not self.server.running:
            return [f"the server has ended: {self.server.tail(5)}"]
        if result["rss_mib"] > result["limit_mib"]:
            found.append(f"{result['rss_mib']} MiB of {result['limit_mib']}")
        if not any(re.search(EXPECTED[result["attack"]], sample) for sample in result["refused"]):
            found.append("the metrics do not say that it was refused")
        if result["attack"] == "registrations" and not result["answers"].get("registered"):
            found.append("nobody was registered, which would have cost the server most")
        if not self.flow.running:
            found.append("the download broke")
        if self.client.status()["sessionId"] != self.session:
            found.append("the tunnel is another one than before")
        return found + Program.reports()
