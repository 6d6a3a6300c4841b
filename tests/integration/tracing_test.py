"""Traces: one for a connect, from the client over the server to the node, and nothing in it that is nobody's business."""
# ctest: cluster
import json
import os
import unittest

from case import NODE_ADDRESS, PASSWORD, LabCase
from lab import lab as places
from lab.capture import Capture, leaks, summary
from lab.collector import PORT, Collector
from lab.programs import RELAYS
from lab.wait import SCALE, wait_until

ENDPOINT = f"http://{places.WEB}:{PORT}"


class Tracing(LabCase):
    server_arguments = ("--tracing-endpoint", ENDPOINT, "--log-format", "json", "--log-level", "debug")
    node_arguments = ("--tracing-endpoint", ENDPOINT)

    @classmethod
    def _start_servers(cls):
        cls.collector = Collector(cls.lab.web, places.WEB)
        return super()._start_servers()

    def tearDown(self):
        super().tearDown()
        self.collector.answer("take")

    def trace_of(self, session):
        """All spans that were taken of the trace in which the client got that session."""
        spans = self.collector.spans()
        ids = {span["traceId"] for span in spans if span["service"] == "higgsvpn" and span["attributes"].get("higgs.session.id") == session}
        return [span for span in spans if span["traceId"] in ids]

    def connect_traced(self):
        """Connects until the collector has the whole trace, direct path included; its spans by service and name."""
        self.client.connect("--tracing-endpoint", ENDPOINT, expect=NODE_ADDRESS)
        session = self.client.status()["sessionId"]
        wanted = {("higgsvpn", "connect"), ("higgsvpn", "route"), ("higgsvpn", "relay link"), ("higgsvpn", "handshake"), ("higgsvpn", "first direct path"),
                  ("bosonserver", "POST /api/v1/routing/request"), ("bosonserver", "GET /relay/{id}"), ("bosonserver", "session-open"), ("higgsnode", "session-open")}

        def whole():
            spans = self.trace_of(session)
            return spans if wanted <= {(span["service"], span["name"]) for span in spans} else None

        return {(span["service"], span["name"]): span for span in wait_until(whole, 15, "the whole trace of a connect")}

    def test_a_connect_is_one_trace(self):
        trace = self.connect_traced()
        self.assertEqual(len({span["traceId"] for span in trace.values()}), 1)

        def assert_parent(child, parent):
            self.assertEqual(trace[child]["parentSpanId"], trace[parent]["spanId"], f"{child} belongs to {parent}")

        root = ("higgsvpn", "connect")
        self.assertNotIn("parentSpanId", trace[root])
        for step in ("route", "relay link", "handshake", "first direct path"):
            assert_parent(("higgsvpn", step), root)
        assert_parent(("bosonserver", "POST /api/v1/routing/request"), ("higgsvpn", "route"))
        assert_parent(("bosonserver", "GET /relay/{id}"), ("higgsvpn", "relay link"))
        assert_parent(("bosonserver", "session-open"), ("bosonserver", "GET /relay/{id}"))
        assert_parent(("higgsnode", "session-open"), ("bosonserver", "session-open"))
        asked = trace["bosonserver", "POST /api/v1/routing/request"]
        self.assertEqual(asked["attributes"], {"http.request.method": "POST", "http.route": "/api/v1/routing/request", "http.response.status_code": "200"})
        self.assertEqual(asked["kind"], 2)
        self.assertTrue(trace["higgsvpn", "first direct path"]["attributes"]["higgs.path"].startswith("direct"))
        for span in trace.values():
            self.assertLessEqual(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
            self.assertNotIn("status", span, "nothing has failed")
        self.assert_logged(asked)

    def assert_logged(self, span):
        """The server's log has the request under its trace, and every request under its id."""
        lines = [json.loads(line) for line in self.server.output().splitlines() if line.startswith("{")]
        answered = [line for line in lines if line["message"] == "answered"]
        self.assertTrue(all(line["request"] for line in answered))
        self.assertEqual([line["path"] for line in answered if line.get("span_id") == span["spanId"]], ["/api/v1/routing/request"])
        ready = [line for line in lines if line["message"] == "a session is ready"]
        self.assertIn(span["traceId"], {line.get("trace_id") for line in ready})

    def test_nothing_private_is_in_a_trace(self):
        self.connect_traced()
        with open(os.path.join(self.client.state, "account.json"), encoding="utf-8") as file:
            account = json.load(file)
        secrets = [value for key, value in account.items() if "token" in key.lower() and isinstance(value, str)]
        self.assertGreaterEqual(len(secrets), 2, f"access and refresh token are in {sorted(account)}")
        text = json.dumps([request["body"] for request in self.collector.requests()])
        for private in ["alice", PASSWORD, places.CLIENT_A, places.CLIENT_A6, places.PUBLIC["a"], places.NODE, NODE_ADDRESS, places.WEB, "Bearer", *secrets]:
            self.assertNotIn(private, text)

    def test_a_clients_traces_take_the_tunnel(self):
        capture = Capture(self.lab.client_a, "eth0", RELAYS, "traced")
        try:
            self.connect_traced()
            self.client.disconnect()
        finally:
            packets = capture.stop()
        # Before the kill switch closes, which is before the API is asked, this test itself asks for its address.
        closed = min(packet.time for packet in packets if packet.what == "relay")
        self.assertEqual([packet for packet in leaks(packets) if packet.time > closed or f":{PORT}" in packet.detail], [], summary(packets))
        clients = [request for request in self.collector.requests() if "higgsvpn" in json.dumps(request["body"]["resourceSpans"][0]["resource"])]
        self.assertEqual({request["source"] for request in clients}, {NODE_ADDRESS})
        self.assertEqual({(request["path"], request["type"]) for request in self.collector.requests()}, {("/v1/traces", "application/json")})

    def test_without_being_asked_a_client_traces_nothing(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.assertEqual(self.trace_of(self.client.status()["sessionId"]), [])
        self.assertEqual(self.client.vpn("connect", "--tracing-endpoint", "http://collector.lab.test", check=False).returncode, 2, "names are refused")

    def test_a_collector_in_trouble_disturbs_nobody(self):
        def connect():
            seconds = self.client.connect("--tracing-endpoint", ENDPOINT, expect=NODE_ADDRESS)
            self.client.disconnect()
            self.assertLess(seconds, 5 * SCALE)

        for how in ("busy", "silent"):
            with self.subTest(how):
                self.collector.answer(how)
                before = len(self.collector.requests())
                connect()
                wait_until(lambda: any(request["answer"] == how for request in self.collector.requests()[before:]), 15, "the collector to be asked")
        with self.subTest("down"):
            self.collector.stop()
            connect()
            self.collector.answer("take")
            self.collector.start()
        # The server has gone on trying, and does so until what it has is taken.
        self.connect_traced()
        self.assertGreater(self.server.metrics()["higgs_trace_spans_total"], 0)


if __name__ == "__main__":
    unittest.main()
