"""kill -9 of any program at any moment: back within five seconds of the last restart, and nothing is left at the end."""
# ctest: serial
# ctest: cluster
import subprocess
import time
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places

RECOVERY_SECONDS = 5


class Kills(LabCase):
    def finish(self):
        """Ends everything in order; both computers must be as before."""
        self.client.disconnect()
        self.assert_untouched(self.lab.client_a)
        self.node.stop()
        self.assert_untouched(self.lab.node)
        self.node.start()

    def test_node_killed(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.node.kill()
        self.node.start(wait=False)
        self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)
        self.finish()

    def test_server_killed(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.server.kill()
        self.server.start()
        self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)
        self.finish()

    def test_client_killed(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.client.kill()
        self.client.connect(expect=NODE_ADDRESS, seconds=RECOVERY_SECONDS)
        self.finish()

    def test_all_killed(self):
        self.client.connect(expect=NODE_ADDRESS)
        for program in (self.server, self.node, self.client):
            program.kill()
        self.server.start()
        self.node.start(wait=False)
        self.client.connect(expect=NODE_ADDRESS, seconds=RECOVERY_SECONDS)
        self.finish()

    def test_node_killed_and_restarted_while_the_server_is_down(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.server.kill()
        self.node.kill()
        self.node.start(wait=False)
        self.server.start()
        self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)
        self.finish()

    def test_server_killed_while_the_node_begins(self):
        self.client.connect(expect=NODE_ADDRESS)
        for milliseconds in (30, 60, 120, 250, 500):
            with self.subTest(milliseconds=milliseconds):
                self.node.kill()
                self.node.start(wait=False)
                time.sleep(milliseconds / 1000)
                self.server.kill()
                self.server.start()
                self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)
        self.finish()

    def test_server_killed_while_the_client_connects(self):
        for milliseconds in (30, 60, 120, 250, 500):
            with self.subTest(milliseconds=milliseconds):
                self.client.begin("connect", "--state-dir", self.client.state)
                time.sleep(milliseconds / 1000)
                self.server.kill()
                self.server.start()
                self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)
                self.client.disconnect()
        self.finish()

    def test_client_killed_while_connecting(self):
        """At moments spread over the whole of `connect`: what it has changed until then is known to the next start."""
        for milliseconds in (0, 20, 50, 100, 200, 400, 800):
            with self.subTest(milliseconds=milliseconds):
                self.client.begin("connect", "--state-dir", self.client.state)
                try:
                    self.client.process.wait(milliseconds / 1000)
                except subprocess.TimeoutExpired:
                    pass
                self.client.kill()
                self.client.disconnect()
                self.assert_untouched(self.lab.client_a)

    def test_client_killed_and_only_disconnected(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.client.kill()
        self.client.disconnect()
        self.assert_untouched(self.lab.client_a)
        self.assertEqual(self.client.exit_address(), places.PUBLIC["a"], "without a tunnel as before")

    def test_node_killed_and_only_cleaned_up(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.node.kill()
        self.node.cleanup()
        try:
            self.assert_untouched(self.lab.node)
        finally:
            self.node.start()
        self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)

    def test_node_killed_while_starting(self):
        self.node.stop()
        try:
            for milliseconds in (0, 20, 50, 100, 200, 400):
                with self.subTest(milliseconds=milliseconds):
                    self.node.start(wait=False)
                    try:
                        self.node.process.wait(milliseconds / 1000)
                    except subprocess.TimeoutExpired:
                        pass
                    self.node.kill()
                    self.node.cleanup()
                    self.assert_untouched(self.lab.node)
        finally:
            self.node.start()

    def test_server_stopped_gracefully(self):
        """A deploy: SIGTERM, a new server, the same tunnel."""
        self.client.connect(expect=NODE_ADDRESS)
        self.server.stop()
        self.server.start()
        self.client.wait_tunnel(NODE_ADDRESS, RECOVERY_SECONDS)
        self.finish()


if __name__ == "__main__":
    unittest.main()
