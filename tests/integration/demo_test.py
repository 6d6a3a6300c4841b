"""`make demo PAYLOAD=file` holds for any file: its last line says that all was proved, however little there is to download."""
# ctest: serial
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from lab import enter  # noqa: E402
from lab import lab as places  # noqa: E402
from lab.host import Host, wait_for_listener  # noqa: E402

LAB = os.path.dirname(os.path.abspath(places.__file__))


def play(*arguments):
    """The demo as `make demo` starts it: (status, its lines, what it said of errors)."""
    done = subprocess.run([sys.executable, os.path.join(LAB, "demo.py"), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    return done.returncode, done.stdout.splitlines(), done.stderr


class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.payload = os.path.join(folder.name, "payload")

    def test_a_file_of_one_kib(self):
        with open(self.payload, "wb") as out:
            out.write(os.urandom(1024))
        status, lines, errors = play("--payload", self.payload)
        told = "\n".join(lines) + errors
        self.assertEqual(status, 0, told)
        result = json.loads(lines[-1])
        self.assertEqual({key: result[key] for key in ("ok", "exit_address", "node_public_address", "path", "sha256_ok", "leaked_packets")},
                         {"ok": True, "exit_address": places.PUBLIC["b"], "node_public_address": places.PUBLIC["b"], "path": "relay", "sha256_ok": True,
                          "leaked_packets": 0}, told)
        self.assertAlmostEqual(result["downloaded_mib"], 1024 / places.MIB, places=5)
        for key in ("mbit_s", "connect_ms"):
            self.assertGreater(result[key], 0, key)
        self.assertTrue(result["direct"]["path"].startswith("direct"), told)
        self.assertNotIn("NOT PROVED", told)

    def test_a_missing_file_is_named_and_nothing_is_played(self):
        status, lines, errors = play("--payload", self.payload)
        self.assertEqual((status, lines), (2, []))
        self.assertIn(f"{self.payload} is no file", errors)


class SmallFiles(unittest.TestCase):
    """The web site can make a download last, for the demo to do something meanwhile; also where nothing is to be sent."""

    def test_last_as_long_as_asked_and_arrive_whole(self):
        with tempfile.TemporaryDirectory(dir=enter.LAB_DIR) as folder:
            host = Host("alone", folder)
            self.addCleanup(host.close)
            for port, size in enumerate((0, 1, 1000), 8000):
                with self.subTest(size=size):
                    payload = os.path.join(folder, f"payload-{size}")
                    with open(payload, "wb") as out:
                        out.write(os.urandom(size))
                    host.popen(sys.executable, os.path.join(LAB, "services.py"), "--http", f"127.0.0.1:{port}", "--payload", payload, log="services.out")
                    wait_for_listener(host, port)
                    self.download(host, port, payload)

    def download(self, host, port, payload):
        until = time.time() + 1
        # An answer that is late is asked for again, as it is while the demo's node is away.
        done = host.run(sys.executable, os.path.join(LAB, "download.py"), f"http://127.0.0.1:{port}/payload?until={until}", "--stall-seconds", "0.3", timeout=20)
        self.assertGreaterEqual(time.time(), until)
        with open(payload, "rb") as whole:
            data = whole.read()
        result = json.loads(done.stdout)
        self.assertEqual((result["bytes"], result["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))


if __name__ == "__main__":
    unittest.main()
