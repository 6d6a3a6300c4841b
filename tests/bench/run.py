#!/usr/bin/python3
"""Runs the benchmarks, each against a peer in the same run, and writes their rows as JSON and as a table.

A row: {bench, metric, unit, higher_is_better, ours, peer_name, peer, ratio, rounds}; ours and peer are medians of
interleaved rounds, ratio says how many times better ours is, whichever direction is better. Where the peer is a limit
that is promised, a ratio of 1 or more keeps it.

    BENCH_ROUNDS=3 run.py --out build/bench/results.json [bench_wg] [bench_relay] [bench_nodes]
"""
import argparse
import importlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

from lab import enter  # noqa: E402  (the path above is needed first)

BENCHES = ["bench_wg", "bench_relay"]


def table(rows):
    head = ("bench", "metric", "unit", "ours", "peer", "", "ratio")
    lines = [head] + [(row["bench"], row["metric"], row["unit"], f"{row['ours']:.4g}", f"{row['peer']:.4g}", row["peer_name"], f"{row['ratio']:.2f}") for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("benches", nargs="*", default=[])
    arguments = parser.parse_args()
    try:
        enter.enter()
    except enter.CannotEnter as problem:
        print(f"no benchmarks here: {problem}", file=sys.stderr)
        return 1
    rounds, rows, failed = int(os.environ.get("BENCH_ROUNDS", "3")), [], False
    for name in arguments.benches or BENCHES:
        print(f"== {name}", flush=True)
        try:
            rows += importlib.import_module(name).rows(rounds)
        except Exception as problem:  # the others still run; the status says that one did not
            print(f"{name} failed: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
            failed = True
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with open(arguments.out, "w", encoding="utf-8") as out:
        json.dump(rows, out, indent=1)
        out.write("\n")
    print(table(rows))
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
