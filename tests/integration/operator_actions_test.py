"""What operators of a server may ask of a volunteer's node, from the admin API to its effect on the node."""
import json
import os
import unittest

from case import NODE_ADDRESS, PASSWORD, LabCase
from lab import api, programs
from lab import lab as places
from lab.wait import wait_until

RELAY = {"id": "other", "host": places.SERVER_2, "port": programs.SERVER_PORT, "protocol": "websocket"}


class OperatorActions(LabCase):
    """The volunteer has set a long heartbeat interval: whatever is seen sooner was hurried."""

    node_arguments = ("--heartbeat-interval", "3s", "--max-connections", "4")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.add_user("olga", PASSWORD, "operator")
        cls.token = api.login(cls.lab.server, "olga", PASSWORD).body["accessToken"]

    def tearDown(self):
        super().tearDown()
        self.queue("maintenance", {"on": False})
        self.queue("updateConfig", {key: None for key in ("heartbeatInterval", "metricsInterval", "maxConnections",
                                                          "relayServers", "stunServers", "logLevel")})
        self.wait_status(lambda status: not status["operators"]["maintenance"] and status["operators"]["config"] == {})

    def queue(self, kind, payload, expect=201):
        answer = api.call(self.lab.server, "POST", f"/api/v1/admin/nodes/{self.node.status()['nodeId']}/actions",
                          {"type": kind, "payload": payload}, token=self.token)
        self.assertEqual(answer.status, expect, answer.body)
        return answer.body.get("id")

    def outcome(self, action):
        """What the server's audit says became of the action."""
        def look():
            entries = api.call(self.lab.server, "GET", "/api/v1/admin/audit?limit=100", token=self.token).body["entries"]
            return [entry["outcome"] for entry in entries if entry["action"] == "node.action" and entry["object"] == action]
        found = wait_until(look, 20, f"the result of action {action}")
        self.assertEqual(len(found), 1, found)
        return found[0]

    def do(self, kind, payload):
        outcome = self.outcome(self.queue(kind, payload))
        self.assertEqual(outcome, "ok")

    def wait_status(self, condition, seconds=20):
        def look():
            status = self.node.status()
            return status if status is not None and condition(status) else None
        return wait_until(look, seconds, "the node's status to be as asked for")

    def summary(self):
        """The node as clients see it."""
        answer = api.call(self.lab.server, "GET", f"/api/v1/nodes/{self.node.status()['nodeId']}", token=self.token)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.body

    def test_changes_hold_at_once_and_after_a_restart_until_the_volunteer_deletes_them(self):
        self.do("updateConfig", {"heartbeatInterval": 2, "metricsInterval": 10, "maxConnections": 3, "logLevel": "debug"})
        for _ in range(2):
            status = self.wait_status(lambda status: status["server"]["registered"] and status["relay"]["up"])
            self.assertEqual((status["heartbeatInterval"], status["metricsInterval"], status["maxConnections"]), (2, 10, 3))
            wait_until(lambda: self.summary()["capabilities"]["maxConnections"] == 3, 10, "the server to know of the limit")
            self.assertIn("operators heartbeatInterval 2", self.node.command("status", "--state-dir", self.node.state).stdout)
            self.node.stop()
            self.node.start(*self.node_arguments)
        self.wait_status(lambda status: status["metricsReports"]["sent"] > 0)
        self.node.stop()
        path = os.path.join(self.node.state, "operator.json")
        with open(path, encoding="utf-8") as text:
            self.assertEqual(json.load(text)["config"]["maxConnections"], 3, "the volunteer can read it")
        os.remove(path)
        self.node.start(*self.node_arguments)
        status = self.node.status()
        self.assertEqual((status["heartbeatInterval"], status["maxConnections"], status["operators"]["config"]), (3, 4, {}))

    def test_what_is_the_volunteers_alone_is_refused_by_the_server_and_by_the_node(self):
        for payload in ({"egress": {"deny": []}}, {"pin": "sha256/x"}, {"heartbeatInterval": 1}, {"logLevel": "off"}):
            self.queue("updateConfig", payload, expect=422)
        # Only the node knows what its volunteer allows.
        outcome = self.outcome(self.queue("updateConfig", {"maxConnections": 5}))
        self.assertEqual(outcome, "failed: /maxConnections: the volunteer allows 4 at most")
        self.assertEqual(self.node.status()["operators"]["config"], {})

    def test_maintenance_refuses_new_sessions_and_keeps_the_old(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.do("maintenance", {"on": True})
        wait_until(lambda: self.summary()["status"] == "degraded", 10, "the node to be shown as degraded")
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS, "the tunnel goes on")
        self.client.disconnect()
        refused = self.node.status()["refused"]
        self.client.begin("connect", "--state-dir", self.client.state)
        self.wait_status(lambda status: status["refused"] > refused)
        self.assertEqual(self.node.status()["sessions"], [])
        self.do("maintenance", {"on": False})
        wait_until(lambda: self.summary()["status"] == "online", 10, "the node to be shown as online")
        self.client.wait_tunnel(NODE_ADDRESS, 30)

    def test_a_restart_is_one_restart_and_the_tunnel_comes_back(self):
        self.client.connect(expect=NODE_ADDRESS)
        begun, process = self.node.output().count("higgsnode is up"), self.node.process.pid
        self.assertEqual(self.outcome(self.queue("restart", {})), "ok")
        wait_until(lambda: self.node.output().count("higgsnode is up") == begun + 1, 20, "the node to begin anew")
        self.assertTrue(self.node.running)
        self.assertEqual(process, self.node.process.pid, "whoever started it sees no other process")
        self.client.wait_tunnel(NODE_ADDRESS, 30)
        # Two more heartbeats: the action does not come again.
        beats = self.node.status()["server"]["heartbeats"]
        self.wait_status(lambda status: status["server"]["heartbeats"] >= beats + 2)
        self.assertEqual(self.node.output().count("higgsnode is up"), begun + 1)
        self.node.stop()
        self.assert_untouched(self.lab.node)
        self.node.start(*self.node_arguments)

    def test_the_relay_and_the_stun_servers_can_be_others(self):
        self.do("updateConfig", {"relayServers": [RELAY], "stunServers": [{"host": places.SERVER_2, "port": programs.STUN_PORT}]})
        status = self.wait_status(lambda status: status["relay"]["up"] and places.SERVER_2 in status["relay"]["url"])
        self.assertEqual(status["traversal"]["stunServers"], [f"{places.SERVER_2}:{programs.STUN_PORT}"])
        self.client.connect(expect=NODE_ADDRESS)


if __name__ == "__main__":
    unittest.main()
