"""A node's identity: an Ed25519 key, what it signs, and the registration that proves it (SPEC 2).

The signatures are libcrypto's, called without a process of their own: a storm of registrations needs many.
"""
import base64
import ctypes
import hashlib
import json
import os
import time
import uuid

_ED25519 = 1087  # EVP_PKEY_ED25519
_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_PKEY_new_raw_private_key", "EVP_MD_CTX_new"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_crypto.EVP_PKEY_new_raw_private_key.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
_crypto.EVP_PKEY_get_raw_public_key.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t)]
_crypto.EVP_DigestSignInit.argtypes = [ctypes.c_void_p] * 5
_crypto.EVP_DigestSign.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t), ctypes.c_char_p, ctypes.c_size_t]
_crypto.EVP_MD_CTX_free.argtypes = _crypto.EVP_PKEY_free.argtypes = [ctypes.c_void_p]
_crypto.EVP_MD_CTX_free.restype = _crypto.EVP_PKEY_free.restype = None


def _checked(good):
    if not good:
        raise RuntimeError("libcrypto cannot do Ed25519")
    return good


def text(data):
    return base64.b64encode(data).decode()


class Identity:
    """A new key pair."""

    def __init__(self):
        self._key = _checked(_crypto.EVP_PKEY_new_raw_private_key(_ED25519, None, os.urandom(32), 32))
        public, length = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
        _checked(_crypto.EVP_PKEY_get_raw_public_key(self._key, public, length) == 1)
        self.public = public.raw

    def __del__(self):
        _crypto.EVP_PKEY_free(self._key)

    @property
    def node_id(self):
        digest = bytearray(hashlib.sha256(self.public).digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        return str(uuid.UUID(bytes=bytes(digest)))

    def sign(self, data):
        context = _checked(_crypto.EVP_MD_CTX_new())
        try:
            signature, length = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
            _checked(_crypto.EVP_DigestSignInit(context, None, None, None, self._key) == 1
                     and _crypto.EVP_DigestSign(context, signature, length, data, len(data)) == 1)
            return signature.raw
        finally:
            _crypto.EVP_MD_CTX_free(context)

    def key_certificate(self, wireguard_key, sequence=1, not_after=None):
        """The node's word for its WireGuard key (docs/architecture.md, "Key certificate")."""
        not_after = not_after or int(time.time()) + 86400
        policy = {"blockedPorts": [25, 465, 587], "logging": "none", "monthlyQuotaGib": None, "privateNetworks": False, "rateLimitMbps": None}
        canonical = json.dumps(policy, sort_keys=True, separators=(",", ":")).encode()
        signed = (b"higgs-key-certificate-v1\0" + wireguard_key + sequence.to_bytes(8, "big") + not_after.to_bytes(8, "big")
                  + hashlib.sha256(canonical).digest())
        return {"identityKey": text(self.public), "wireguardPublicKey": text(wireguard_key), "sequence": sequence, "notAfter": not_after,
                "exitPolicy": policy, "signature": text(self.sign(signed))}

    def registration(self, origin, nonce, node_id=None, signer=None, certificate=None, identity_key=None):
        """(body, headers) of a registration; every part of the proof can be replaced by somebody else's."""
        certificate = certificate or self.key_certificate(os.urandom(32))
        body = json.dumps({
            "nodeId": node_id or self.node_id, "publicKey": certificate["wireguardPublicKey"],
            "identityKey": identity_key or text(self.public), "nonce": nonce,
            "keyCertificate": certificate, "tunnelPrefixes": ["10.91.0.0/16", "fd00:91::/64"],
            "networkInfo": {"ipv4": "192.0.2.1", "ipv6": None, "natType": "Unknown", "stunMappedAddress": None, "localPort": 51820},
            "capabilities": {"maxConnections": 10, "bandwidth": {"up": 10, "down": 10}, "routing": True, "natting": True},
            "metrics": {"latency": 1, "jitter": 0, "packetLoss": 0, "cpuUsage": 1, "memoryUsage": 1},
            "location": {"country": "FR", "region": "", "coordinates": None}, "heartbeatInterval": 30}).encode()
        proof = (signer or self).sign(b"higgs-register-v1" + origin.encode() + nonce.encode() + hashlib.sha256(body).digest())
        return body, {"Higgs-Signature": text(proof)}
