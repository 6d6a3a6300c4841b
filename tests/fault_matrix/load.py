#!/usr/bin/python3
"""Logins and routing requests at a steady pace against several servers, each noted as a JSON line when it has ended.

A login is a new one each time; a routing request opens a session and, when that was acknowledged, ends it. Each server
gets its share, whatever becomes of the others: who fails is what is measured. Ends at SIGTERM, with what is under way
finished.
"""
import argparse
import base64
import http.client
import json
import os
import queue
import signal
import ssl
import threading
import time
import uuid

WORKERS, TIMEOUT = 24, 5
TOKEN_SECONDS = 300


def key():
    """A WireGuard public key that nobody has the other half of."""
    return base64.b64encode(os.urandom(31) + b"\x40").decode()


class Servers:
    """Kept connections of one thread."""

    def __init__(self, servers):
        self._servers, self._kept = servers, {}
        # The certificates are self-signed, and what is measured here is not their proof.
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def call(self, server, method, path, body=None, token=None):
        """(status, body) or (0, reason). A kept connection may have died with its server, and is made anew once, as every client does."""
        kept = self._kept.pop(server, None)
        if kept is not None:
            answer = self._exchange(kept, server, method, path, body, token)
            if answer[0] != 0 or "timed out" in answer[1]:
                return answer
        host, port = self._servers[server].rsplit(":", 1)
        return self._exchange(http.client.HTTPSConnection(host, int(port), timeout=TIMEOUT, context=self._tls), server, method, path, body, token)

    def _exchange(self, connection, server, method, path, body, token):
        try:
            headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
            connection.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read()
            self._kept[server] = connection
            return response.status, json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError) as problem:
            connection.close()
            return 0, f"{type(problem).__name__}: {problem}"


class Load:
    def __init__(self, arguments):
        self._servers = dict(word.split("=", 1) for word in arguments.server)
        self._user, self._password, self._rates = arguments.user, arguments.password, {"login": arguments.logins, "route": arguments.routes}
        self._jobs, self._stopping, self._lock = queue.Queue(), threading.Event(), threading.Lock()
        self._out = open(arguments.log, "w", encoding="utf-8", buffering=1)
        self._tokens = {}
        signal.signal(signal.SIGTERM, lambda *_: self._stopping.set())

    def _note(self, **event):
        with self._lock:
            self._out.write(json.dumps(event) + "\n")

    def _login(self, http_, server):
        status, body = http_.call(server, "POST", "/auth/login", {"username": self._user, "password": self._password})
        return status == 200, status, body.get("refreshToken") if status == 200 else body

    def _route(self, http_, server):
        status, body = http_.call(server, "POST", "/routing/request", {
            "clientId": str(uuid.uuid4()), "wireguardPublicKey": key(), "targetNodeId": None, "requirements": {},
            "clientNetworkInfo": {"ipv4": None, "ipv6": None, "natType": "Unknown", "stunMappedAddress": None}}, self._token)
        if status != 200:
            return False, status, body
        session = body["selectedRoute"]["sessionId"]
        ended, why = http_.call(server, "DELETE", f"/sessions/{session}", token=self._token)
        return ended in (204, 404), ended, session if ended in (204, 404) else why

    def _work(self):
        http_ = Servers(self._servers)
        while True:
            job = self._jobs.get()
            if job is None:
                return
            kind, server, begun = job
            good, status, what = (self._login if kind == "login" else self._route)(http_, server)
            self._note(kind=kind, server=server, begin=begun, end=time.time(), ok=good, status=status, what=what)

    def _renew(self):
        """A token for the routing requests, from whichever server gives one."""
        http_ = Servers(self._servers)
        for server in self._servers:
            good, _, body = self._login(http_, server)
            if good:
                status, answer = http_.call(server, "POST", "/auth/refresh", {"refreshToken": body})
                if status == 200:
                    self._token = answer["accessToken"]
                    return
        raise SystemExit("no server lets us in")

    def run(self):
        self._renew()
        workers = [threading.Thread(target=self._work) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        print("running", flush=True)
        names, due, count = list(self._servers), {kind: time.monotonic() for kind in self._rates}, 0
        while not self._stopping.is_set():
            kind = min(due, key=due.get)
            if self._stopping.wait(max(0.0, due[kind] - time.monotonic())):
                break
            due[kind] += 1 / self._rates[kind]
            count += 1
            self._jobs.put((kind, names[count % len(names)], time.time()))
        for _ in workers:
            self._jobs.put(None)
        for worker in workers:
            worker.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="append", required=True, metavar="NAME=HOST:PORT")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--logins", type=float, default=5, help="a second")
    parser.add_argument("--routes", type=float, default=50, help="a second")
    parser.add_argument("--log", required=True)
    Load(parser.parse_args()).run()


if __name__ == "__main__":
    main()
