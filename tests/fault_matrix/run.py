#!/usr/bin/python3
"""What a cluster does when a part of it dies: four faults of each of four components, one at a time.

During a download through the tunnel (over the relay, client and node at different servers), 5 logins and 50 routing
requests a second, a component is killed and restarted, paused, cut off the network, or restarted in order. A row passes
when the download goes on within 3 s after each stop and its connection never broke, the tunnel is the one of before,
requests failed only at the component that was away, only while it was and at most 2 s longer, and every session that
was acknowledged is in the store. PostgreSQL is every server's, so requests of both may fail while it is away; Redis is
nobody's need.

  tests/fault_matrix/run.py --out build/fault-matrix.json [--component NAME] [--fault NAME]
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "integration")]

from lab import databases, enter  # noqa: E402  (the path above is needed first)
from lab import lab as places  # noqa: E402
from lab.cluster import Cluster  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.programs import SERVER_PORT, Client, Node, Program  # noqa: E402
from lab.stream import Stream  # noqa: E402
from lab.wait import wait_until  # noqa: E402

PASSWORD = "a pass phrase for the faults"
COMPONENTS = ("server A", "server B", "PostgreSQL", "Redis")
FAULTS = ("kill", "pause", "cut", "restart")
AWAY_SECONDS = 10  # of a pause and a cut
QUIET_SECONDS, AFTER_SECONDS = 3, 6
GAP_SECONDS, TRAIL_SECONDS = 3.0, 2.0
TUNNEL_SERVERS_GAP = {"server A", "server B"}
LOGS = os.path.realpath(os.path.join(HERE, "..", "..", "build", "fault-logs"))
CUT = """table inet lab_away {
  chain input { type filter hook input priority -200; policy drop; iif lo accept; }
  chain output { type filter hook output priority -200; policy drop; oif lo accept; }
}
"""


class Away:
    """Does a fault to a component and takes it back; `begin` and `end` are when it was away."""

    def __init__(self, cluster, component):
        self._what = {"server A": cluster.a, "server B": cluster.b, "PostgreSQL": cluster.postgres, "Redis": cluster.redis}[component]
        self.begin = self.end = 0.0

    def happen(self, fault):
        self.begin = time.time()
        getattr(self, f"_{fault}")()
        self.end = time.time()

    def _kill(self):
        self._what.kill()
        self._what.start()

    def _restart(self):
        self._what.stop()
        self._what.start()

    def _pause(self):
        self._signal(signal.SIGSTOP)
        time.sleep(AWAY_SECONDS)
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        for pid in self._what.pids() if isinstance(self._what, databases.Database) else [self._what.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _cut(self):
        self._what.host.run("nft", "-f", "-", input=self._filter())
        time.sleep(AWAY_SECONDS)
        self._what.host.run("nft", "delete", "table", "inet", "lab_away")

    def _filter(self):
        """PostgreSQL and Redis share a host, and are cut off one by one."""
        if not isinstance(self._what, databases.Database):
            return CUT
        port = databases.POSTGRES_PORT if isinstance(self._what, databases.Postgres) else databases.REDIS_PORT
        return f"""table inet lab_away {{
  chain input {{ type filter hook input priority -200; policy accept; tcp dport {port} drop; }}
  chain output {{ type filter hook output priority -200; policy accept; tcp sport {port} drop; }}
}}
"""


class Bench:
    """The laboratory with its cluster, a node, and a client, for all rows."""

    def __init__(self, lab):
        self.lab, self.cluster = lab, Cluster(lab, "--rates-general", "100000", "--rates-login", "100000", "--rates-account", "100000",
                                              "--rates-routes", "100000", "--sessions-per-user", "1000")
        # The load's sessions must not fill what one account or one node may have.
        self.cluster.a.add_user("alice", PASSWORD)
        self.cluster.a.add_user("load", PASSWORD)
        self.node = self.client = None

    def begin(self):
        """Client and node at different servers, each free to move from here on."""
        self.cluster.part()
        self.node = Node(self.lab.node, self.cluster.b.pin(), url=self.cluster.b.url)
        self.node.start("--max-connections", "2000")
        self.client = Client(self.lab.client_a, self.cluster.a.pin(), url=self.cluster.a.url)
        self.client.login("alice", PASSWORD)
        self.client.connect("--path", "relay", expect=places.PUBLIC["b"])
        self.cluster.join()

    def end(self):
        self.client.disconnect()
        self.node.stop()

    def load(self, log):
        process = self.lab.web.popen(sys.executable, f"{HERE}/load.py", "--user", "load", "--password", PASSWORD, "--log", log,
                                     "--server", f"server A={places.SERVER}:{SERVER_PORT}", "--server", f"server B={places.SERVER_B}:{SERVER_PORT}", stdout=-1, text=True)
        if process.stdout.readline() != "running\n":
            raise RuntimeError("the load did not begin")
        return process


def allowed(component, server, event, away):
    """Whether this request may have failed."""
    near = event["end"] >= away.begin and event["begin"] <= away.end + TRAIL_SECONDS
    return near and component in (server, "PostgreSQL")


def lost_writes(bench, events):
    """Sessions that were acknowledged and are not in the store, or not ended there."""
    wanted = {event["what"] for event in events if event["kind"] == "route" and event["ok"]}
    ended = {row[0] for row in bench.cluster.postgres.query("SELECT id FROM sessions WHERE ended_at IS NOT NULL")}
    return len(wanted - ended)


def row(bench, component, fault):
    bench.begin()
    session = bench.client.status()["sessionId"]
    log = os.path.join(bench.lab.dir, "load.log")
    load = bench.load(log)
    stream = Stream(bench.lab.client_a)
    time.sleep(QUIET_SECONDS)
    away = Away(bench.cluster, component)
    begin = time.monotonic()
    away.happen(fault)
    time.sleep(AFTER_SECONDS)
    gap = stream.longest_gap(begin, time.monotonic())
    failure = stream.failure
    stream.stop()
    load.send_signal(signal.SIGTERM)
    load.wait(60)
    with open(log, encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    failed = [event for event in events if not event["ok"]]
    forbidden = [event for event in failed if not allowed(component, event["server"], event, away)]
    result = {"component": component, "fault": fault, "tunnel_gap_ms": round(gap * 1000), "requests": len(events), "failed_requests": len(failed),
              "lost_writes": lost_writes(bench, events)}
    problems = []
    if failure:
        problems.append(f"the download broke: {failure}")
    if gap > GAP_SECONDS:
        problems.append(f"no progress for {gap:.1f} s")
    if forbidden:
        problems.append(f"{len(forbidden)} requests failed that had no reason to, for example {forbidden[0]}")
    if result["lost_writes"]:
        problems.append(f"{result['lost_writes']} acknowledged writes are lost")
    if bench.client.status()["sessionId"] != session:
        problems.append("the tunnel is another one than before")
    for server in bench.cluster.servers:
        if not server.running:
            problems.append(f"a server has ended: {server.tail(5)}")
    problems += Program.reports()
    bench.end()
    return result, problems


def table(rows):
    lines = [("component", "fault", "tunnel gap", "requests", "failed", "lost writes", "")]
    lines += [(r["component"], r["fault"], f"{r['tunnel_gap_ms']} ms", str(r["requests"]), str(r["failed_requests"]), str(r["lost_writes"]), "; ".join(p) or "ok") for r, p in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[6]]) for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--component", choices=COMPONENTS, action="append")
    parser.add_argument("--fault", choices=FAULTS, action="append")
    arguments = parser.parse_args()
    try:
        enter.enter()
    except enter.CannotEnter as problem:
        print(f"no fault matrix here: {problem}", file=sys.stderr)
        return 1
    if why := databases.missing():
        print(f"no fault matrix here: {why}", file=sys.stderr)
        return 1
    rows = []
    with Lab(payload_mib=1, cluster=True) as lab:
        bench = Bench(lab)
        for component in arguments.component or COMPONENTS:
            for fault in arguments.fault or FAULTS:
                print(f"{component}: {fault} …", end=" ", flush=True)
                result, problems = row(bench, component, fault)
                print("; ".join(problems) or f"ok, gap {result['tunnel_gap_ms']} ms, {result['failed_requests']} of {result['requests']} failed", flush=True)
                rows.append((result, problems))
        if any(problems for _, problems in rows):
            shutil.rmtree(LOGS, ignore_errors=True)
            lab.keep_logs(LOGS)
            print(f"the logs of all programs: {LOGS}")
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with open(arguments.out, "w", encoding="utf-8") as out:
        json.dump([result for result, _ in rows], out, indent=1)
        out.write("\n")
    print(table(rows))
    return 1 if any(problems for _, problems in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
