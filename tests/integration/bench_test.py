"""What is promised of a measurement is held: a ratio below it is marked in the table and ends `make bench` with a failure."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
sys.path.append(BENCH)

import bench_nodes  # noqa: E402
import bench_relay  # noqa: E402
import bench_wg  # noqa: E402

# A bench like the others, but for its numbers.
MEASURED = """
from measure import row
FLOORS = {{'a speed': 3, 'a limit': 1}}
def rows(rounds):
    return [row(bench, 'tcp 1', 'Mbit/s', True, [ours], peer, [100], rounds) for bench, peer, ours in {values}]
"""


class Floors(unittest.TestCase):
    def run_bench(self, *values):
        """(status, lines of the table without its head, the rows that were written) for rows of (bench, peer, what ours reaches of its 100)."""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "measured.py"), "w", encoding="ascii") as out:
                out.write(MEASURED.format(values=values))
            done = subprocess.run([sys.executable, os.path.join(BENCH, "run.py"), "--out", os.path.join(folder, "results.json"), "measured"], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": folder}, timeout=60)
            with open(os.path.join(folder, "results.json"), encoding="utf-8") as results:
                rows = json.load(results)
        self.assertEqual(len(rows), len(values), done.stderr)
        return done.returncode, done.stdout.splitlines()[-len(values):], rows

    def test_kept(self):
        status, table, rows = self.run_bench(("a speed", "peer", 300), ("a limit", "limit", 100), ("RSS", "peer", 50))
        self.assertEqual(status, 0)
        self.assertEqual([" ".join(line.split()[-2:]) for line in table], ["3 kept", "1 kept", "peer 0.50"])
        self.assertEqual(set(rows[0]), {"bench", "metric", "unit", "higher_is_better", "ours", "peer_name", "peer", "ratio", "rounds"})

    def test_missed(self):
        for values in (("a speed", "peer", 299), ("a limit", "limit", 99)):
            with self.subTest(values):
                status, table, _ = self.run_bench(values, ("a speed", "peer", 400))
                self.assertEqual(status, 1)
                self.assertIn("MISSED", table[0])
                self.assertNotIn("MISSED", table[1])

    def test_what_is_promised(self):
        self.assertEqual(bench_wg.FLOORS, {bench_wg.SPEED: 3})
        self.assertEqual(bench_relay.FLOORS, {bench_relay.SPEED: 2})
        self.assertEqual(set(bench_nodes.FLOORS.values()), {1})


if __name__ == "__main__":
    unittest.main()
