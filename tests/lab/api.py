"""The REST API, spoken by hand: for tests of what a well-behaved program would never send."""
import base64
import collections
import http.client
import json
import os
import ssl
import uuid

from lab.programs import SERVER_PORT, URL

Answer = collections.namedtuple("Answer", "status body headers")
FOREVER = 4102444800


def call(host, method, path, body=None, token=None, headers=None, url=URL):
    """One request from that host to the server of that URL. The body may be bytes to send them as they are."""
    raw = body if isinstance(body, bytes) else (json.dumps(body).encode() if body is not None else None)
    command = ["curl", "-k", "-sS", "-i", "--http1.1", "--max-time", "20", "-X", method, f"{url}{path}", "-H", "Expect:"]
    for name, value in {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}.items():
        command += ["-H", f"{name}: {value}"]
    if raw is not None:
        request = os.path.join(host.dir, "request.body")
        with open(request, "wb") as out:
            out.write(raw)
        command += ["-H", "Content-Type: application/json", "--data-binary", f"@{request}"]
    text = host.run(*command, timeout=30).stdout
    head, _, content = text.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    try:
        parsed = json.loads(content) if content.strip() else None
    except json.JSONDecodeError:
        parsed = content
    return Answer(int(lines[0].split()[1]), parsed, fields)


def login(host, user, password, url=URL):
    return call(host, "POST", "/api/v1/auth/login", {"username": user, "password": password}, url=url)


def routing_request(node_id=None):
    """As higgsvpn asks for a session, with a WireGuard key that nobody has the other half of."""
    return {"clientId": str(uuid.uuid4()), "wireguardPublicKey": base64.b64encode(os.urandom(32)).decode(), "targetNodeId": node_id,
            "requirements": {"minBandwidth": None, "maxLatency": None, "preferredLocation": None, "preferredCountry": None},
            "clientNetworkInfo": {"ipv4": None, "ipv6": None, "natType": "Unknown", "stunMappedAddress": None}}


def request_route(host, access_token, node_id=None, url=URL):
    return call(host, "POST", "/api/v1/routing/request", routing_request(node_id), token=access_token, url=url)


def jwt_part(token, index):
    part = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def jwt_encode(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def register(host, identity, **parts):
    """Registers a node; `parts` as in Identity.registration()."""
    challenge = call(host, "POST", "/api/v1/nodes/challenge", {})
    body, headers = identity.registration(URL, challenge.body["nonce"], **parts)
    return call(host, "POST", "/api/v1/nodes/register", body, headers=headers)


class Connection:
    """A kept connection from that host to a server's API: an answer takes as long as the server takes, and no process more."""

    def __init__(self, host, server):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = host.socket()
        raw.settimeout(20)
        raw.connect((server.address, SERVER_PORT))
        self._http = http.client.HTTPSConnection(server.address, SERVER_PORT, context=context)
        self._http.auto_open = False  # it would be opened from here, not from that host
        self._http.sock = context.wrap_socket(raw)

    def call(self, method, path, body=None, token=None):
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._http.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, headers)
        answer = self._http.getresponse()
        text = answer.read()
        return Answer(answer.status, json.loads(text) if text else None, dict(answer.getheaders()))

    def close(self):
        self._http.close()
