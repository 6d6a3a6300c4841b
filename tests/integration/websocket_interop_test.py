"""Our WebSocket against python3-websockets, in both roles, over TLS on the loopback."""
import asyncio
import base64
import hashlib
import json
import os
import ssl
import subprocess
import tempfile
import unittest

import websockets

PEER = os.path.join(os.environ.get("HIGGS_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/bin")), "websocket_peer")
LIMIT = 60


def self_signed(folder):
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)
    public = subprocess.run(["openssl", "x509", "-in", certificate, "-pubkey", "-noout"], check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True, capture_output=True).stdout
    return key, certificate, "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class OurServer(unittest.TestCase):
    def setUp(self):
        self.peer = subprocess.Popen([PEER, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = f"wss://127.0.0.1:{json.loads(self.peer.stdout.readline())['port']}/"

    def tearDown(self):
        self.peer.communicate(timeout=LIMIT)
        self.assertEqual(self.peer.returncode, 0)

    def talk(self, conversation, **options):
        async def whole():
            async with websockets.connect(self.url, ssl=unverified(), subprotocols=["echo"], **options) as connection:
                await conversation(connection)
        asyncio.run(asyncio.wait_for(whole(), LIMIT))

    def test_messages_of_every_size(self):
        async def conversation(connection):
            self.assertEqual(connection.subprotocol, "echo")
            self.assertEqual(connection.extensions, [])  # permessage-deflate was offered and is not spoken
            for size in (0, 1, 125, 126, 1500, 65535, 65536):
                message = bytes(i * 31 % 256 for i in range(size))
                await connection.send(message)
                self.assertEqual(await connection.recv(), message)
            await connection.send("täxt \U0001f642")
            self.assertEqual(await connection.recv(), "täxt \U0001f642")
            await (await connection.ping(b"are you there"))
        self.talk(conversation)

    def test_fragments(self):
        async def conversation(connection):
            await connection.send([b"a" * 1000, b"", b"b" * 30000, b"c"])
            self.assertEqual(await connection.recv(), b"a" * 1000 + b"b" * 30000 + b"c")
            await connection.send(["t", "\xe4", "xt"])
            self.assertEqual(await connection.recv(), "t\xe4xt")
        self.talk(conversation)

    def test_too_large_is_1009(self):
        async def conversation(connection):
            await connection.send(b"x" * 65537)
            with self.assertRaises(websockets.ConnectionClosed) as closed:
                await connection.recv()
            self.assertEqual(closed.exception.rcvd.code, 1009)
        self.talk(conversation)

    def test_close_with_a_code_of_ours(self):
        async def conversation(connection):
            await connection.send("close me")
            with self.assertRaises(websockets.ConnectionClosed) as closed:
                await connection.recv()
            self.assertEqual((closed.exception.rcvd.code, closed.exception.rcvd.reason), (4001, "replaced"))
        self.talk(conversation)

    def test_without_tls_or_upgrade_there_is_nothing(self):
        async def plain():
            with self.assertRaises((OSError, websockets.InvalidHandshake, websockets.ConnectionClosed)):
                await websockets.connect(self.url.replace("wss", "ws"))
        asyncio.run(asyncio.wait_for(plain(), LIMIT))


class OurClient(unittest.TestCase):
    def ask(self, handler, tamper=None):
        async def whole():
            with tempfile.TemporaryDirectory() as folder:
                key, certificate, pin = self_signed(folder)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, key)
                async with websockets.serve(handler, "127.0.0.1", 0, ssl=context, subprotocols=["echo"]) as server:
                    url = f"wss://localhost:{server.sockets[0].getsockname()[1]}/"
                    process = await asyncio.create_subprocess_exec(
                        PEER, "connect", url, tamper(pin) if tamper else pin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    out, err = await process.communicate()
                    return process.returncode, out.decode(), err.decode()
        return asyncio.run(asyncio.wait_for(whole(), LIMIT))

    def test_echo_and_close(self):
        async def echo(connection):
            async for message in connection:
                await connection.send(message)
        status, out, err = self.ask(echo)
        self.assertEqual(status, 0, out + err)
        self.assertEqual(json.loads(out), {"messages": 7, "close_code": 1000})

    def test_fragmented_answers(self):
        async def echo(connection):
            async for message in connection:
                half = len(message) // 2
                await connection.send([message[:half], message[half:]] if message else message)
        status, out, err = self.ask(echo)
        self.assertEqual(status, 0, out + err)

    def test_another_key_is_refused(self):
        async def echo(connection):
            await connection.wait_closed()
        other = "sha256/" + base64.b64encode(bytes(32)).decode()
        status, out, err = self.ask(echo, tamper=lambda pin: other)
        self.assertEqual(status, 1, out + err)
        self.assertIn("not trusted", err)


if __name__ == "__main__":
    unittest.main()
