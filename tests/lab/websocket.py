"""A WebSocket client (RFC 6455) that also does what a good one must not."""
import base64
import os
import socket
import ssl
import struct

from lab.programs import RELAY

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    """The server answered the upgrade with another status."""

    def __init__(self, status, head):
        super().__init__(f"{status}")
        self.status, self.head = status, head


class WebSocket:
    """One link to the relay from that host."""

    def __init__(self, host, path, token, protocol="higgs-relay.1", timeout=10, relay=RELAY):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = host.socket(socket.AF_INET)
        raw.settimeout(timeout)
        raw.connect(relay)
        self._socket, self._buffer = context.wrap_socket(raw), b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {relay[0]}:{relay[1]}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        if status != 101:
            self.close()
            raise Refused(status, head.decode(errors="replace"))

    def _more(self):
        block = self._socket.recv(1 << 16)
        if not block:
            raise ConnectionError("closed")
        self._buffer += block

    def _take(self, count):
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def send(self, opcode, payload, masked=True, announced=None):
        """One whole message; `announced` is the length that the header claims."""
        length = len(payload) if announced is None else announced
        flag = 0x80 if masked else 0
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, flag | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, flag | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, flag | 127, length)
        mask = os.urandom(4) if masked else b""
        if masked:
            payload = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
        self._socket.sendall(head + mask + payload)

    def receive(self):
        """(opcode, payload) of the next frame; pings are answered and not shown."""
        while True:
            first, second = self._take(2)
            length = second & 0x7F
            if length == 126:
                length = struct.unpack("!H", self._take(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", self._take(8))[0]
            payload = self._take(length)
            if first & 0xF == PING:
                self.send(PONG, payload)
            elif first & 0xF != PONG:
                return first & 0xF, payload

    def set_timeout(self, seconds):
        """For what is received from now on; after TimeoutError the link is of no more use for reading."""
        self._socket.settimeout(seconds)

    def close_code(self):
        """Reads on until the other side closes; its code, or None when it just hung up."""
        try:
            while True:
                opcode, payload = self.receive()
                if opcode == CLOSE:
                    return struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
        except (ConnectionError, ssl.SSLError):
            return None

    def close(self):
        self._socket.close()
