#!/usr/bin/python3
"""A talkative computer: until it is killed it sends all that could leak, IPv4 and IPv6, again and again.

Ordinary UDP and TCP to the web site, DNS to the configured resolver and to others, pings by UDP to the home router,
and packets of a program that insists on the physical interface.
"""
import os
import socket
import sys
import time

INTERFACE = sys.argv[1] if len(sys.argv) > 1 else "eth0"
ROUTER = sys.argv[2] if len(sys.argv) > 2 else "10.1.0.1"
PERIOD = 0.02
QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04leak\x03lab\x04test\x00\x00\x01\x00\x01"
SO_BINDTODEVICE = 25


def resolvers():
    with open("/etc/resolv.conf", encoding="ascii") as lines:
        return [line.split()[1] for line in lines if line.startswith("nameserver")]


def datagram(address, port, device=None):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        if device:
            udp.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        udp.setblocking(False)
        udp.sendto(QUERY, (address, port))


def connection(address, device=None):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as tcp:
        if device:
            tcp.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        tcp.setblocking(False)
        tcp.connect_ex((address, 80))


def attempts():
    yield lambda: datagram("203.0.113.80", 9)
    yield lambda: datagram("2001:db8::80", 9)
    yield lambda: connection("203.0.113.80")
    yield lambda: connection("2001:db8::80")
    yield lambda: datagram("203.0.113.54", 53)
    yield lambda: datagram(ROUTER, 53)
    yield from (lambda address=address: datagram(address, 53) for address in resolvers())
    yield lambda: datagram("203.0.113.80", 9, INTERFACE)
    yield lambda: datagram("2001:db8::80", 9, INTERFACE)
    yield lambda: connection("203.0.113.80", INTERFACE)


def main():
    parent = os.getppid()
    while os.getppid() == parent:
        for attempt in attempts():
            try:
                attempt()
            except OSError:
                pass  # refused, unreachable, forbidden: exactly what a kill switch answers
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()
