"""An endless download that says when bytes came, and whether they are the right ones."""
import threading
import time

from lab import lab as places
from lab.services import STREAM_BLOCK, STREAM_WORD


class Stream:
    """A download in this process over one TCP connection of the client's computer: when bytes came, and whether they are right."""

    def __init__(self, host):
        self._socket = host.socket()
        self._socket.settimeout(30)
        self._socket.connect((places.WEB, places.WEB_PORT))
        self._socket.sendall(b"GET /stream HTTP/1.1\r\nHost: web\r\n\r\n")
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._socket.recv(1 << 16)
        self._rest = self._rest.split(b"\r\n\r\n", 1)[1]
        self.position, self.failure, self.moments, self._stopping = 0, None, [], False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stopping:
                self._take(self._socket.recv(1 << 18))
        except OSError as error:
            self.failure = self.failure or error

    def _take(self, block):
        if not block:
            raise ConnectionError("the stream ended")
        self.moments.append(time.monotonic())
        self._rest += block
        whole = len(self._rest) // STREAM_WORD.size * STREAM_WORD.size
        for at in range(-self.position % STREAM_BLOCK, whole, STREAM_BLOCK):
            if STREAM_WORD.unpack_from(self._rest, at)[0] != (self.position + at) // STREAM_BLOCK:
                raise ConnectionError(f"wrong bytes at {self.position + at}")
        self.position, self._rest = self.position + whole, self._rest[whole:]

    def stop(self):
        self._stopping = True
        self._thread.join(31)
        self._socket.close()

    def longest_gap(self, begin, end):
        """Seconds without progress that began in that time."""
        inside = [begin, *(moment for moment in self.moments if begin <= moment)]
        return max((after - before for before, after in zip(inside, inside[1:]) if before < end), default=end - begin)
