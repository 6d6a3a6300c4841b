"""The same tunnel for an ordinary user in a user namespace, where the host allows that."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = "65534"
# The device file is often for root only: this run gets one of its own, in a mount namespace that ends with it.
AS_USER = """
mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200 &&
exec setpriv --reuid=$1 --regid=$1 --clear-groups "$2" "$3" "$4" Tunnel.test_web_site_sees_the_node Tunnel.test_disconnect_leaves_nothing
"""


class Unprivileged(unittest.TestCase):
    def test_tunnel_in_a_user_namespace(self):
        with open("/proc/self/uid_map", encoding="ascii") as mapping:
            if int(mapping.read().split()[2]) == 1:
                self.skipTest("this already is an ordinary user's namespace: every test of this run shows it")
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", AS_USER, "sh", NOBODY, sys.executable, os.path.join(HERE, "run.py"), os.path.join(HERE, "tunnel_test.py")],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Ran 2 tests", done.stderr)


if __name__ == "__main__":
    unittest.main()
