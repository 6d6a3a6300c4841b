#!/usr/bin/python3
"""A download as fast as it goes: `serve ADDRESS PORT` sends without end, `take ADDRESS PORT LOG` reads and notes
"seconds bytes" four times a second (monotonic clock, bytes since the beginning). Either ends when it is killed."""
import socket
import sys
import time

BLOCK, EVERY = 1 << 20, 0.25


def serve(address, port):
    block = memoryview(bytes(BLOCK))
    with socket.create_server((address, port)) as listener:
        print("serving", flush=True)
        while True:
            peer, _ = listener.accept()
            try:
                while True:
                    peer.sendall(block)
            except OSError:
                peer.close()


def take(address, port, log):
    buffer, total, due = bytearray(BLOCK), 0, 0.0
    with socket.create_connection((address, port), 10) as peer, open(log, "w", encoding="ascii", buffering=1) as out:
        peer.settimeout(30)
        while count := peer.recv_into(buffer):
            total += count
            now = time.monotonic()
            if now >= due:
                out.write(f"{now} {total}\n")
                due = now + EVERY


if __name__ == "__main__":
    {"serve": serve, "take": take}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
