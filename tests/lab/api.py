"""The REST API and a node's identity, spoken by hand: for tests of what a well-behaved program would never send."""
import base64
import collections
import hashlib
import json
import os
import time
import uuid

from lab.programs import URL

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


def request_route(host, access_token, node_id=None, url=URL):
    """Asks for a session as higgsvpn does, with a WireGuard key that nobody has the other half of."""
    return call(host, "POST", "/api/v1/routing/request", {
        "clientId": str(uuid.uuid4()), "wireguardPublicKey": base64.b64encode(os.urandom(32)).decode(), "targetNodeId": node_id,
        "requirements": {"minBandwidth": None, "maxLatency": None, "preferredLocation": None, "preferredCountry": None},
        "clientNetworkInfo": {"ipv4": None, "ipv6": None, "natType": "Unknown", "stunMappedAddress": None}}, token=access_token, url=url)


def jwt_part(token, index):
    part = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def jwt_encode(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


class Identity:
    """An Ed25519 key pair made and used by openssl on that host."""

    def __init__(self, host):
        self._host, self._key = host, os.path.join(host.dir, f"identity-{uuid.uuid4()}.pem")
        host.run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self._key)
        public = host.run("sh", "-c", f"openssl pkey -in {self._key} -pubout -outform DER | base64 -w0").stdout
        self.public = base64.b64decode(public)[-32:]

    @property
    def node_id(self):
        digest = bytearray(hashlib.sha256(self.public).digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        return str(uuid.UUID(bytes=bytes(digest)))

    def sign(self, data):
        message = self._key + ".message"
        with open(message, "wb") as out:
            out.write(data)
        return base64.b64decode(self._host.run("sh", "-c", f"openssl pkeyutl -sign -inkey {self._key} -rawin -in {message} | base64 -w0").stdout)

    def key_certificate(self, wireguard_key, sequence=1, not_after=None):
        """The node's word for its WireGuard key (docs/architecture.md, "Key certificate")."""
        not_after = not_after or int(time.time()) + 86400
        policy = {"blockedPorts": [25, 465, 587], "logging": "none", "monthlyQuotaGib": None, "privateNetworks": False, "rateLimitMbps": None}
        canonical = json.dumps(policy, sort_keys=True, separators=(",", ":")).encode()
        signed = (b"higgs-key-certificate-v1\0" + wireguard_key + sequence.to_bytes(8, "big") + not_after.to_bytes(8, "big")
                  + hashlib.sha256(canonical).digest())
        return {"identityKey": base64.b64encode(self.public).decode(), "wireguardPublicKey": base64.b64encode(wireguard_key).decode(),
                "sequence": sequence, "notAfter": not_after, "exitPolicy": policy, "signature": base64.b64encode(self.sign(signed)).decode()}


def register(host, identity, node_id=None, signer=None, certificate=None, identity_key=None):
    """Registers a node; every part of the proof can be replaced by somebody else's."""
    challenge = call(host, "POST", "/api/v1/nodes/challenge", {})
    nonce = challenge.body["nonce"]
    wireguard_key = os.urandom(32)
    certificate = certificate or identity.key_certificate(wireguard_key)
    body = json.dumps({
        "nodeId": node_id or identity.node_id, "publicKey": certificate["wireguardPublicKey"],
        "identityKey": identity_key or base64.b64encode(identity.public).decode(), "nonce": nonce,
        "keyCertificate": certificate, "tunnelPrefixes": ["10.91.0.0/16", "fd00:91::/64"],
        "networkInfo": {"ipv4": "192.0.2.1", "ipv6": None, "natType": "Unknown", "stunMappedAddress": None, "localPort": 51820},
        "capabilities": {"maxConnections": 10, "bandwidth": {"up": 10, "down": 10}, "routing": True, "natting": True},
        "metrics": {"latency": 1, "jitter": 0, "packetLoss": 0, "cpuUsage": 1, "memoryUsage": 1},
        "location": {"country": "FR", "region": "", "coordinates": None}, "heartbeatInterval": 30}).encode()
    proof = (signer or identity).sign(b"higgs-register-v1" + URL.encode() + nonce.encode() + hashlib.sha256(body).digest())
    return call(host, "POST", "/api/v1/nodes/register", body, headers={"Higgs-Signature": base64.b64encode(proof).decode()})
