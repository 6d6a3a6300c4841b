"""proto/openapi.yaml and the built server agree: on every endpoint and method, on who may call it, and on what real
requests and answers look like. The server runs on loopback with ports of the system's choice."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import ssl
import struct
import subprocess
import tempfile
import time
import unittest
import uuid

import jsonschema
import yaml

from lab.authority import Authority
from lab.identity import Identity
from lab.programs import binary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
LINKS = ("relay", "server")  # operations that are WebSockets
PASSWORD = "correct horse battery staple"
START_SECONDS = 30


def totp_code(secret, now):
    """RFC 6238 with the secret in base32."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(now) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 1_000_000:06}"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class ThisHost:
    """What lab.api wants of a host, here."""

    def __init__(self, directory):
        self.dir = directory

    @staticmethod
    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True)


class ApiConformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "proto", "openapi.yaml"), encoding="utf-8") as text:
            cls.document = yaml.safe_load(text)
        cls.resolver = jsonschema.RefResolver("", cls.document)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.host, cls.state = ThisHost(directory.name), os.path.join(directory.name, "state")
        cls.authority = Authority(cls.host)
        cls.server = subprocess.Popen(
            [binary("bosonserver"), "run", "--state-dir", cls.state, "--listen", "127.0.0.1:0", "--stun-listen", "127.0.0.1:0",
             "--metrics-listen", "127.0.0.1:0", "--drain", "0s", "--rates-login", "100000",
             "--tls-client-ca", cls.authority.path("ca.crt")], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls._stop)
        line = cls.server.stdout.readline()
        cls.port, cls.metrics_port = (int(re.search(pattern, line).group(1)) for pattern in (r"https://[\d.]+:(\d+)", r"http://[\d.]+:(\d+)"))
        cls.origin = f"https://127.0.0.1:{cls.port}"
        for name, role in (("root", "admin"), ("op", "operator"), ("alice", "user")):
            subprocess.run([binary("bosonserver"), "user", "add", name, "--role", role, "--password-file", "-", "--state-dir", cls.state],
                           input=PASSWORD + "\n", text=True, check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def _stop(cls):
        cls.server.terminate()
        status = cls.server.wait(START_SECONDS)
        cls.server.stdout.close()
        if status != 0:
            raise AssertionError(f"bosonserver ended with {status}")

    # --- the document

    def resolve(self, value):
        while "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def operations(self):
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                if method in METHODS:
                    yield path, method.upper(), operation

    def schema_of(self, path, method, status, content_type):
        responses = self.document["paths"][path][method.lower()]["responses"]
        response = self.resolve(responses.get(str(status), responses.get("default", {})))
        if str(status) not in responses:
            self.assertGreaterEqual(status, 400, f"{method} {path} answers {status}, which is not documented")
        content = response.get("content", {})
        if not content:
            return None
        self.assertIn(content_type, content, f"{method} {path}: {status}")
        return content[content_type]["schema"]

    def validate(self, value, schema, what):
        errors = sorted(jsonschema.Draft202012Validator(schema, resolver=self.resolver).iter_errors(value), key=str)
        self.assertEqual([], [f"{'/'.join(map(str, error.path))}: {error.message}" for error in errors], f"{what}: {json.dumps(value)}")

    # --- the server

    def exchange(self, method, path, expect, body=None, token=None, headers=None, query="", raw=None, certificate=None, **places):
        """One request; the answer, checked against the document. Good requests are checked too. `certificate`: and its key, as files."""
        target = path.format(**places) + query
        operation = self.document["paths"][path][method.lower()]
        if "requestBody" in operation and expect < 300:
            self.validate(body, operation["requestBody"]["content"]["application/json"]["schema"], f"request {method} {target}")
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        fields = {**({"Content-Type": "application/json"} if data is not None else {}),
                  **({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        context = ssl._create_unverified_context()  # the certificate is pinned elsewhere; here the API is the subject
        if certificate:
            context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        try:
            connection.request(method, target, data, fields)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        self.assertEqual(response.status, expect, f"{method} {target}: {text!r}")
        self.assertTrue(response.getheader("X-Request-Id"))
        content_type = (response.getheader("Content-Type") or "").split(";")[0]
        schema = self.schema_of(path, method, response.status, content_type)
        if schema is None:
            self.assertEqual(text, b"", f"{method} {target} has a body that is not documented")
            return None
        value = json.loads(text)
        self.validate(value, schema, f"answer {response.status} of {method} {target}")
        return value

    def login(self, name):
        return self.exchange("POST", "/api/v1/auth/login", 200, {"username": name, "password": PASSWORD})

    def register(self):
        nonce = self.exchange("POST", "/api/v1/nodes/challenge", 200)["nonce"]
        identity, key = Identity(), os.urandom(32)
        body = {
            "nodeId": identity.node_id, "publicKey": base64.b64encode(key).decode(),
            "identityKey": base64.b64encode(identity.public).decode(), "nonce": nonce,
            "keyCertificate": identity.key_certificate(key), "tunnelPrefixes": ["10.91.0.0/24", "fd00:91::/64"],
            "networkInfo": {"ipv4": "192.0.2.1", "ipv6": None, "natType": "Unknown", "stunMappedAddress": None, "localPort": 51820},
            "capabilities": {"maxConnections": 10, "bandwidth": {"up": 10, "down": 10}, "routing": True, "natting": True},
            "metrics": {"latency": 1, "jitter": 0, "packetLoss": 0, "cpuUsage": 1, "memoryUsage": 1},
            "location": {"country": "FR", "region": "Paris", "coordinates": [48.9, 2.3]}, "heartbeatInterval": 30}
        raw = json.dumps(body).encode()
        proof = identity.sign(b"higgs-register-v1" + self.origin.encode() + nonce.encode() + hashlib.sha256(raw).digest())
        headers = {"Higgs-Signature": base64.b64encode(proof).decode()}
        answer = self.exchange("POST", "/api/v1/nodes/register", 200, body, headers=headers, raw=raw)
        self.exchange("POST", "/api/v1/nodes/register", 403, body, headers=headers, raw=raw)  # the nonce is spent
        return answer

    def route(self, token, expect=200, **requirements):
        return self.exchange("POST", "/api/v1/routing/request", expect, {
            "clientId": str(uuid.uuid4()), "wireguardPublicKey": base64.b64encode(os.urandom(32)).decode(), "targetNodeId": None,
            "requirements": {"minBandwidth": None, "maxLatency": None, "preferredLocation": None, "preferredCountry": None, **requirements},
            "clientNetworkInfo": {"ipv4": None, "ipv6": None, "natType": "Unknown", "stunMappedAddress": None}}, token=token)

    # --- what must hold

    def test_document_is_sound(self):
        def walk(value):
            if isinstance(value, dict):
                if isinstance(value.get("$ref"), str):
                    self.resolver.resolve(value["$ref"])
                for item in value.values():
                    walk(item)
            elif isinstance(value, list):
                for item in value:
                    walk(item)
        walk(self.document)
        for name, schema in self.document["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)
        names = [operation["operationId"] for _, _, operation in self.operations()]
        self.assertEqual(len(names), len(set(names)))
        for path, method, operation in self.operations():
            wanted = set(re.findall(r"\{(\w+)\}", path))
            item = self.document["paths"][path]
            given = {self.resolve(p)["name"] for p in item.get("parameters", []) + operation.get("parameters", []) if self.resolve(p)["in"] == "path"}
            self.assertEqual(wanted, given, f"{method} {path}")

    def test_document_and_endpoint_table_agree(self):
        table = json.loads(subprocess.run([binary("bosonserver"), "endpoints", "--json"], check=True, capture_output=True, text=True).stdout)
        served = {(row["path"], row["method"]): (row["access"], row["role"]) for row in table}
        written = {}
        for path, method, operation in self.operations():
            (access, roles), = operation["security"][0].items() if operation.get("security") else [("public", [])]
            written[path, method] = (access, roles[0] if roles else "")
        self.maxDiff = None
        self.assertEqual(served, written)

    def test_served_document_is_this_one(self):
        self.assertEqual(self.document, self.exchange("GET", "/openapi.json", 200))

    def test_every_operation_is_reachable(self):
        """Without a token: what is documented is there, and says itself that it wants one."""
        nobody = str(uuid.UUID(int=1))
        for path, method, operation in self.operations():
            if path == "/metrics":
                continue
            with self.subTest(f"{method} {path}"):
                access = next(iter((operation.get("security") or [{}])[0]), None)
                if access in LINKS:
                    self.exchange(method, path, 426, id=nobody, key=nobody)
                elif access:
                    self.exchange(method, path, 401, id=nobody, key=nobody)
                elif "requestBody" in operation:
                    self.exchange(method, path, 415)
                    self.exchange(method, path, 400, raw=b"{")
                    self.exchange(method, path, 422, {})
                    self.exchange(method, path, 413, raw=b" " * 70_000)
                else:
                    self.exchange(method, path, 200)

    def test_the_life_of_a_node(self):
        node = self.register()
        metrics = {"latency": 1.5, "jitter": 0, "packetLoss": 0, "cpuUsage": 1, "memoryUsage": 1}
        beat = {"metrics": {**metrics, "activeConnections": 0, "bandwidth": {"up": 0, "down": 0}}, "status": "online"}
        operator = self.login("op")["accessToken"]
        action = self.exchange("POST", "/api/v1/admin/nodes/{id}/actions", 201, {"type": "updateConfig", "payload": {"logLevel": "debug"}},
                               operator, id=node["nodeId"])
        waiting = self.exchange("GET", "/api/v1/admin/nodes/{id}/actions", 200, token=operator, id=node["nodeId"])
        self.assertEqual([action["id"]], [item["id"] for item in waiting["actions"]])
        answer = self.exchange("POST", "/api/v1/nodes/{id}/heartbeat", 200, beat, node["sessionToken"], id=node["nodeId"])
        self.assertEqual([action["id"]], [item["id"] for item in answer["actions"]])
        done = {**beat, "actionResults": [{"id": action["id"], "ok": True, "detail": ""}]}
        self.exchange("POST", "/api/v1/nodes/{id}/heartbeat", 200, done, node["sessionToken"], id=node["nodeId"])
        self.exchange("POST", "/api/v1/metrics", 204, {
            "nodeId": node["nodeId"], "timestamp": int(time.time()), "metrics": {
                "network": {"latency": 1, "jitter": 0, "packetLoss": 0, "bandwidth": {"up": 1, "down": 1}},
                "system": {"cpuUsage": 1, "memoryUsage": 1, "diskUsage": 1, "loadAverage": 0.1},
                "wireguard": {"packets": {"sent": 1, "received": 1, "errors": 0}, "bytes": {"sent": 1, "received": 1}},
                "connections": {"active": 0, "total": 0, "failed": 0}}}, node["sessionToken"])
        self.exchange("GET", "/api/v1/nodes/{id}", 200, token=operator, id=node["nodeId"])
        self.exchange("GET", "/api/v1/nodes", 200, token=operator, query="?country=FR&sort=latency&limit=1")
        self.exchange("GET", "/api/v1/nodes", 400, token=operator, query="?limit=0")
        self.exchange("POST", "/api/v1/admin/nodes/{id}/ban", 200, token=operator, id=node["nodeId"])
        self.exchange("POST", "/api/v1/nodes/{id}/heartbeat", 403, beat, node["sessionToken"], id=node["nodeId"])
        self.exchange("POST", "/api/v1/admin/nodes/{id}/approve", 200, token=operator, id=node["nodeId"])
        self.exchange("POST", "/api/v1/admin/nodes/{id}/approve", 404, token=operator, id=str(uuid.UUID(int=1)))

    def test_the_life_of_a_session(self):
        self.register()
        user, operator = self.login("alice")["accessToken"], self.login("op")["accessToken"]
        session = self.route(user)["selectedRoute"]["sessionId"]
        self.route(user, 409, preferredCountry="SE")
        self.exchange("POST", "/api/v1/sessions/{id}/renew", 200, token=user, id=session)
        self.exchange("GET", "/api/v1/admin/sessions", 200, token=operator)
        self.exchange("DELETE", "/api/v1/sessions/{id}", 204, token=user, id=session)
        self.exchange("POST", "/api/v1/sessions/{id}/renew", 410, token=user, id=session)
        self.exchange("GET", "/api/v1/admin/sessions", 200, token=operator, query="?limit=1")

    def test_the_life_of_an_account(self):
        admin = self.login("root")["accessToken"]
        user = self.exchange("POST", "/api/v1/users", 201, {"username": "bob", "password": PASSWORD, "role": "user"}, admin)
        self.exchange("POST", "/api/v1/users", 409, {"username": "bob", "password": PASSWORD, "role": "user"}, admin)
        self.exchange("POST", "/api/v1/users", 422, {"username": "bob", "password": "short", "role": "god"}, admin)
        tokens = self.login("bob")
        tokens = self.exchange("POST", "/api/v1/auth/refresh", 200, {"refreshToken": tokens["refreshToken"]})
        self.exchange("GET", "/api/v1/users", 403, token=tokens["accessToken"])
        self.exchange("POST", "/api/v1/auth/logout", 204, {"refreshToken": tokens["refreshToken"]})
        self.exchange("POST", "/api/v1/auth/refresh", 401, {"refreshToken": tokens["refreshToken"]})
        self.exchange("POST", "/api/v1/auth/login", 401, {"username": "bob", "password": "wrong"})
        self.exchange("GET", "/api/v1/users/{id}", 200, token=admin, id=user["userId"])
        self.exchange("PATCH", "/api/v1/users/{id}", 200, {"role": "operator"}, admin, id=user["userId"])
        self.exchange("PATCH", "/api/v1/users/{id}", 200, {"relayQuota": 10 ** 12}, admin, id=user["userId"])
        self.exchange("GET", "/api/v1/users/{id}", 200, token=admin, id=user["userId"])
        self.exchange("GET", "/api/v1/users", 200, token=admin)
        self.exchange("DELETE", "/api/v1/users/{id}", 204, token=admin, id=user["userId"])
        self.exchange("GET", "/api/v1/users/{id}", 404, token=admin, id=user["userId"])
        self.exchange("GET", "/api/v1/admin/audit", 200, token=admin, query="?limit=2")

    def test_the_life_of_credentials(self):
        admin = self.login("root")["accessToken"]
        invite = self.exchange("POST", "/api/v1/invites", 201, {"role": "user", "uses": 1, "lifetimeSeconds": 600}, admin)
        account = {"invite": invite["invite"], "username": "dora", "password": PASSWORD}
        user = self.exchange("POST", "/api/v1/auth/register", 201, account)
        self.exchange("POST", "/api/v1/auth/register", 403, account)
        revoked = self.exchange("POST", "/api/v1/invites", 201, {"role": "user"}, admin)
        self.exchange("GET", "/api/v1/invites", 200, token=admin)
        self.exchange("DELETE", "/api/v1/invites/{id}", 204, token=admin, id=revoked["id"])
        self.exchange("DELETE", "/api/v1/invites/{id}", 404, token=admin, id=revoked["id"])
        token = self.login("dora")["accessToken"]

        key = self.exchange("POST", "/api/v1/api-keys", 201, {"name": "cron", "role": "user"}, token)
        self.exchange("GET", "/api/v1/nodes", 200, token=key["key"])
        self.exchange("GET", "/api/v1/api-keys", 200, token=key["key"])
        self.exchange("POST", "/api/v1/api-keys", 403, {"name": "more"}, key["key"])
        self.exchange("DELETE", "/api/v1/api-keys/{id}", 204, token=token, id=key["id"])
        self.exchange("GET", "/api/v1/nodes", 401, token=key["key"])

        keys, dora = "/api/v1/users/{id}/api-keys", user["userId"]
        key = self.exchange("POST", "/api/v1/api-keys", 201, {"name": "cron", "role": "user"}, token)
        self.assertEqual([key["id"]], [item["id"] for item in self.exchange("GET", keys, 200, token=admin, id=dora)["keys"]])
        self.exchange("DELETE", keys + "/{key}", 204, token=admin, id=dora, key=key["id"])
        self.exchange("DELETE", keys + "/{key}", 404, token=admin, id=dora, key=key["id"])
        self.exchange("GET", keys, 404, token=admin, id=str(uuid.UUID(int=1)))
        self.exchange("GET", "/api/v1/nodes", 401, token=key["key"])
        self.exchange("POST", "/api/v1/api-keys", 201, {"name": "cron", "role": "user"}, token)
        changed = self.exchange("PATCH", "/api/v1/users/{id}", 200, {"role": "user"}, admin, id=dora)
        self.assertEqual(changed["apiKeysLeft"], 1)
        changed = self.exchange("PATCH", "/api/v1/users/{id}", 200, {"apiKeys": False}, admin, id=dora)
        self.assertEqual(changed["apiKeysLeft"], 0)
        self.exchange("PATCH", "/api/v1/users/{id}", 422, {"apiKeys": True}, admin, id=dora)

        enrolment = self.exchange("POST", "/api/v1/auth/totp/enrol", 200, {"password": PASSWORD}, token)
        now = time.time()
        codes = self.exchange("POST", "/api/v1/auth/totp/confirm", 200, {"totp": totp_code(enrolment["secret"], now)}, token)
        credentials = {"username": "dora", "password": PASSWORD}
        problem = self.exchange("POST", "/api/v1/auth/login", 401, credentials)
        self.assertEqual(problem["type"], "urn:higgs:problem:totp-required")
        self.exchange("POST", "/api/v1/auth/login", 401, {**credentials, "totp": totp_code(enrolment["secret"], now)})  # used
        self.exchange("POST", "/api/v1/auth/login", 200, {**credentials, "totp": totp_code(enrolment["secret"], now + 30)})
        self.exchange("POST", "/api/v1/auth/login", 200, {**credentials, "totp": codes["recoveryCodes"][0].upper()})
        self.exchange("POST", "/api/v1/auth/totp/disable", 204, {"password": PASSWORD, "totp": codes["recoveryCodes"][1]}, token)

        changed = {"currentPassword": PASSWORD, "newPassword": PASSWORD[::-1]}
        self.exchange("POST", "/api/v1/auth/password", 403, {**changed, "currentPassword": "wrong"}, token)
        self.exchange("POST", "/api/v1/auth/password", 200, changed, token)
        self.exchange("POST", "/api/v1/auth/password", 401, changed, token)  # its login has ended
        self.exchange("DELETE", "/api/v1/users/{id}", 204, token=admin, id=user["userId"])

    def test_a_certificate(self):
        path, alice = "/api/v1/auth/certificate", self.authority.issue("alice")
        tokens = self.exchange("POST", path, 200, {}, certificate=alice)
        self.exchange("GET", "/api/v1/nodes", 200, token=tokens["accessToken"])
        self.exchange("POST", "/api/v1/auth/logout", 204, {"refreshToken": tokens["refreshToken"]})
        self.exchange("POST", path, 401, {}, certificate=self.authority.issue("nobody"))
        self.exchange("POST", path, 401, {}, token=self.login("alice")["accessToken"])
        self.exchange("POST", path, 415, certificate=alice)
        self.exchange("POST", path, 400, raw=b"{", certificate=alice)
        self.exchange("POST", path, 422, {"totp": 123456}, certificate=alice)

    def test_the_allow_list(self):
        operator = self.login("op")["accessToken"]
        entry = self.exchange("POST", "/api/v1/admin/allowlist", 201, {"network": "192.0.2.0/24", "note": "the office"}, operator)
        self.exchange("POST", "/api/v1/admin/allowlist", 409, {"network": "192.0.2.0/24"}, operator)
        self.exchange("POST", "/api/v1/admin/allowlist", 422, {}, operator)
        self.exchange("GET", "/api/v1/admin/allowlist", 200, token=operator)
        self.exchange("DELETE", "/api/v1/admin/allowlist/{id}", 204, token=operator, id=entry["id"])
        self.exchange("DELETE", "/api/v1/admin/allowlist/{id}", 404, token=operator, id=entry["id"])

    def test_every_operation_refuses_what_is_no_token_for_it(self):
        """server/access_test.cpp tries expired ones as well, which nobody can make from outside."""
        users, node = [self.login(name)["accessToken"] for name in ("root", "op", "alice")], self.register()
        good = {"user": users[0], "person": users[0], "node": node["sessionToken"], "relay": node["relayToken"]}
        stranger, nobody, unsigned = Identity(), str(uuid.UUID(int=1)), base64url(json.dumps({"alg": "none"}).encode())
        for path, method, operation in self.operations():
            access = next(iter((operation.get("security") or [{}])[0]), None)
            # Refused as a WebSocket: access_test.cpp and cascade_gate_test.cpp.
            if access in (None, "certificate", *LINKS):
                continue
            bad = {"no API key": "hk_" + "A" * 43,
                   **{f"for {other}": token for other, token in good.items() if token != good[access]}}
            for number, token in enumerate(users if access in ("user", "person") else [good[access]]):
                header, payload, signature = token.split(".")
                bad |= {f"tampered {number}": f"{header}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
                        f"of another key {number}": f"{header}.{payload}.{base64url(stranger.sign(f'{header}.{payload}'.encode()))}",
                        f"unsigned {number}": f"{unsigned}.{payload}."}
            for kind, token in bad.items():
                with self.subTest(f"{method} {path}: {kind}"):
                    self.exchange(method, path, 401, token=token, id=nobody, key=nobody)

    def test_operation(self):
        for path in ("/healthz", "/readyz", "/.well-known/jwks.json"):
            self.exchange("GET", path, 200)
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=20)
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.assertEqual(response.status, 200)
        self.assertTrue(response.getheader("Content-Type").startswith("text/plain"))
        for name in ("higgs_http_requests_total", "higgs_relay_sessions", "higgs_store_up 1", "higgs_nodes"):
            self.assertIn(name, text)


if __name__ == "__main__":
    unittest.main()
