"""Many nodes at once: bosonserver on PostgreSQL, with `node_load` (tests/bench/node_load) for the nodes.

The server runs on one core, everything else on the others.
"""
import contextlib
import json
import os
import subprocess

from lab import lab as places
from lab.databases import STORE_URL, Postgres
from lab.programs import SERVER_PORT, Server, binary

# A server limits connections and handshakes from one address.
SOURCES = [f"127.0.1.{last}" for last in range(1, 65)]
USER, PASSWORD = "bench", "a pass phrase for the benchmark"
MOST = 1_000_000  # of what the server lets one address do: its clients are all at a few


@contextlib.contextmanager
def on_cores(cores):
    """What is started inside runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class NodeLoad:
    """`postgres` and `server` are up once it is made; `run` lets the nodes in."""

    def __init__(self, lab):
        self.lab = lab
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.other_cores = {cores[0]}, set(cores[1:])
        with on_cores(self.other_cores):
            self.postgres = Postgres(lab.databases)
            self.postgres.start()
        self.server = Server(lab.server, shared=["--store", STORE_URL])
        with on_cores(self.server_core):
            self.server.start("--threads-io", "1", "--threads-relay", "1", "--rates-general", MOST, "--rates-registration", MOST, "--rates-login", MOST,
                              "--rates-routes", MOST, "--rates-account", MOST, "--rates-lists", MOST, "--sessions-per-user", 1000)
        self.server.add_user(USER, PASSWORD)

    def run(self, *arguments, routes=0, at_event=None):
        """The events of node_load, each with the server's CPU seconds and RSS at that moment; each is shown to `at_event` when it comes."""
        command = [binary("node_load"), "--server", self.server.url, "--at", f"127.0.0.1:{SERVER_PORT}", "--pin", self.server.pin()]
        for source in SOURCES:
            command += ["--source", source]
        if routes:
            password = os.path.join(self.lab.dir, "node-load.password")
            with open(password, "w", encoding="utf-8") as out:
                out.write(PASSWORD + "\n")
            command += ["--routes", routes, "--user", USER, "--password-file", password]
        events = []
        with on_cores(self.other_cores):
            process = self.lab.server.popen(*command, *arguments, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            event = {**json.loads(line), "cpu_seconds": self.server.cpu_seconds(), "rss_kib": self.server.rss_kib()}
            events.append(event)
            if at_event:
                at_event(event)
        status = process.wait(60)
        if status not in (0, 1) or not events:
            raise RuntimeError(f"node_load ended with {status}")
        return events

    def nodes_heard_since(self, time):
        return int(self.postgres.query(f"SELECT count(*) FROM nodes WHERE last_seen >= {int(time)}")[0][0])

    def nodes_online(self):
        return int(self.postgres.query("SELECT count(*) FROM nodes WHERE status = 'online'")[0][0])
