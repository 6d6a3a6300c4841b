"""The node's side of direct paths: they outlive the relay link, are told in its status, and can be switched off."""
import json
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places
from lab.wait import wait_until


class NodeTraversal(LabCase):
    def session(self):
        sessions = (self.node.status() or {}).get("sessions", [])
        return sessions[0] if sessions else {}

    def wait_direct(self):
        wait_until(lambda: self.session().get("path", "").startswith("direct"), 20, "the node to send directly")

    def test_status_tells_path_and_port(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.wait_direct()
        session, traversal = self.session(), self.node.status()["traversal"]
        self.assertEqual(session["path"], self.client.status()["path"])
        self.assertEqual(session["pathReason"], "followed-peer")
        self.assertGreater(session["roundTripMs"], 0)
        self.assertLess(session["lossPercent"], 50)
        self.assertLess(session["timeToDirectMs"], 5000)
        self.assertNotIn(places.CLIENT_A6, json.dumps(session), "the address is anonymised")
        port = traversal["listenPort"]
        wait_until(lambda: f"{places.PUBLIC['b']}:{port}" in self.node.status()["traversal"]["reflexive"], 20, "the node to be seen by STUN")
        self.assertEqual(traversal["stunServers"][0], f"{places.SERVER}:3478")
        self.assertGreaterEqual(traversal["counters"]["directSessions"], 1)
        text = self.node.command("status", "--state-dir", self.node.state).stdout
        self.assertIn(f"path: {session['path']}", text)
        self.assertIn(f"udp       port {port}", text)

    def test_direct_path_outlives_the_server(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.wait_direct()
        moves = self.session()["moves"]
        self.server.kill()
        try:
            wait_until(lambda: not self.session()["linked"], 60, "the node to miss the relay")
            self.assertTrue(self.session()["path"].startswith("direct"))
            self.assertEqual(self.client.exit_address(), NODE_ADDRESS, "the tunnel goes on without the server")
        finally:
            self.server.start()
        wait_until(lambda: self.session().get("linked"), 60, "the session to be linked again")
        self.assertGreater(self.session()["moves"], moves, "it is the same session")
        self.wait_direct()
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS)

    def test_switched_off_the_relay_carries_everything(self):
        self.node.stop()
        try:
            self.node.start("--no-traversal")
            self.client.connect(expect=NODE_ADDRESS)
            self.assertEqual(self.client.status()["path"], "relay")
            status = self.node.status()
            self.assertFalse(status["traversal"]["enabled"])
            self.assertIsNone(status["traversal"]["portMapping"])
            self.assertNotIn("path", status["sessions"][0])
            self.client.disconnect()
        finally:
            self.node.stop()
            self.node.start()

    def test_port_of_ones_choice(self):
        self.node.stop()
        try:
            self.node.start("--listen-port", "40444", "--no-port-mapping")
            status = self.node.status()["traversal"]
            self.assertEqual(status["listenPort"], 40444)
            self.assertIsNone(status["portMapping"])
        finally:
            self.node.stop()
            self.node.start()


if __name__ == "__main__":
    unittest.main()
