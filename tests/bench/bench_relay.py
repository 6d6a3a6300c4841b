"""A tunnel through our WebSocket relay over TLS against nebula through its relay (UDP), on the same map.

Both go from the user's computer over the relay to the exit and from there, by NAT, to an iperf3 at the web site. That the
server did carry them is counted at its interface: a tunnel that has found a better path would measure that one.
"""
import json
import os

from lab import lab as places
from lab.lab import Lab
from lab.programs import Client, Node, Server
from measure import SECONDS, iperf, row, rss_mib
from nebula import MTU, Nebula

OUR_MTU = 1420
TCP_AND_IP = 52  # headers with timestamps: the rest of the MTU is payload
PASSWORD = "a pass phrase for the benchmark"
SPEED = "tunnel through the relay"
FLOORS = {SPEED: 2}
RUNS = {"tcp 1 down": (1, True), "tcp 4 down": (4, True), "tcp 1 up": (1, False)}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def received_mib(host):
    return json.loads(host.run("ip", "-j", "-s", "link", "show", "eth0").stdout)[0]["stats64"]["rx"]["bytes"] / places.MIB


def measure(lab, pids, mtu):
    """{metric: value} of one tunnel that is up; pids of its server, exit and user programs."""
    result = {f"rss idle {name}": rss_mib(pid) for name, pid in pids.items()}
    payload_bits = 8 * (mtu - TCP_AND_IP)
    for name, (streams, reverse) in RUNS.items():
        before, carried = cpu_seconds(pids["server"]), received_mib(lab.server)
        mbit_s = iperf(lab.client_a, lab.web, places.WEB, streams, reverse)
        used, carried = cpu_seconds(pids["server"]) - before, received_mib(lab.server) - carried
        payload = mbit_s * 1e6 / 8 * SECONDS / places.MIB
        if carried < payload:
            raise RuntimeError(f"{name}: of {payload:.0f} MiB the relay carried {carried:.0f}")
        result[name] = mbit_s
        result[f"server cpu {name}"] = used * 1e6 / (mbit_s * 1e6 * (SECONDS + 1) / payload_bits)
    result.update({f"rss load {name}": rss_mib(pid) for name, pid in pids.items()})
    return result


class Ours:
    def __init__(self, lab):
        self._lab = lab
        self._server = Server(lab.server)
        self._server.start()
        self._server.add_user("bench", PASSWORD)
        self._node = self._client = None

    def round(self):
        self._node = Node(self._lab.node, self._server.pin())
        self._node.start()
        self._client = Client(self._lab.client_a, self._server.pin())
        self._client.login("bench", PASSWORD)
        self._client.connect("--path", "relay", expect=places.PUBLIC["b"])
        try:
            return measure(self._lab, {"server": self._server.process.pid, "exit": self._node.process.pid, "user": self._client.process.pid}, OUR_MTU)
        finally:
            self._client.disconnect()
            self._node.stop()


class Theirs:
    def __init__(self, lab):
        self._lab, self._nebula = lab, Nebula(lab)

    def round(self):
        self._nebula.up()
        try:
            return measure(self._lab, {name: process.pid for name, process in self._nebula.processes.items()}, MTU)
        finally:
            self._nebula.down()


def rows(rounds):
    ours, theirs = [], []
    with Lab(payload_mib=1) as lab:
        mine, peer = Ours(lab), Theirs(lab)
        for _ in range(rounds):
            ours.append(mine.round())
            theirs.append(peer.round())

    def make(bench, metric, unit, higher_is_better, key):
        return row(bench, metric, unit, higher_is_better, [one[key] for one in ours], "nebula 1.6.1", [one[key] for one in theirs], rounds)

    names = {"server": "bosonserver", "exit": "higgsnode", "user": "higgsvpn"}
    return ([make(SPEED, name, "Mbit/s", True, name) for name in RUNS]
            + [make("server CPU per relayed packet", name, "us", False, f"server cpu {name}") for name in RUNS]
            + [make(f"RSS {program}", state, "MiB", False, f"rss {state} {name}") for name, program in names.items() for state in ("idle", "load")])
