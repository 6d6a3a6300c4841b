#!/usr/bin/python3
"""The services of the laboratory's hosts in one process: web site, banners, DNS. Each request is noted as a JSON line.

  GET /ip        the address that the request came from
  GET /payload   a file, with Range; ?until=TIME spreads what is asked for evenly over the time until then (seconds since 1970)
  GET /hello     a short text
  GET /stream    numbered blocks at a steady pace until the other side hangs up
  whoami         a TCP service: the address that the connection came from, a line, and the end
  UDP echo       the datagram, back to where it came from
"""
import argparse
import http.server
import itertools
import json
import os
import re
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

STREAM_WORD, STREAM_BLOCK, STREAM_EVERY = struct.Struct("!Q"), 32 * 1024, 0.01
PACE = 0.01  # seconds between two pieces of what is spread over a time
LOG_LOCK = threading.Lock()
ADDRESSES = {"web.lab.test": ("203.0.113.80", "2001:db8::80")}


def split(text):
    """"[::1]:80" or "127.0.0.1:80" as (family, address, port)."""
    address, _, port = text.rpartition(":")
    address = address.strip("[]")
    return socket.AF_INET6 if ":" in address else socket.AF_INET, address, int(port)


def note(log, **event):
    if log:
        with LOG_LOCK, open(log, "a", encoding="utf-8") as out:
            out.write(json.dumps({"time": time.time(), **event}) + "\n")


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    payload = log = None

    def do_GET(self):
        note(self.log, kind="http", path=self.path, source=self.client_address[0], host=self.server.server_address[0])
        if self.path == "/ip":
            self._text(self.client_address[0])
        elif (url := urllib.parse.urlsplit(self.path)).path == "/payload" and self.payload:
            self._file(float(dict(urllib.parse.parse_qsl(url.query)).get("until", 0)))
        elif self.path == "/stream":
            self._stream()
        elif self.path == "/hello":
            self._text("hello")
        else:
            self.send_error(404)

    def _text(self, text):
        body = (text + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, until):
        size = os.path.getsize(self.payload)
        first, last = 0, size - 1
        # Of an empty file there is no range, only the whole.
        wanted = size and re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not size:
            time.sleep(max(0.0, until - time.time()))
        if wanted:
            first = int(wanted.group(1))
            last = min(int(wanted.group(2) or last), last)
            if first > last:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(last - first + 1))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        self.wfile.flush()
        begun, origin = time.time(), first
        with open(self.payload, "rb") as source:
            while first <= last:
                now, end = time.time(), last + 1
                if now < until:
                    end = origin + int((end - origin) * (now - begun) / (until - begun))
                if first < end:
                    first += os.sendfile(self.connection.fileno(), source.fileno(), first, min(end - first, 1 << 20))
                else:
                    time.sleep(PACE)

    def _stream(self):
        """Block n is the number n again and again."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        begun = time.monotonic()
        for number in itertools.count():
            try:
                self.wfile.write(STREAM_WORD.pack(number) * (STREAM_BLOCK // STREAM_WORD.size))
            except OSError:
                return
            time.sleep(max(0.0, begun + (number + 1) * STREAM_EVERY - time.monotonic()))

    def log_message(self, *_):
        pass


class Banner(socketserver.BaseRequestHandler):
    """Says hello like a mail server would, and hangs up."""

    log = None

    def handle(self):
        note(self.log, kind="banner", source=self.client_address[0], port=self.server.server_address[1])
        self.request.sendall(b"220 lab\r\n")


class WhoAmI(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.client_address[0].encode() + b"\n")


def make_server(kind, text, handler):
    family, address, port = split(text)
    server = type("Server", (kind,), {"address_family": family, "allow_reuse_address": True, "daemon_threads": True, "request_queue_size": 128})
    threading.Thread(target=server((address, port), handler).serve_forever, daemon=True).start()


def dns_answer(query):
    """The answer to one query and what was asked: (bytes, name, type), or None for what is no query."""
    if len(query) < 17 or query[2] & 0x80 or struct.unpack("!H", query[4:6])[0] != 1:
        return None
    labels, position = [], 12
    while position < len(query) and query[position]:
        labels.append(query[position + 1:position + 1 + query[position]].decode("ascii", "replace"))
        position += 1 + query[position]
    question = query[12:position + 5]
    if len(question) < 5:
        return None
    name, kind = ".".join(labels).lower(), struct.unpack("!H", question[-4:-2])[0]
    known, record = ADDRESSES.get(name), b""
    if known and kind == 1:
        record = socket.inet_pton(socket.AF_INET, known[0])
    elif known and kind == 28:
        record = socket.inet_pton(socket.AF_INET6, known[1])
    header = query[:2] + struct.pack("!HHHHH", 0x8180 | (0 if known else 3), 1, 1 if record else 0, 0, 0)
    body = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(record)) + record if record else b""
    return header + question + body, name, kind


def serve_dns(address, log):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((address, 53))

    def loop():
        while True:
            query, source = udp.recvfrom(4096)
            answer = dns_answer(query)
            if answer:
                note(log, kind="dns", source=source[0], server=address, name=answer[1], type=answer[2])
                udp.sendto(answer[0], source)

    threading.Thread(target=loop, daemon=True).start()


def serve_udp_echo(text, log):
    family, address, port = split(text)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((address, port))

    def loop():
        while True:
            datagram, source = udp.recvfrom(4096)
            note(log, kind="udp", source=source[0], port=port, text=datagram.decode("ascii", "replace"))
            udp.sendto(datagram, source)

    threading.Thread(target=loop, daemon=True).start()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", action="append", default=[])
    parser.add_argument("--banner", action="append", default=[])
    parser.add_argument("--whoami", action="append", default=[])
    parser.add_argument("--dns", action="append", default=[])
    parser.add_argument("--udp-echo", action="append", default=[])
    parser.add_argument("--payload")
    parser.add_argument("--log")
    arguments = parser.parse_args()
    Site.payload, Site.log, Banner.log = arguments.payload, arguments.log, arguments.log
    for text in arguments.http:
        make_server(http.server.ThreadingHTTPServer, text, Site)
    for text in arguments.banner:
        make_server(socketserver.ThreadingTCPServer, text, Banner)
    for text in arguments.whoami:
        make_server(socketserver.ThreadingTCPServer, text, WhoAmI)
    for address in arguments.dns:
        serve_dns(address, arguments.log)
    for text in arguments.udp_echo:
        serve_udp_echo(text, arguments.log)
    threading.Event().wait()


if __name__ == "__main__":
    main()
