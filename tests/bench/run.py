#!/usr/bin/python3
"""Runs the benchmarks, each against a peer in the same run, and writes their rows as JSON and as a table.

A row: {bench, metric, unit, higher_is_better, ours, peer_name, peer, ratio, rounds}; ours and peer are medians of
interleaved rounds, ratio says how many times better ours is, whichever direction is better. Where a ratio is promised
(FLOORS of a bench: its rows' names to ratios) the table shows it and whether it is kept; the status is 1 if one is not.

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


def missed(row, floors):
    """Whether the ratio that is promised of its bench, if any, is not reached."""
    return row["ratio"] < floors.get(row["bench"], 0)


def promise(row, floors):
    return f"{floors[row['bench']]:g} {'MISSED' if missed(row, floors) else 'kept'}" if row["bench"] in floors else ""


def table(rows, floors):
    head = ("bench", "metric", "unit", "ours", "peer", "", "ratio", "at least")
    lines = [head] + [(row["bench"], row["metric"], row["unit"], f"{row['ours']:.4g}", f"{row['peer']:.4g}", row["peer_name"], f"{row['ratio']:.2f}", promise(row, floors))
                      for row in rows]
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
    rounds, rows, floors, failed = int(os.environ.get("BENCH_ROUNDS", "3")), [], {}, False
    for name in arguments.benches or BENCHES:
        print(f"== {name}", flush=True)
        try:
            bench = importlib.import_module(name)
            rows += bench.rows(rounds)
            floors.update(bench.FLOORS)
        except Exception as problem:  # the others still run; the status says that one did not
            print(f"{name} failed: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
            failed = True
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with open(arguments.out, "w", encoding="utf-8") as out:
        json.dump(rows, out, indent=1)
        out.write("\n")
    print(table(rows, floors))
    return 1 if failed or not rows or any(missed(row, floors) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
