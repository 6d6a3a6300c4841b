#!/usr/bin/python3
"""A collector of traces (OTLP/HTTP, JSON), and what it was sent. Run as a program it is the service; imported, its reader.

It answers as the file MODE says: "take", "busy" (503), "silent" (takes the request and never answers).
"""
import argparse
import http.server
import json
import os
import sys
import threading

from lab.host import wait_for_listener

PORT = 4318


class Collector:
    """The service on one host; `url` is what programs are configured with."""

    def __init__(self, host, address):
        self.host, self.address, self.url = host, address, f"http://{address}:{PORT}"
        self._mode, self._log = (os.path.join(host.dir, f"collector.{name}") for name in ("mode", "log"))
        self._process = None
        self.answer("take")
        self.start()

    def start(self):
        self._process = self.host.popen(sys.executable, "-m", "lab.collector", self.address, self._mode, self._log, log="collector.out",
                                        env={"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__)))})
        wait_for_listener(self.host, PORT, "tcp")

    def stop(self):
        self._process.kill()
        self._process.wait()

    def answer(self, how):
        with open(self._mode, "w", encoding="ascii") as out:
            out.write(how)

    def requests(self):
        """Each as {"source", "path", "type", "answer", "body"}."""
        if not os.path.exists(self._log):
            return []
        with open(self._log, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def spans(self):
        """Those that were taken, with the service that sent them as `service` and attributes as a dictionary."""
        found = []
        for request in self.requests():
            for resource in request["body"]["resourceSpans"] if request["answer"] == "take" else []:
                service = attributes(resource["resource"])["service.name"]
                for scope in resource["scopeSpans"]:
                    found += [{**span, "service": service, "attributes": attributes(span)} for span in scope["spans"]]
        return found


def attributes(thing):
    return {item["key"]: next(iter(item["value"].values())) for item in thing.get("attributes", [])}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(self.server.mode, encoding="ascii") as mode:
            how = mode.read()
        with self.lock, open(self.server.log, "a", encoding="utf-8") as out:
            out.write(json.dumps({"source": self.client_address[0], "path": self.path, "type": self.headers["Content-Type"], "answer": how, "body": body}) + "\n")
        if how == "silent":
            threading.Event().wait()
        answer = b"{}"
        self.send_response(200 if how == "take" else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address, mode, log):
        super().__init__((address, PORT), Handler)
        self.mode, self.log = mode, log


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for word in ("address", "mode", "log"):
        parser.add_argument(word)
    words = parser.parse_args()
    Service(words.address, words.mode, words.log).serve_forever()
