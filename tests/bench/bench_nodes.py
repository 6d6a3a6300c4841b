#!/usr/bin/python3
"""How many nodes one server carries: 50,000 with a heartbeat every 30 s over 5,000 kept TLS connections, on one core
and PostgreSQL, without and with people who ask for routes meanwhile. The peer is the limit that is promised.

Runs alone, too, and then shows all that it has seen:

    bench_nodes.py [--nodes 50000] [--connections 5000] [--seconds 60] [--routes 50] [--pause-database 5]
"""
import argparse
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

from lab import enter  # noqa: E402  (the path above is needed first)
from lab.lab import Lab  # noqa: E402
from lab.node_load import NodeLoad  # noqa: E402
from measure import row  # noqa: E402

NODES, CONNECTIONS, INTERVAL, SECONDS, ROUTES = 50_000, 5_000, 30, 60, 50
WARM_UP = 5  # seconds, after two heartbeats of each node: the first makes it online, from the second on the server knows it
CPU_LIMIT, P99_LIMIT_MS = 50, 50
PLAIN = f"{NODES} nodes, {CONNECTIONS} connections"
ROUTED = f"{PLAIN}, {ROUTES} routes/s"
FLOORS = {PLAIN: 1, ROUTED: 1}  # the limits are kept
PAUSE_AFTER = 10  # seconds of a measured period


class Periods:
    """Puts the events of node_load together, and says what comes."""

    def __init__(self, load, pause):
        self.load, self.pause, self.results, self._last, self._current = load, pause, [], None, None

    def see(self, event):
        kind, used = event["event"], event["cpu_seconds"]
        if kind == "registered":
            print(f"{event['nodes']} nodes registered in {event['seconds']:.0f} s ({event['retried']} tried again), {used / event['nodes'] * 1e3:.2f} ms of the server's CPU each", flush=True)
        if kind == "connected":
            print(f"{event['connections']} connections in {event['seconds']:.1f} s, {(used - self._last['cpu_seconds']) / event['connections'] * 1e3:.2f} ms each "
                  f"with the first request; RSS {event['rss_kib'] / 1024:.0f} MiB", flush=True)
        if kind == "begin":
            self._current = {"routes": event["routes"], "begun": time.monotonic(), "used": used, "load": os.getloadavg()[0]}
            if self.pause:
                threading.Thread(target=self._pause_database, daemon=True).start()
        if kind == "end":
            took = time.monotonic() - self._current["begun"]
            self._current.update(cpu=100 * (used - self._current["used"]) / took, rss_mib=event["rss_kib"] / 1024)
        if kind == "result":
            self._current.update(heartbeats=event["heartbeats"], route_requests=event.get("routes"), unended=event.get("unended_sessions", 0))
            self.results.append(self._current)
            self._show(self._current)
        self._last = event

    def _pause_database(self):
        time.sleep(PAUSE_AFTER)
        self.load.postgres.pause()
        time.sleep(self.pause)
        self.load.postgres.resume()

    @staticmethod
    def _show(result):
        def line(what):
            return (f"{what['answered']} answered, failures {what['failures']}, p50 {what['p50_ms']:.1f} ms, p99 {what['p99_ms']:.1f} ms, "
                    f"p99.9 {what['p999_ms']:.1f} ms, longest {what['max_ms']:.0f} ms")
        print(f"server CPU {result['cpu']:.1f} % of a core, RSS {result['rss_mib']:.0f} MiB (load average {result['load']:.1f})\n"
              f"  heartbeats: {line(result['heartbeats'])}", flush=True)
        if result["route_requests"]:
            print(f"  routes: {line(result['route_requests'])}, sessions not ended {result['unended']}", flush=True)


def measure(nodes=NODES, connections=CONNECTIONS, interval=INTERVAL, seconds=SECONDS, routes=ROUTES, rounds=1, pause=0):
    with Lab(payload_mib=1, cluster=True) as lab:
        load = NodeLoad(lab)
        periods = Periods(load, pause)
        load.run("--nodes", nodes, "--connections", connections, "--interval", interval, "--warm-up", 2 * interval + WARM_UP, "--seconds", seconds,
                 "--rounds", rounds, routes=routes, at_event=periods.see)
        online = load.nodes_online()
        print(f"{online} of {nodes} nodes are online in the store", flush=True)
        if online != nodes:
            raise RuntimeError("nodes were lost")
        return periods.results


def rows(rounds):
    results = measure(rounds=rounds)
    for result in results:
        if result["heartbeats"]["failures"] or (result["route_requests"] or {}).get("failures") or result["unended"]:
            raise RuntimeError("not all was answered")

    def make(bench, metric, unit, values, limit):
        return row(bench, metric, unit, False, values, "limit", [limit], rounds)

    plain, routed = ([result for result in results if result["routes"] == with_routes] for with_routes in (False, True))
    return [make(PLAIN, "server CPU", "%", [one["cpu"] for one in plain], CPU_LIMIT),
            make(PLAIN, "heartbeat p99", "ms", [one["heartbeats"]["p99_ms"] for one in plain], P99_LIMIT_MS),
            make(ROUTED, "server CPU", "%", [one["cpu"] for one in routed], CPU_LIMIT),
            make(ROUTED, "heartbeat p99", "ms", [one["heartbeats"]["p99_ms"] for one in routed], P99_LIMIT_MS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--interval", type=int, default=INTERVAL, help="seconds between the heartbeats of a node")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each measurement")
    parser.add_argument("--routes", type=float, default=ROUTES, help="requests a second, in a second measurement; 0: none")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pause-database", type=int, default=0, metavar="SECONDS", help=f"in each measurement, after {PAUSE_AFTER} s")
    arguments = parser.parse_args()
    enter.enter()
    measure(arguments.nodes, arguments.connections, arguments.interval, arguments.seconds, arguments.routes, arguments.rounds, arguments.pause_database)


if __name__ == "__main__":
    main()
