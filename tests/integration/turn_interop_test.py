"""TURN against coturn's own tools: `turnutils_uclient` with the credentials of a real route answer, towards
`turnutils_peer` on an address that the session's node has announced, and towards addresses that it has not."""
import contextlib
import json
import os
import re
import socket
import struct
import time
import unittest

from case import PASSWORD, LoggedCase
from lab import api
from lab import lab as places
from lab.identity import Identity
from lab.lab import Lab
from lab.programs import STUN_PORT, Program, Server
from lab.wait import wait_until
from lab.websocket import TEXT, WebSocket

PEER_PORT, TLS_PORT = 3480, 5349
NODE_ADDRESS, FOREIGN = places.WEB, places.ISP_DNS
TRANSPORTS = {"udp": ((), STUN_PORT), "tcp": (("-t",), STUN_PORT), "tls": (("-t", "-S"), TLS_PORT)}
SESSIONS = "/api/v1/admin/sessions"
MESSAGES = 50
SPOOFED_PORT, SPOOFED_REQUESTS = 40000, 2000
MAGIC = 0x2112A442
LOST = re.compile(r"Total lost packets (\d+)")
RECEIVED = re.compile(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)")

# Sends one datagram from a source address that is a third party's, as an attacker would; needs a raw socket.
SPOOF = """
import socket, struct, sys
source, target, port, count, data = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), bytes.fromhex(sys.argv[5])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack("!HHHH", 40000, port, 8 + len(data), 0) + data
for number in range(count):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
    raw.sendto(header + udp, (target, 0))
"""

def allocate_request(*attributes):
    """An Allocate request without credentials."""
    body = b"".join(struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4) for kind, value in attributes)
    return struct.pack("!HHI", 0x0003, len(body), MAGIC) + os.urandom(12) + body


class TurnInterop(LoggedCase):
    payload_mib = 1
    server_arguments = ("--turn-relay-addresses", f"{places.SERVER},2001:db8::10")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.lab.server)
        cls.server.start(*cls.server_arguments)
        cls.server.add_user("alice", PASSWORD)
        # The volunteer stands on the internet, on the host of the web site, and so do the tools' peers.
        identity = Identity()
        registered = api.register(cls.lab.web, identity)
        assert registered.status == 200, registered
        cls.node_id, cls.node = identity.node_id, registered.body
        cls.user = api.login(cls.lab.client_c, "alice", PASSWORD).body["accessToken"]
        cls.server.add_user("olga", PASSWORD, role="operator")
        cls.operator = api.login(cls.lab.client_c, "olga", PASSWORD).body["accessToken"]
        for address in (NODE_ADDRESS, places.WEB6, FOREIGN):
            cls._peer(cls.lab.web, address)

    @classmethod
    def _peer(cls, host, address):
        host.popen("turnutils_peer", "-L", address, "-p", str(PEER_PORT), log="peer.log")
        shown = f"[{address}]" if ":" in address else address
        wait_until(lambda: f"{shown}:{PEER_PORT}" in host.run("ss", "-Hnul").stdout, 20, "the peer to listen")

    def setUp(self):
        self.routes = []
        self.addCleanup(self.end_sessions)
        self.new_session()

    def heartbeat(self):
        beat = api.call(self.lab.web, "POST", f"/api/v1/nodes/{self.node_id}/heartbeat", {
            "metrics": {"latency": 1, "jitter": 0, "packetLoss": 0, "cpuUsage": 1, "memoryUsage": 1, "activeConnections": 0,
                        "bandwidth": {"up": 0, "down": 0}}, "status": "online", "actionResults": []}, token=self.node["sessionToken"])
        self.assertEqual(beat.status, 200, beat.body)

    def new_session(self):
        self.heartbeat()
        answer = api.request_route(self.lab.client_c, self.user, self.node_id)
        self.assertEqual(answer.status, 200, answer.body)
        self.route = answer.body["selectedRoute"]
        self.routes.append(self.route)

    def end_sessions(self):
        while self.routes:
            ended = api.call(self.lab.client_c, "DELETE", f"/api/v1/sessions/{self.routes.pop()['sessionId']}", token=self.user)
            self.assertIn(ended.status, (204, 404))

    def uclient(self, *arguments, transport="udp", peer=NODE_ADDRESS, password=None, check=True, seconds=100):
        """The tool leaves its allocations behind: each run has a session of its own, so that quotas do not add up."""
        self.end_sessions()
        self.new_session()
        return self.run_uclient(*arguments, transport=transport, peer=peer, password=password, check=check, seconds=seconds)

    def run_uclient(self, *arguments, transport="udp", peer=NODE_ADDRESS, password=None, check=True, seconds=100):
        flags, port = TRANSPORTS[transport]
        turn = self.route["turn"][0]
        done = self.lab.client_c.run(
            "timeout", seconds, "turnutils_uclient", *flags, "-p", port, "-u", turn["username"], "-w", password or turn["credential"], "-e", peer,
            "-r", PEER_PORT, *arguments, places.SERVER, check=False, timeout=seconds + 20)
        done.text = done.stdout + done.stderr
        if check:
            self.assertEqual(done.returncode, 0, done.text)
        return done

    def assert_all_came_back(self, done, messages):
        totals = RECEIVED.findall(done.text)
        self.assertTrue(totals, done.text)
        self.assertEqual(totals[-1], (str(messages), str(messages)), done.text)
        self.assertEqual(LOST.findall(done.text)[-1:], ["0"], done.text)

    def samples(self):
        """The labelled samples of TURN."""
        text = self.lab.server.fetch("http://127.0.0.1:9464/metrics")
        return {name: float(value) for name, value in re.findall(r"^(higgs_turn_\S+) (\S+)$", text, re.M)}

    # --- what must work ---------------------------------------------------------------------------------------

    def test_the_route_answer_says_how(self):
        urls = [entry["urls"] for entry in self.route["turn"]]
        self.assertEqual(urls, [f"turn:{places.SERVER}:3478?transport=udp", f"turn:{places.SERVER}:3478?transport=tcp",
                                f"turns:{places.SERVER}:5349?transport=tcp"])
        self.assertEqual(self.route["stunServers"], [{"host": places.SERVER, "port": STUN_PORT}])
        for entry in self.route["turn"]:
            expiry, session = entry["username"].split(":")
            self.assertEqual(session, self.route["sessionId"])
            self.assertEqual(int(expiry), entry["expiresAt"])
            self.assertGreater(entry["expiresAt"], time.time())

    def test_every_transport_and_mode_carries_everything(self):
        for transport in TRANSPORTS:
            for mode, flags in {"channels": (), "send": ("-s",)}.items():
                with self.subTest(transport=transport, mode=mode):
                    # Without RTCP one allocation; what is lost would be asked for again by nobody.
                    done = self.uclient("-c", "-n", str(MESSAGES), *flags, transport=transport)
                    self.assert_all_came_back(done, MESSAGES)

    def test_a_pair_of_ports_for_rtp(self):
        """EVEN-PORT with a reservation, and RESERVATION-TOKEN for the port behind it."""
        done = self.uclient("-n", str(MESSAGES))
        self.assert_all_came_back(done, 2 * MESSAGES)

    def test_large_messages_and_dont_fragment(self):
        self.assert_all_came_back(self.uclient("-c", "-g", "-s", "-l", "1200", "-n", str(MESSAGES)), MESSAGES)
        self.assert_all_came_back(self.uclient("-c", "-D", "-l", "1200", "-n", str(MESSAGES), transport="tcp"), MESSAGES)

    def test_odd_requests_do_no_harm(self):
        self.assert_all_came_back(self.uclient("-c", "-G", "-n", str(MESSAGES)), MESSAGES)
        # The tool's own bad requests; it waits for ever for answers that rubbish does not get.
        for flag in ("-N", "-R"):
            self.uclient("-c", flag, "-n", "5", check=False, seconds=10)
        self.assert_all_came_back(self.uclient("-c", "-n", str(MESSAGES)), MESSAGES)

    def test_what_the_node_tells_through_the_relay_may_be_reached(self):
        """A candidate of the node, of either family; and the path that the client says is kept."""
        refused = self.uclient("-c", "-x", "-n", "1", peer=places.WEB6, check=False)
        self.assertIn("error 403 (Forbidden)", refused.text)
        self.end_sessions()
        self.new_session()
        session = self.route["sessionId"]
        node = WebSocket(self.lab.web, f"/relay/{self.node_id}", self.node["relayToken"])
        self.addCleanup(node.close)
        client = WebSocket(self.lab.client_c, f"/relay/{session}", self.route["sessionToken"])
        self.addCleanup(client.close)

        def say(link, direction, **payload):
            link.send(TEXT, json.dumps({"type": "control", "sessionId": session, "direction": direction, "payload": payload}).encode())

        def hear(link, action):
            while True:
                heard = json.loads(link.receive()[1])
                if heard["payload"]["action"] == action:
                    return heard["payload"]

        say(node, "to-server", action="session-ready", channel=hear(node, "session-open")["channel"], fresh=True)
        hear(client, "session-ready")
        for address in (places.WEB6, FOREIGN, "10.2.0.2"):
            say(node, "to-client", action="candidate", generation=1, type="host", address=address, port=PEER_PORT, priority=1, foundation="1")
            self.assertEqual(hear(client, "candidate")["address"], address)
        self.assert_all_came_back(self.run_uclient("-c", "-x", "-n", str(MESSAGES), peer=places.WEB6), MESSAGES)
        self.assert_all_came_back(self.run_uclient("-c", "-n", str(MESSAGES), peer=FOREIGN), MESSAGES)
        self.assertIn("error 403 (Forbidden)", self.run_uclient("-c", "-n", "1", peer="10.2.0.2", check=False).text)

        say(client, "to-node", action="path-changed", epoch=1, path="turn")
        self.assertEqual(hear(node, "path-changed")["path"], "turn")
        wait_until(lambda: self.kept_path(session) == "turn", 20, "the path to be kept")

    def kept_path(self, session):
        listed = api.call(self.lab.client_c, "GET", SESSIONS, token=self.operator)
        self.assertEqual(listed.status, 200, listed.body)
        return {row["sessionId"]: row["path"] for row in listed.body["sessions"]}[session]

    # --- what must not ----------------------------------------------------------------------------------------

    def test_a_wrong_password_is_refused(self):
        done = self.uclient("-c", "-n", "1", password="not the password", check=False)
        self.assertNotEqual(done.returncode, 0, done.text)
        self.assertIn("Cannot complete Allocation", done.text)
        self.assertEqual(self.samples()["higgs_turn_allocations"], 0)

    def test_a_foreign_peer_is_refused(self):
        before = self.samples()
        done = self.uclient("-c", "-n", "5", peer=FOREIGN, check=False)
        self.assertNotEqual(done.returncode, 0, done.text)
        self.assertIn("error 403 (Forbidden)", done.text)
        self.assertGreater(self.samples()['higgs_turn_requests_total{outcome="forbidden_peer"}'],
                           before['higgs_turn_requests_total{outcome="forbidden_peer"}'])

    def test_private_peers_and_the_server_itself_are_refused(self):
        for peer in ("10.2.0.2", "127.0.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", places.SERVER):
            with self.subTest(peer=peer):
                done = self.uclient("-c", "-n", "5", peer=peer, check=False)
                self.assertNotEqual(done.returncode, 0, done.text)
                self.assertIn("error 403 (Forbidden)", done.text)

    def test_over_quota(self):
        """Four allocations a session; a fifth is told 486."""
        done = self.uclient("-c", "-m", "5", "-n", "200", check=False)
        self.assertIn("error 486 (Allocation Quota Reached)", done.text)

    def test_the_end_of_the_session_ends_its_allocations_within_a_second(self):
        turn = self.route["turn"][0]
        process = self.lab.client_c.popen("turnutils_uclient", "-c", "-n", "3000", "-u", turn["username"], "-w", turn["credential"],
                                          "-e", NODE_ADDRESS, "-r", str(PEER_PORT), places.SERVER, log="revoked.log")
        self.addCleanup(lambda: (process.kill(), process.wait()))
        wait_until(lambda: self.samples()["higgs_turn_allocations"] >= 1, 20, "an allocation")
        before = self.samples()['higgs_turn_ended_total{reason="revoked"}']
        self.end_sessions()
        started = time.monotonic()
        while True:
            asked = time.monotonic()
            if self.samples()["higgs_turn_allocations"] == 0:
                break
            # However long an answer takes on a busy machine: what was asked a second later may not show it any more.
            self.assertLess(asked - started, 1.0)
        self.assertGreater(self.samples()['higgs_turn_ended_total{reason="revoked"}'], before)
        refused = self.run_uclient("-c", "-n", "1", check=False)
        self.assertIn("Cannot complete Allocation", refused.text)

    def test_a_third_party_gets_five_times_what_was_sent_in_its_name_at_most(self):
        """SPEC 5: a 401 is at most 5 times the request, and answers are limited per source."""
        victim = self.lab.web.socket(kind=socket.SOCK_DGRAM)
        self.addCleanup(victim.close)
        victim.bind((NODE_ADDRESS, SPOOFED_PORT))
        victim.settimeout(1)
        with_transport = (0x0019, b"\x11\0\0\0")
        for request in (allocate_request(with_transport), allocate_request(), allocate_request(with_transport, (0x0006, b"x" * 400))):
            with self.subTest(bytes=len(request)):
                started = time.monotonic()
                self.lab.inet.run("/usr/bin/python3", "-c", SPOOF, NODE_ADDRESS, places.SERVER, STUN_PORT, SPOOFED_REQUESTS, request.hex())
                answers = []
                with contextlib.suppress(TimeoutError):
                    while True:
                        answers.append(len(victim.recv(65535)))
                self.assertTrue(answers, "the attack must be real to be limited")
                self.assertTrue(all(size <= 5 * len(request) for size in answers), answers)
                # A burst of 40, then 20 a second.
                self.assertLessEqual(len(answers), 40 + 20 * (time.monotonic() - started) + 1)
                self.assertLess(sum(answers), SPOOFED_REQUESTS * len(request) / 2)


if __name__ == "__main__":
    unittest.main()
