"""What benchmarks share: iperf3 through a tunnel, medians, and rows."""
import json
import re
import statistics

from lab.host import wait_for_listener

PORT = 5201
SECONDS = 4


def iperf(client, server, address, streams=1, reverse=False, seconds=SECONDS):
    """Mbit/s that the receiver got, from that client to an iperf3 on that server at that address."""
    daemon = server.popen("iperf3", "-s", "-1", "-p", PORT, stdout=-3, stderr=-3)
    wait_for_listener(server, PORT)
    try:
        done = client.run("iperf3", "-c", address, "-p", PORT, "-t", seconds, "-O", 1, "-P", streams, "-C", "cubic", "-J", *(["-R"] if reverse else []),
                          timeout=seconds + 30)
        return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
    finally:
        daemon.kill()
        daemon.wait()


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def row(bench, metric, unit, higher_is_better, ours, peer_name, peer, rounds):
    """One line of the results from the values of all rounds."""
    mine, theirs = statistics.median(ours), statistics.median(peer)
    better, worse = (mine, theirs) if higher_is_better else (theirs, mine)
    return {"bench": bench, "metric": metric, "unit": unit, "higher_is_better": higher_is_better, "ours": mine, "peer_name": peer_name,
            "peer": theirs, "ratio": better / worse if worse else 0.0, "rounds": rounds}
