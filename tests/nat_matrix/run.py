#!/usr/bin/python3
"""Client and node behind each kind of NAT: which path the tunnel finds, and how fast.

Prints a table and writes it as JSON; ends with status 0 only if every cell is as the table of truth in
tests/lab/traversal.py says. The programs' own word is not trusted: the server's interface shows what it carried.
"""
import argparse
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import enter  # noqa: E402  (the path above is needed first)
from lab import traversal  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.programs import Program  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(ROOT, "build", "nat-matrix-logs")
BOLD, GREEN, RED, PLAIN = ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4
WIDTH = 20


def measure(lab, clients, nodes):
    """Yields (Cell, deviations) for each pair, node by node."""
    pair = traversal.Pair(lab)
    for node in nodes:
        pair.node_behind(node)
        for client in clients:
            yield pair.cell(client, node)
    pair.node.stop()
    pair.server.stop()


def table(cells, clients, nodes):
    """One line a client; each cell: path, milliseconds to the first byte and to that path."""
    found = {(cell.client, cell.node): cell for cell in cells}
    lines = ["client \\ node".ljust(WIDTH) + "".join(node.ljust(WIDTH) for node in nodes)]
    for client in clients:
        row = client.ljust(WIDTH)
        for node in nodes:
            cell = found.get((client, node))
            row += (f"{cell.path} {cell.ms_to_tunnel}/{cell.ms_to_best_path}" if cell else "-").ljust(WIDTH)
        lines.append(row)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="the file for the JSON")
    parser.add_argument("--client", action="append", choices=traversal.KINDS, help="only these (may be repeated)")
    parser.add_argument("--node", action="append", choices=traversal.KINDS, help="only these (may be repeated)")
    arguments = parser.parse_args()
    clients, nodes = arguments.client or traversal.KINDS, arguments.node or traversal.KINDS
    try:
        enter.enter()
    except enter.CannotEnter as problem:
        print(f"no laboratory here: {problem}", file=sys.stderr)
        return 1
    begun, cells, failed = time.monotonic(), [], 0
    with Lab(payload_mib=traversal.DOWNLOAD_MIB) as lab:
        try:
            for cell, wrong in measure(lab, clients, nodes):
                cells.append(cell)
                failed += bool(wrong)
                print(f"{cell.client} - {cell.node}: {cell.path}, first byte {cell.ms_to_tunnel} ms, that path {cell.ms_to_best_path} ms"
                      + "".join(f"\n  {RED}{sentence}{PLAIN}" for sentence in wrong), flush=True)
            reports = Program.reports()
        finally:
            if failed or len(cells) < len(clients) * len(nodes):
                shutil.rmtree(LOGS, ignore_errors=True)
                lab.keep_logs(LOGS)
                print(f"the logs of all programs: {LOGS}")
    print(f"\n{BOLD}path, milliseconds from `connect` to the first byte / to that path{PLAIN}\n{table(cells, clients, nodes)}\n")
    print("\n".join(reports), end="")
    if arguments.out:
        os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
        with open(arguments.out, "w", encoding="utf-8") as out:
            json.dump([cell._asdict() for cell in cells], out, indent=1)
            out.write("\n")
    print(f"{RED if failed else GREEN}{len(cells) - failed} of {len(cells)} cells are as they must be{PLAIN}, {time.monotonic() - begun:.0f} s")
    return 1 if failed or reports else 0


if __name__ == "__main__":
    sys.exit(main())
