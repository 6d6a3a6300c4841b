#!/usr/bin/python3
"""What hostile load does to a tunnel that stands: eight attacks, one at a time, on the server that relays it.

During a download through the tunnel, as fast as two cores allow, a stranger with 64 addresses does one thing for a
while, three times over: 10,000 silent connections, requests and bodies that never end, answers that are not read,
storms of logins, of registrations and of TLS handshakes, nonsense instead of TLS, HTTP, JSON and WebSocket. Between the
attacks it is quiet, but for somebody who computes as much as the attacker did: what his own program takes of the two
cores is not the server's. A line passes when the tunnel keeps at least 80 % of its throughput (the median of three; that
of the quiet times before and after each is 100 %), the server's memory stays within `limits.memory`, the metrics say what
was refused, and the tunnel is the one of before.

  tests/hostile/run.py --out build/hostile.json [--attack NAME] [--seconds N] [--rounds N]
"""
import argparse
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from hostile.siege import ATTACKS, Siege  # noqa: E402  (the path above is needed first)
from lab import enter  # noqa: E402
from lab.lab import Lab  # noqa: E402

LEAST_RATIO = 0.8
LOGS = os.path.realpath(os.path.join(HERE, "..", "..", "build", "hostile-logs"))


def refusals(result):
    """The names of what grew, shortened."""
    return ", ".join(f"{name.removeprefix('higgs_').replace('_total', '')} {count}" for name, count in sorted(result["refused"].items(), key=lambda item: -item[1])[:4])


def table(rows):
    lines = [("attack", "quiet", "attacked", "ratio", "RSS / limit", "server CPU", "attack CPU", "opened", "")]
    lines += [(r["attack"], f"{r['quiet_mbps']:.0f}", f"{r['mbps']:.0f} Mbit/s", f"{r['throughput_ratio']:.2f}", f"{r['rss_mib']:.0f} / {r['limit_mib']} MiB", f"{r['server_cpu']:.2f}",
               f"{r['attack_cpu']:.2f}", str(r["opened"]), "; ".join(p) or f"ok: {refusals(r)}") for r, p in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(8)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[8]]) for line in lines)


def rounds(siege, name, seconds, count):
    """The attack as often as that, with quiet times between: the round with the median of the ratios, the most memory of all, and every problem."""
    results, problems, before = [], [], None
    for _ in range(count):
        result = siege.attack(name, seconds)
        after = siege.quiet(seconds, result["attack_cpu"])
        result["quiet_mbps"] = round(after if before is None else (before + after) / 2, 1)
        result["throughput_ratio"] = round(result["mbps"] / max(result["quiet_mbps"], 0.1), 3)
        results.append(result)
        problems += [problem for problem in siege.problems(result) if problem not in problems]
        before = after
    middle = sorted(results, key=lambda result: result["throughput_ratio"])[count // 2]
    chosen = {**middle, "rss_mib": max(result["rss_mib"] for result in results), "ratios": [result["throughput_ratio"] for result in results]}
    if chosen["throughput_ratio"] < LEAST_RATIO:
        problems.append(f"the tunnel had {chosen['throughput_ratio']:.2f} of its throughput")
    return chosen, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--attack", choices=ATTACKS, action="append")
    parser.add_argument("--seconds", type=float, default=6, help="of each attack and each quiet time")
    parser.add_argument("--rounds", type=int, default=3, help="of each attack; the median of the throughput counts")
    arguments = parser.parse_args()
    try:
        enter.enter()
    except enter.CannotEnter as problem:
        print(f"no hostile load here: {problem}", file=sys.stderr)
        return 1
    rows = []
    with Lab(payload_mib=1) as lab:
        siege = Siege(lab)
        for name in arguments.attack or ATTACKS:
            print(f"{name} …", end=" ", flush=True)
            result, problems = rounds(siege, name, arguments.seconds, arguments.rounds)
            print("; ".join(problems) or "ok", *(f"{ratio:.2f}" for ratio in result["ratios"]), flush=True)
            rows.append((result, problems))
        if any(problems for _, problems in rows):
            shutil.rmtree(LOGS, ignore_errors=True)
            lab.keep_logs(LOGS)
            print(f"the logs of all programs: {LOGS}")
        siege.close()
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with open(arguments.out, "w", encoding="utf-8") as out:
        json.dump([result for result, _ in rows], out, indent=1)
        out.write("\n")
    print(table(rows))
    return 1 if any(problems for _, problems in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
