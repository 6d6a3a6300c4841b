"""Peers and passers-by that try to move a tunnel, or to make a node flood somebody: what goes over the wire then."""
# ctest: serial
import json
import os
import time
import unittest

from lab import api, traversal
from lab import lab as places
from lab.lab import Lab
from lab.programs import STUN_PORT, Program
from lab.wait import wait_until
from lab.websocket import TEXT, WebSocket
from lab.wire import (BINDING_ERROR, BINDING_SUCCESS, Spoofer, Tap, error_code, is_request, is_stun, is_wireguard, stun_message,
                      xor_mapped)

SPOOFED, REPLAYED, FLOOD = 500, 100, 200
PACKETS_PER_SECOND, DESTINATIONS = 40, 16
JITTER = 2  # packets that a busy machine lets slip from one second into the next on their way to the wire
VICTIM = (places.WEB, 9)
QUIET_SECONDS = 3  # with no check sent for so long an attempt is over
FORBIDDEN = (places.PRINTER, "10.2.0.1", "127.0.0.1", places.METADATA, "100.64.0.1", "192.168.1.1", "224.0.0.5", "255.255.255.255")


class HostilePeer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Program.started.clear()
        cls.lab = Lab(payload_mib=1)
        cls.addClassCleanup(cls.lab.close)
        cls.pair = traversal.Pair(cls.lab)
        cls.pair.server.add_user("mallory", traversal.PASSWORD)
        cls.pair.node_behind("full-cone")  # so that everybody's packets reach the node
        cls.pair.client_behind("port-restricted")

    def setUp(self):
        self.pair.connect(traversal.DIRECT)
        wait_until(lambda: self.flow() and self.session_of_the_node().get("path") == traversal.DIRECT == self.pair.path(), 20, "a direct path at both ends")
        self.switches = self.moves()

    def tearDown(self):
        self.pair.client.disconnect()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            traversal.keep_logs(self.lab, type(self).__name__)

    def session_of_the_node(self):
        """What the node tells of the honest client's session: the one with traffic."""
        return max(traversal.ask(self.pair.node)["sessions"], key=lambda session: session.get("bytesFromClient", 0))

    def moves(self):
        """How often each end has changed its path."""
        return [traversal.ask(self.pair.client)["pathSwitches"], self.session_of_the_node()["switches"]]

    def refused(self):
        """What each end has refused."""
        node = traversal.ask(self.pair.node)
        return [traversal.ask(self.pair.client)["refusedStun"],
                node["traversal"]["strayStun"] + sum(session.get("refusedStun", 0) for session in node["sessions"])]

    def flow(self):
        """One request through the tunnel, which must be quick: no retransmission of its first packet."""
        begun = time.monotonic()
        self.assertEqual(self.pair.client.exit_address(), self.lab.public_address("b"))
        return time.monotonic() - begun

    def assert_unmoved(self):
        self.flow()
        self.assertEqual(self.pair.path(), traversal.DIRECT)
        self.assertEqual(self.moves(), self.switches)

    def outside(self):
        """((the client's outside address and port), (the node's)) as the wire between the homes shows them."""
        with Tap(self.lab.inet, "p-router_a") as tap:
            homes = [self.lab.public_address(home) for home in "ab"]

            def between():
                self.flow()
                return [seen for seen in tap.seen if [seen.source[0], seen.target[0]] == homes and (is_stun(seen) or is_wireguard(seen))]
            seen = wait_until(between, 10, "packets between the homes")[0]
        return seen.source, seen.target

    def test_answers_of_somebody_else(self):
        """Who sees each check, and answers it first in the name of the one it was for, without knowing the password."""
        client, node = self.outside()
        spoofer, answered = Spoofer(self.lab.web), []
        self.addCleanup(spoofer.close)
        before = self.refused()

        def answer(seen):
            if is_request(seen) and {seen.source, seen.target} == {client, node}:
                transaction = seen.payload[8:20]
                spoofer.send(seen.target, seen.source, stun_message(BINDING_SUCCESS, transaction, xor_mapped(*VICTIM)))
                spoofer.send(seen.target, seen.source, stun_message(BINDING_ERROR, transaction, error_code(487)))
                answered.append(seen)

        with Tap(self.lab.inet, "p-router_a", answer), Tap(self.lab.web, "eth0") as victim:
            for source, target in ((node, client), (client, node), ((places.SERVER, STUN_PORT), client), ((places.SERVER, STUN_PORT), node)):
                for _ in range(SPOOFED):
                    spoofer.send(source, target, stun_message(BINDING_SUCCESS, os.urandom(12), xor_mapped(*VICTIM)))
            wait_until(lambda: self.flow() and len(answered) >= 10, 60, "checks to answer")
            self.assert_unmoved()
        strayed = [seen for seen in victim.seen if seen.target[0] == places.WEB and (is_stun(seen) or is_wireguard(seen))]
        self.assertEqual(strayed, [], "nothing goes where the spoofed answers point")
        for name, count, now in zip(("client", "node"), before, self.refused()):
            self.assertGreater(now, count + SPOOFED / 2, name)

    def test_checks_replayed_from_elsewhere(self):
        client, node = self.outside()
        with Tap(self.lab.inet, "p-router_a") as tap:
            def of_the_client():
                self.flow()
                return [seen.payload for seen in tap.seen if seen.source == client and seen.target == node and (is_request(seen) or is_wireguard(seen))]
            wait_until(lambda: len([payload for payload in of_the_client() if payload[4:8] == b"\x21\x12\xa4\x42"]) >= 5, 60, "checks to replay")
            recorded = of_the_client()[-REPLAYED:]
        elsewhere = self.lab.web.socket(kind=2)
        self.addCleanup(elsewhere.close)
        elsewhere.bind((places.WEB, 0))
        with Tap(self.lab.web, "eth0") as tap:
            for payload in recorded:
                elsewhere.sendto(payload, node)
            begun = time.monotonic()
            wait_until(lambda: self.flow() and time.monotonic() - begun > QUIET_SECONDS, 60, "a while with traffic")
            self.assert_unmoved()
        to_us = [seen for seen in tap.seen if seen.target == elsewhere.getsockname()]
        self.assertEqual([seen for seen in to_us if is_wireguard(seen)], [], "no packet of the tunnel goes where the replay came from")
        self.assertLessEqual(most_in_a_second(to_us), PACKETS_PER_SECOND + REPLAYED)
        self.assertLessEqual(most_in_a_second([seen for seen in to_us if is_request(seen)]), PACKETS_PER_SECOND + JITTER)

    # --- a flood of candidates

    def hostile_link(self):
        """A session of mallory's, whose client speaks for itself."""
        host = self.lab.client_c
        access = api.login(host, "mallory", traversal.PASSWORD).body["accessToken"]
        node_id = api.call(host, "GET", "/api/v1/nodes", token=access).body["nodes"][0]["nodeId"]
        answer = api.request_route(host, access, node_id)
        self.assertEqual(answer.status, 200, answer)
        route = answer.body["selectedRoute"]
        self.addCleanup(api.call, host, "DELETE", f"/api/v1/sessions/{route['sessionId']}", token=access)
        link = WebSocket(host, f"/relay/{route['sessionId']}", route["sessionToken"])
        self.addCleanup(link.close)

        def send(**payload):
            link.send(TEXT, json.dumps({"type": "control", "sessionId": route["sessionId"], "direction": "to-node", "payload": payload}).encode())

        wanted = {"session-ready", "ice-description"}
        while wanted:  # the link's own timeout ends this
            opcode, payload = link.receive()
            if opcode == TEXT:
                wanted.discard(json.loads(payload)["payload"].get("action"))
        return send

    @staticmethod
    def flood(send, generation, targets):
        send(action="ice-description", generation=generation, ufrag=f"evil{generation}", password="A" * 22)
        for index, (address, port) in enumerate(targets):
            send(action="candidate", generation=generation, type=("host", "srflx", "mapped", "relay")[index % 4], address=address, port=port,
                 priority=2130706431 - index, foundation=str(index))
        send(action="candidates-end", generation=generation)

    def checks_after(self, tap, begin):
        """What the node has sent to somebody who is neither the server nor the honest client."""
        known = {places.SERVER, places.SERVER_2, self.lab.public_address("a")}
        return [seen for seen in list(tap.seen)[begin:] if seen.outgoing and is_stun(seen) and seen.target[0] not in known]

    def quiet(self, tap, begin):
        checks = self.checks_after(tap, begin)
        return checks and time.time() - checks[-1].time > QUIET_SECONDS and checks

    def test_flood_of_candidates(self):
        send = self.hostile_link()
        with Tap(self.lab.node, "eth0") as tap:
            targets = [(address, 1000 + index) for index, address in enumerate(FORBIDDEN)]
            self.flood(send, 1, targets + [(places.WEB, 2000 + index) for index in range(FLOOD)])
            checks = wait_until(lambda: self.flow() and self.quiet(tap, 0), 90, "the attempt to end")
            forbidden = [seen for seen in list(tap.seen) if seen.outgoing and seen.target[0] in FORBIDDEN and is_stun(seen)]
        self.assertEqual(forbidden, [], "the volunteer's own network is not scanned")
        destinations = {seen.target for seen in checks}
        self.assertIn(places.WEB, {address for address, _ in destinations}, "the flood has reached the node's agent")
        print(f"{len(checks)} checks to {len(destinations)} destinations, {most_in_a_second(checks)} in the busiest second ", end="", flush=True)
        self.assertLessEqual(len(destinations), DESTINATIONS)
        self.assertLessEqual(most_in_a_second(checks), PACKETS_PER_SECOND + JITTER)
        self.assert_unmoved()

    def test_flood_of_restarts(self):
        """Each description begins a new attempt; all of them together have one budget of packets."""
        send = self.hostile_link()
        with Tap(self.lab.node, "eth0") as tap:
            for generation in range(1, 11):
                seen = len(self.checks_after(tap, 0))
                self.flood(send, generation, [(places.WEB, 2000 + generation * DESTINATIONS + index) for index in range(DESTINATIONS)])
                wait_until(lambda seen=seen: self.flow() and len(self.checks_after(tap, 0)) > seen, 30, "the next attempt to begin")
            checks = wait_until(lambda: self.quiet(tap, 0), 90, "the attempts to end")
        print(f"{len(checks)} checks, {most_in_a_second(checks)} in the busiest second ", end="", flush=True)
        self.assertLessEqual(most_in_a_second(checks), PACKETS_PER_SECOND + JITTER)
        self.assert_unmoved()


def most_in_a_second(datagrams):
    """The greatest number within any second."""
    times, most, first = [seen.time for seen in datagrams], 0, 0
    for last, moment in enumerate(times):
        while times[first] <= moment - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


if __name__ == "__main__":
    unittest.main()
