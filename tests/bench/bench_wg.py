#!/usr/bin/python3
"""Two higgs-wg against two wireguard-go of Debian: TCP through a tunnel between two namespaces, same MTU, same congestion control."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

from lab import enter  # noqa: E402
from lab.wg_pair import GO, HIGGS, Pair  # noqa: E402
from measure import iperf, row  # noqa: E402

MTU = 1420
SPEED = f"WireGuard in userspace, MTU {MTU}"
FLOORS = {SPEED: 3}
STREAMS = (1, 4)


def measure(implementation):
    """{metric: value} of a fresh pair of tunnels; memory is that of the receiving end."""
    with Pair(implementation, implementation, mtu=MTU) as pair:
        pair.ping(pair.left, pair.right)
        result = {"rss idle": pair.right.rss_kib() / 1024}
        for streams in STREAMS:
            result[f"tcp {streams}"] = iperf(pair.left.host, pair.right.host, pair.right.inner(), streams)
        result["rss load"] = pair.right.rss_kib() / 1024
        return result


def rows(rounds):
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(measure(HIGGS))
        theirs.append(measure(GO))

    def make(bench, metric, unit, higher_is_better, key):
        return row(bench, metric, unit, higher_is_better, [one[key] for one in ours], "wireguard-go 0.0.20220316", [one[key] for one in theirs], rounds)

    return ([make(SPEED, f"tcp {streams}", "Mbit/s", True, f"tcp {streams}") for streams in STREAMS]
            + [make("RSS higgs-wg", state, "MiB", False, f"rss {state}") for state in ("idle", "load")])


if __name__ == "__main__":
    enter.enter()
    print(json.dumps(rows(int(os.environ.get("BENCH_ROUNDS", "3"))), indent=1))
