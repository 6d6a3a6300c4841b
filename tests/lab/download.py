#!/usr/bin/python3
"""Downloads a URL, resuming with Range as often as it takes, and prints one JSON line with what came.

`--progress FILE` holds the number of bytes so far while it runs.
"""
import argparse
import hashlib
import http.client
import json
import socket
import time
import urllib.parse

BLOCK = 1 << 18


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--progress")
    parser.add_argument("--stall-seconds", type=float, default=3.0)
    parser.add_argument("--give-up-seconds", type=float, default=120.0)
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.url)
    digest, have, total, resumed, longest_gap = hashlib.sha256(), 0, None, 0, 0.0
    begun = last = time.monotonic()
    progress = open(arguments.progress, "r+b", buffering=0) if arguments.progress else None
    while total is None or have < total:
        if time.monotonic() - last > arguments.give_up_seconds:
            break
        connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=arguments.stall_seconds)
        try:
            connection.request("GET", f"{url.path}?{url.query}" if url.query else url.path, headers={"Range": f"bytes={have}-"})
            response = connection.getresponse()
            if response.status not in (200, 206):
                raise OSError(f"status {response.status}")
            total = have + response.length
            while block := response.read1(BLOCK):
                digest.update(block)
                have += len(block)
                now = time.monotonic()
                longest_gap, last = max(longest_gap, now - last), now
                if progress:
                    progress.seek(0)
                    progress.write(b"%020d" % have)
        except (OSError, http.client.HTTPException, socket.timeout):
            resumed += 1
        finally:
            connection.close()
    seconds = time.monotonic() - begun
    print(json.dumps({"bytes": have, "sha256": digest.hexdigest(), "seconds": seconds, "mbit_s": have * 8 / seconds / 1e6,
                      "resumed": resumed, "longest_gap_s": longest_gap}))


if __name__ == "__main__":
    main()
