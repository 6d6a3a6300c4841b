#!/usr/bin/python3
"""The whole story in one run: a user behind one NAT reaches a web site through a volunteer behind another.

Prints numbered steps for people, and as its last line one JSON object for programs. Ends with status 0 only if every
step was proved.
"""
import argparse
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import databases, enter  # noqa: E402  (the path above is needed first)
from lab import lab as places  # noqa: E402
from lab.capture import Capture, leaks, summary  # noqa: E402
from lab.cluster import Cluster  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.programs import RELAYS, URL, URL_B, Client, Node, Program, Server  # noqa: E402
from lab.stream import Stream  # noqa: E402
from lab.traversal import Wire  # noqa: E402
from lab.wait import SCALE, wait_until  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
LOGS = os.path.realpath(os.path.join(HERE, "..", "..", "build", "demo-logs"))
PASSWORD = "a pass phrase for the demo"
# What is smaller is here before anything can be done to its download: the web site then spreads it over that time.
SMALL_BYTES, SPREAD_SECONDS = 64 * places.MIB, 5
# Against less than that the server's own messages with client and node count for more than what it might carry of the tunnel.
SHARE_BYTES = 10 * places.MIB
BOLD, GREEN, RED, PLAIN = ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


class NotProved(Exception):
    """A step did not show what it should have shown."""


class Story:
    """Numbered steps on the screen; each ends with what was proved."""

    def __init__(self):
        self._number = 0

    def step(self, title):
        self._number += 1
        print(f"\n{BOLD}{self._number}. {title}{PLAIN}", flush=True)

    @staticmethod
    def say(text):
        print(f"   {text}", flush=True)

    @staticmethod
    def proved(truth, text):
        print(f"   {GREEN}proved:{PLAIN} {text}" if truth else f"   {RED}NOT PROVED:{PLAIN} {text}", flush=True)
        if not truth:
            raise NotProved(text)


class Download:
    """A download on the client's computer that runs while other things happen; a `lasting` one takes a while, however small the file."""

    def __init__(self, lab, lasting=False):
        self._lab, self._asked = lab, len(lab.seen(lab.web, "http"))
        query = f"?until={time.time() + SPREAD_SECONDS * SCALE:.3f}" if lasting and lab.payload_bytes < SMALL_BYTES else ""
        self._progress = os.path.join(lab.client_a.dir, "progress")
        with open(self._progress, "wb") as file:
            file.write(b"%020d" % 0)
        self._process = lab.client_a.popen(sys.executable, f"{HERE}/download.py", f"http://{places.WEB}/payload{query}", "--progress", self._progress,
                                           "--stall-seconds", "2", stdout=-1, text=True)

    def wait_for(self, share):
        """Until the web site has been asked and that share of the file is here, or the download has ended."""
        wanted = int(self._lab.payload_bytes * share)
        wait_until(lambda: not self.running() or self.arrived() >= wanted and len(self._lab.seen(self._lab.web, "http")) > self._asked, 600,
                   f"{share:.0%} of the download", every=0.001, at_most=0.005)

    def running(self):
        return self._process.poll() is None

    def unfinished(self):
        """Whether something of the file is still to come; of an empty one, whether the answer is."""
        return self.running() and (self.arrived() < self._lab.payload_bytes or self._lab.payload_bytes == 0)

    def arrived(self):
        """The number of bytes so far."""
        with open(self._progress, "rb") as file:
            return int(file.read() or b"0")

    def result(self):
        output, _ = self._process.communicate(timeout=900)
        return json.loads(output)


def talk(lab):
    return lab.client_a.popen(sys.executable, f"{HERE}/chatter.py")


def captured(lab, name, client, node):
    """Captures the client's physical interface while it talks and the node dies and comes back; returns the packets."""
    capture = Capture(lab.client_a, "eth0", RELAYS, name)
    chatter = talk(lab)
    node.kill()
    node.start()
    client.wait_tunnel(places.PUBLIC["b"], 15)
    chatter.kill()
    return capture.stop()


def start_servers(lab, story, cluster):
    """The server of the user, and that of the node: the same one, or two of a cluster."""
    if not cluster:
        story.step("An operator starts bosonserver with no configuration, and makes an account")
        server = Server(lab.server)
        server.start()
        server.add_user("alice", PASSWORD)
        story.say(f"{URL} is up; its pin is {server.pin()}")
        return [server, server]
    story.step("An operator starts PostgreSQL, Redis and two servers on them, and makes an account")
    servers = Cluster(lab)
    servers.part()
    servers.a.add_user("alice", PASSWORD)
    story.say(f"server A is {URL}, server B is {URL_B}; the user reaches A alone, and the volunteer B")
    return servers.servers


def play(lab, story, result, cluster):
    a, b = places.PUBLIC["a"], places.PUBLIC["b"]
    result["node_public_address"] = b
    story.step("An internet with a server, a web site, and homes behind NAT routers")
    story.say(f"server {places.SERVER}, web site {places.WEB}, home A (the user) behind {a}, home B (the volunteer) behind {b}")
    before = {host.name: host.snapshot() for host in (lab.client_a, lab.node)}
    seen = lab.client_a.fetch(f"http://{places.WEB}/ip").strip()
    story.proved(seen == a, f"without a tunnel the web site sees the user's own public address, {seen}")
    story.proved(lab.printer.pings(places.NODE) and not lab.web.pings(places.NODE6), "the volunteer's computer answers its own home and nobody outside")

    server, nodes_server = start_servers(lab, story, cluster)

    story.step("A volunteer starts higgsnode on a PC behind NAT")
    node = Node(lab.node, nodes_server.pin(), url=nodes_server.url)
    node.start()
    story.say("registered with a signature of its identity key; its relay link stands")

    story.step("A user logs in and connects, over the relay alone for now")
    client = Client(lab.client_a, server.pin())
    client.login("alice", PASSWORD)
    result["connect_ms"] = round(client.connect_detached("--path", "relay") * 1000)
    seen = client.exit_address()
    result["exit_address"] = seen
    story.proved(seen == b, f"after {result['connect_ms']} ms the web site sees {seen}: the volunteer's address")
    story.proved(seen not in (a, places.SERVER), "that is neither the user's address nor the server's")
    result["path"] = client.status()["path"]
    story.proved(result["path"] == "relay", "the path is the relay's: the server passes on what it cannot read")
    if cluster:
        at = {"user": client.status()["server"], "volunteer": node.status()["relay"]["url"]}
        story.proved(at["user"] == server.url and nodes_server.url.split("//")[1] in at["volunteer"], "the user is linked to server A and the volunteer to server B: packets pass both")
    asked = len(lab.seen(lab.web, "dns"))
    lab.client_a.fetch(f"http://{places.WEB_NAME}/hello")
    sources = {event["source"] for event in lab.seen(lab.web, "dns")[asked:]}
    story.proved(sources and a not in sources, f"names are asked through the tunnel too: the resolver saw {', '.join(sorted(sources))}")

    story.step(f"A download of {_size(lab.payload_bytes)}, with a capture running on the user's physical interface")
    capture = Capture(lab.client_a, "eth0", RELAYS, "kill-switch-on")
    download = Download(lab).result()
    result["downloaded_mib"], result["mbit_s"] = _short(download["bytes"] / places.MIB), _short(download["mbit_s"])
    result["sha256_ok"] = download["sha256"] == lab.payload_sha256
    story.proved(result["sha256_ok"], f"{_size(download['bytes'])} at {result['mbit_s']} Mbit/s, SHA-256 as the web site's own")

    story.step("Again, and half way the node is killed with SIGKILL and started anew; everything on the user's computer keeps talking")
    chatter, download = talk(lab), Download(lab, lasting=True)
    download.wait_for(0.5)
    node.kill()
    begun, arrived, half_way = time.monotonic(), download.arrived(), download.unfinished()
    story.say(f"killed after {_size(arrived)}")
    node.start()
    again = download.result()
    client.wait_tunnel(b, 15)
    story.say(f"longest pause {again['longest_gap_s']:.1f} s, {again['resumed']} times resumed, over {time.monotonic() - begun:.1f} s after the kill")
    result["sha256_ok"] = result["sha256_ok"] and again["sha256"] == lab.payload_sha256
    story.proved(half_way and again["sha256"] == lab.payload_sha256, "the file arrived whole all the same")
    chatter.kill()
    packets = capture.stop()
    leaked, tunnelled = leaks(packets), [packet for packet in packets if packet.what in ("relay", "path")]
    result["leaked_packets"] = len(leaked)
    story.say(f"captured: {summary(packets)}")
    for packet in leaked[:5]:
        story.say(f"leaked: {packet.detail}")
    story.proved(len(tunnelled) > 100 and not leaked, f"{len(tunnelled)} packets of the tunnel's paths, and nothing else but neighbour discovery")

    story.step("The same capture with the kill switch off: the check must be able to fail")
    client.disconnect()
    client.vpn("connect", "--detach", "--no-kill-switch", timeout=60)
    control = leaks(captured(lab, "kill-switch-off", client, node))
    story.proved(len(control) > 10, f"{len(control)} packets leaked, for example {control[0].detail if control else 'none'}")

    story.step("Once more, with whatever path is best")
    client.disconnect()
    begun = time.monotonic()
    client.connect_detached()
    wait_until(lambda: client.status()["path"].startswith("direct"), 20, "the tunnel to leave the relay for a direct path")
    path, milliseconds = client.status()["path"], round((time.monotonic() - begun) * 1000)
    wires = [Wire(each.host) for each in dict.fromkeys((server, nodes_server))]
    carried = [wire.read() for wire in wires]
    download = Download(lab).result()
    total, more = download["bytes"], max(0, SHARE_BYTES - download["bytes"])
    if more:
        stream = Stream(lab.client_a)
        wait_until(lambda: stream.failure or stream.position >= more, 60, "the rest of what is measured to flow")
        stream.stop()
        total += stream.position
    share = sum(wire.since(begun_at)["all"] for wire, begun_at in zip(wires, carried)) / total
    result["direct"] = {"path": path, "ms_to_direct": milliseconds, "mbit_s": _short(download["mbit_s"]), "server_share": round(share, 4)}
    story.proved(client.exit_address() == b and download["sha256"] == lab.payload_sha256, f"{path} after {milliseconds} ms, {_size(download['bytes'])} at {result['direct']['mbit_s']} Mbit/s")
    story.proved(share < 0.01, f"the server carried {share:.2%} of it" + (f" and of {_size(more)} of a stream" if more else ""))

    story.step("Everybody goes home")
    client.disconnect()
    node.stop()
    for each in dict.fromkeys((server, nodes_server)):
        each.stop()
    for host in (lab.client_a, lab.node):
        story.proved(host.snapshot() == before[host.name], f"{host.name}: rules, routes, interfaces and resolv.conf are byte for byte as before")
    story.proved(not Program.reports(), "no program reported an error of its own")


def _short(value):
    """A whole number where there are enough digits of it, else three digits."""
    return round(value) if value >= 100 or value == int(value) else float(f"{value:.3g}")


def _size(count):
    return f"{_short(count / places.MIB)} MiB" if count >= places.MIB else f"{count} bytes"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payload", help="download this file instead of 200 MiB of random bytes")
    parser.add_argument("--cluster", action="store_true", help="two servers on PostgreSQL and Redis, the user at one and the volunteer at the other")
    arguments = parser.parse_args()
    if arguments.payload and not os.path.isfile(arguments.payload):
        parser.error(f"{arguments.payload} is no file")
    payload = os.path.realpath(arguments.payload) if arguments.payload else None
    story = Story()
    result = {"ok": False, "exit_address": None, "node_public_address": None, "path": None, "downloaded_mib": 0, "sha256_ok": False,
              "mbit_s": 0, "connect_ms": None, "leaked_packets": None, "direct": None}
    try:
        enter.enter()
        if arguments.cluster and (why := databases.missing()):
            raise enter.CannotEnter(why)
        with Lab(payload=payload, payload_mib=200, cluster=arguments.cluster) as lab:
            try:
                play(lab, story, result, arguments.cluster)
                result["ok"] = True
            except BaseException:
                shutil.rmtree(LOGS, ignore_errors=True)
                lab.keep_logs(LOGS)
                print(f"\nthe logs of all programs: {LOGS}")
                raise
    except enter.CannotEnter as problem:
        print(f"The demo cannot run here: {problem}", file=sys.stderr)
    except Exception as problem:  # whatever went wrong, the last line is the result
        print(f"{RED}failed:{PLAIN} {type(problem).__name__}: {problem}", file=sys.stderr)
    sys.stderr.flush()
    print("\n" + json.dumps(result), flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
