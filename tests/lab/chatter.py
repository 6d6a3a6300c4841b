#!/usr/bin/python3
"""A talkative computer: until it is killed it sends all that could leak, IPv4 and IPv6, again and again.

Ordinary UDP and TCP to the web site, DNS to the configured resolver and to others, DNS over TLS, pings, mDNS; packets of
programs that insist on the physical interface; and what only looks like DHCP, neighbour discovery or MLD.
"""
import os
import socket
import struct
import sys
import time

INTERFACE = sys.argv[1] if len(sys.argv) > 1 else "eth0"
ROUTER = sys.argv[2] if len(sys.argv) > 2 else "10.1.0.1"
PERIOD = 0.02
QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04leak\x03lab\x04test\x00\x00\x01\x00\x01"
SO_BINDTODEVICE = 25
WEB, WEB6 = "203.0.113.80", "2001:db8::80"
ECHO_REQUEST, ECHO_REQUEST6, SOLICITATION6, LISTENER_REPORT6 = 8, 128, 135, 143


def resolvers():
    with open("/etc/resolv.conf", encoding="ascii") as lines:
        return [line.split()[1] for line in lines if line.startswith("nameserver")]


def is_v6(address):
    return ":" in address


def made(address, kind, protocol, device):
    """A socket for that address, of a program that insists on a device if one is given."""
    made = socket.socket(socket.AF_INET6 if is_v6(address) else socket.AF_INET, kind, protocol)
    if device:
        made.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
    made.setblocking(False)
    return made


def datagram(address, port, device=None, source=0):
    with made(address, socket.SOCK_DGRAM, 0, device) as udp:
        if source:
            udp.bind(("", source))
        udp.sendto(QUERY, (address, port))


def connection(address, device=None, port=80):
    with made(address, socket.SOCK_STREAM, 0, device) as tcp:
        tcp.connect_ex((address, port))


def icmp(address, kind, device=None, hops=64):
    v6 = is_v6(address)
    message = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1) + QUERY[:16]
    if not v6:  # the kernel does it for ICMPv6
        total = sum(struct.unpack(f"!{len(message) // 2}H", message))
        total = (total & 0xFFFF) + (total >> 16)
        message = message[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + message[4:]
    with made(address, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP, device) as raw:
        if v6:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        raw.sendto(message, (address, 0))


def attempts():
    for device in (None, INTERFACE):
        for address, request in ((WEB, ECHO_REQUEST), (WEB6, ECHO_REQUEST6)):
            yield lambda device=device, address=address: datagram(address, 9, device)
            yield lambda device=device, address=address: connection(address, device)
            yield lambda device=device, address=address: connection(address, device, 853)
            yield lambda device=device, address=address, request=request: icmp(address, request, device)
        for group in ("224.0.0.251", "ff02::fb"):
            yield lambda device=device, group=group: datagram(group, 5353, device)
    yield lambda: datagram("203.0.113.54", 53)
    yield lambda: datagram(ROUTER, 53)
    yield lambda: icmp(ROUTER, ECHO_REQUEST)
    yield from (lambda address=address: datagram(address, 53) for address in resolvers())
    yield lambda: datagram(WEB, 67, INTERFACE)
    yield lambda: datagram(WEB, 9, INTERFACE, source=68)
    yield lambda: datagram(WEB6, 547, INTERFACE)
    yield lambda: datagram(WEB6, 9, INTERFACE, source=546)
    yield lambda: icmp(WEB6, SOLICITATION6, INTERFACE)
    yield lambda: icmp(WEB6, LISTENER_REPORT6, INTERFACE, hops=255)


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
