"""What hostile or broken peers send to the server: each has a clear answer, and the tunnels of others go on."""
# ctest: serial
import base64
import os
import select
import socket
import struct
import subprocess
import sys
import unittest

from case import NODE_ADDRESS, PASSWORD, LabCase
from lab import api
from lab import lab as places
from lab.identity import Identity
from lab.programs import RELAY, URL
from lab.wait import SCALE, wait_until
from lab.websocket import BINARY, TEXT, Refused, WebSocket

RELAY_HEADER = struct.Struct("!BBHI")
SILENT_CONNECTIONS, SILENT_PER_PROCESS = 10_000, 2_500
SILENT_KIB = 10  # of the server's memory for each; a TLS session alone would be more

HOLD = """
import resource, socket, sys
address, port, count, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
held = []
for index in range(count):
    s = socket.socket()
    s.settimeout(5)
    s.bind((f"10.1.{100 + first}.{1 + index % 200}", 0))
    try:
        s.connect((address, port))
        held.append(s)
    except OSError:
        s.close()
print(len(held), flush=True)
sys.stdin.read()
"""


def batch(packets, channel=0, version_and_type=0x10, count=None):
    """One relay message (proto/relay.md) of these packets."""
    head = RELAY_HEADER.pack(version_and_type, 0, len(packets) if count is None else count, channel)
    return head + b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)


class BadInput(LabCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.outsider = cls.lab.client_c
        access = api.login(cls.outsider, "alice", PASSWORD).body["accessToken"]
        cls.node_id = api.call(cls.outsider, "GET", "/api/v1/nodes", token=access).body["nodes"][0]["nodeId"]

    def connect(self):
        """To the real node: some tests register others."""
        self.client.connect("--node", self.node_id, expect=NODE_ADDRESS)

    def refused(self, path, token, **options):
        with self.assertRaises(Refused) as caught:
            WebSocket(self.outsider, path, token, **options)
        return caught.exception.status

    def session(self):
        """A session of alice as the API gives it: (session id, token)."""
        access = api.login(self.outsider, "alice", PASSWORD).body["accessToken"]
        answer = api.request_route(self.outsider, access, self.node_id)
        self.assertEqual(answer.status, 200, answer)
        route = answer.body["selectedRoute"]
        self.addCleanup(api.call, self.outsider, "DELETE", f"/api/v1/sessions/{route['sessionId']}", token=access)
        return route["sessionId"], route["sessionToken"]

    def open_link(self):
        session, token = self.session()
        link = WebSocket(self.outsider, f"/relay/{session}", token)
        self.addCleanup(link.close)
        return link

    # --- credentials

    def test_wrong_password(self):
        done = self.client.login("alice", "hunter2-or-so", check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertNotIn("hunter2", done.stderr + done.stdout + self.server.output())
        self.client.login("alice", PASSWORD)

    def test_wrong_password_and_unknown_user_look_alike(self):
        answers = [api.login(self.outsider, user, "wrong") for user in ("alice", "nobody-of-that-name")]
        self.assertEqual([answer.status for answer in answers], [401, 401])
        self.assertEqual(answers[0].body["type"], answers[1].body["type"])
        self.assertEqual(answers[0].headers["content-type"], "application/problem+json")

    def test_guessing_is_locked_out(self):
        self.server.add_user("mallory", PASSWORD)
        statuses = [api.login(self.lab.printer, "mallory", f"guess {number}").status for number in range(30)]
        self.assertIn(429, statuses)
        self.assertEqual(api.login(self.lab.printer, "mallory", PASSWORD).status, 429, "locked out, even with the right one")

    def test_client_of_another_server_is_not_believed(self):
        """The pin is checked: a server with another certificate gets no password."""
        other = self.client.vpn("login", "--server", URL, "--pin", "sha256/" + base64.b64encode(bytes(32)).decode(), "--user", "alice",
                                "--password-file", "-", input=PASSWORD + "\n", check=False)
        self.assertEqual(other.returncode, 5, other.stderr)

    # --- tokens on the relay

    def test_relay_without_token(self):
        session, _ = self.session()
        self.assertEqual(self.refused(f"/relay/{session}", None), 401)

    def test_forged_tokens(self):
        session, token = self.session()
        header, claims, signature = token.split(".")
        raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
        raw[0] ^= 1
        own = Identity()
        forged = {
            "signature altered": f"{header}.{claims}.{api.jwt_encode(bytes(raw))}",
            "alg none": f"{api.jwt_encode({**api.jwt_part(token, 0), 'alg': 'none'})}.{claims}.",
            "alg HS256": f"{api.jwt_encode({**api.jwt_part(token, 0), 'alg': 'HS256'})}.{claims}.{signature}",
            "claims altered": f"{header}.{api.jwt_encode({**api.jwt_part(token, 1), 'exp': api.FOREVER})}.{signature}",
            "foreign key": f"{header}.{claims}.{api.jwt_encode(own.sign(f'{header}.{claims}'.encode()))}",
            "no token": "x", "empty": "", "two parts": f"{header}.{claims}",
        }
        for name, value in forged.items():
            with self.subTest(name):
                self.assertEqual(self.refused(f"/relay/{session}", value), 401)
        WebSocket(self.outsider, f"/relay/{session}", token).close()

    def test_token_of_another_use(self):
        """An access token is no relay token, and a relay token opens no API (`aud`)."""
        session, token = self.session()
        access = api.login(self.outsider, "alice", PASSWORD).body["accessToken"]
        self.assertIn(self.refused(f"/relay/{session}", access), (401, 403))
        self.assertEqual(api.call(self.outsider, "GET", "/api/v1/nodes", token=token).status, 401)
        self.assertEqual(api.call(self.outsider, "GET", "/api/v1/nodes", token=access).status, 200)

    def test_session_of_somebody_else(self):
        mine, token = self.session()
        others, _ = self.session()
        self.assertEqual(self.refused(f"/relay/{others}", token), 403)
        self.assertEqual(self.refused(f"/relay/{self.node_id}", token), 403, "nor a node's place")
        self.assertIn(self.refused("/relay/not-an-id", token), (400, 403, 404))
        WebSocket(self.outsider, f"/relay/{mine}", token).close()

    def test_other_sub_protocol(self):
        session, token = self.session()
        self.assertEqual(self.refused(f"/relay/{session}", token, protocol="higgs-relay.2"), 400)
        self.assertEqual(self.refused(f"/relay/{session}", token, protocol=None), 400)

    # --- a node's place

    def test_second_node_claims_a_taken_id(self):
        access = api.login(self.outsider, "alice", PASSWORD).body["accessToken"]
        victim = api.call(self.outsider, "GET", f"/api/v1/nodes/{self.node_id}", token=access).body
        identity = Identity()
        self.assertEqual(api.register(self.outsider, identity).status, 200, "a registration of its own is fine")
        stolen_key = victim["keyCertificate"]["identityKey"]
        attempts = {
            "id only": {"node_id": victim["nodeId"]},
            "id and certificate": {"node_id": victim["nodeId"], "certificate": victim["keyCertificate"]},
            "all but the private key": {"node_id": victim["nodeId"], "certificate": victim["keyCertificate"], "identity_key": stolen_key},
            "certificate of another": {"certificate": victim["keyCertificate"]},
        }
        for name, parts in attempts.items():
            with self.subTest(name):
                answer = api.register(self.outsider, identity, **parts)
                self.assertIn(answer.status, (400, 401, 403, 409, 422), answer)
                self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.connect()

    def test_nonce_is_single_use_and_needed(self):
        identity = Identity()
        answer = api.call(self.outsider, "POST", "/api/v1/nodes/register", b"{}", headers={"Higgs-Signature": "AAAA"})
        self.assertIn(answer.status, (401, 422))
        self.assertEqual(api.register(self.outsider, identity).status, 200)

    # --- frames on the relay

    def close_code_after(self, send):
        link = self.open_link()
        send(link)
        return link.close_code()

    def test_oversized_frame(self):
        too_large = batch([bytes(60_000)]) + bytes(10_000)
        self.assertEqual(self.close_code_after(lambda link: link.send(BINARY, too_large)), 1009)
        self.assertEqual(self.close_code_after(lambda link: link.send(BINARY, b"", announced=1 << 40)), 1009)
        self.assertEqual(self.close_code_after(lambda link: link.send(TEXT, b"{" + b" " * 20_000 + b"}")), 1009)
        self.check_others_go_on()

    def test_malformed_frames(self):
        malformed = {
            "empty": b"", "short header": bytes(7), "other version": batch([b"x"], version_and_type=0x20),
            "other type": batch([b"x"], version_and_type=0x11), "no packets": batch([]),
            "65 packets": batch([b"x"] * 65),
        }
        for name, message in malformed.items():
            with self.subTest(name):
                self.assertEqual(self.close_code_after(lambda link, message=message: link.send(BINARY, message)), 1008)
        self.assertEqual(self.close_code_after(lambda link: link.send(BINARY, batch([b"x"]), masked=False)), 1002)
        self.check_others_go_on()

    def test_lengths_that_lie_reach_only_the_endpoint(self):
        """The relay does not walk the lengths; the node must drop such a batch and nothing else."""
        self.connect()
        link = self.open_link()
        for message in (RELAY_HEADER.pack(0x10, 0, 5, 0) + b"\xff\xff" * 5, batch([b"\x01" * 148, b"\x04" * 32], count=64), batch([os.urandom(1400)] * 20)):
            link.send(BINARY, message)
        link.send(BINARY, batch([b"\x04\0\0\0" + os.urandom(60)], channel=7))
        self.check_others_go_on()
        self.assertTrue(self.node.running)

    def check_others_go_on(self):
        if not self.client.running:
            self.connect()
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS)

    # --- HTTP

    def test_bodies(self):
        for name, body, status in (("too large", b'{"username":"' + b"a" * 70_000 + b'"}', 413), ("no JSON", b"\xff\xfe{", (400, 422)), ("other type", b"[]", (400, 422)),
                                   ("deep", b"[" * 50_000, (400, 413, 422)), ("missing field", b'{"username":"alice"}', 422)):
            with self.subTest(name):
                answer = api.call(self.outsider, "POST", "/api/v1/auth/login", body)
                self.assertIn(answer.status, status if isinstance(status, tuple) else (status,))
                self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(api.call(self.outsider, "POST", "/api/v1/auth/login", b'{"username":"alice"}').body["errors"][0]["pointer"], "/password")

    # --- connections that waste

    def test_half_open_tls(self):
        """Half a ClientHello and then nothing: closed within the handshake's deadline."""
        half = self.outsider.socket()
        self.addCleanup(half.close)
        half.settimeout(5)
        half.connect(RELAY)
        half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(20))
        self.check_others_go_on()
        self.assertTrue(select.select([half], [], [], 60)[0], "hung up on within a minute")
        self.assertIn(half.recv(100)[:1], (b"", b"\x15"))

    def test_ten_thousand_silent_connections(self):
        """From many addresses, in processes that stay below the limit of open files."""
        holders, idle = [], self.server.rss_kib()
        for number in range(SILENT_CONNECTIONS // SILENT_PER_PROCESS):
            self.lab.server.sh(f"ip route replace local 10.1.{100 + number}.0/24 dev lo")
            holders.append(self.lab.server.popen(sys.executable, "-c", HOLD, places.SERVER, RELAY[1], SILENT_PER_PROCESS, number,
                                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        try:
            held = [int(holder.stdout.readline()) for holder in holders]
            print(f"{sum(held)} silent connections, server RSS {idle // 1024} to {self.server.rss_kib() // 1024} MiB ", end="", flush=True)
            self.assertGreater(sum(held), SILENT_CONNECTIONS * 0.9)
            self.check_others_go_on()
            self.assertEqual(api.login(self.outsider, "alice", PASSWORD).status, 200, "a newcomer is still served")
            # A sanitizer keeps shadow and quarantine beside what the server itself has.
            self.assertLess((self.server.rss_kib() - idle) / sum(held), SILENT_KIB * (20 if SCALE > 1 else 1))
            open_files = lambda: len(os.listdir(f"/proc/{self.server.process.pid}/fd"))  # noqa: E731
            wait_until(lambda: open_files() < 500, 90, "the silent connections to be closed by their deadline")
        finally:
            for holder in holders:
                holder.stdin.close()
                holder.wait()
                holder.stdout.close()
            for number in range(len(holders)):
                self.lab.server.sh(f"ip route del local 10.1.{100 + number}.0/24 dev lo")

    def test_silent_udp_and_garbage_on_the_stun_port(self):
        with self.outsider.socket(kind=socket.SOCK_DGRAM) as udp:
            udp.settimeout(2)
            for garbage in (b"", b"x", os.urandom(1400), b"\0\1\xff\xff" + struct.pack("!I", 0x2112A442) + bytes(12)):
                udp.sendto(garbage, (places.SERVER, 3478))
            udp.sendto(struct.pack("!HHI", 1, 0, 0x2112A442) + bytes(12), (places.SERVER, 3478))
            answer = udp.recv(2000)
            self.assertEqual(struct.unpack("!H", answer[:2])[0], 0x0101)


if __name__ == "__main__":
    unittest.main()
