#!/usr/bin/python3
"""A router that maps whatever it is asked for by NAT-PMP (RFC 6886), to the outside address it is told:  ADDRESS:PORT OUTSIDE"""
import socket
import struct
import sys
import time


def main():
    address, _, port = sys.argv[1].rpartition(":")
    outside, started = socket.inet_aton(sys.argv[2]), time.monotonic()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, int(port)))
    while True:
        request, peer = server.recvfrom(1100)
        epoch = int(time.monotonic() - started)
        if request[:2] == b"\0\0":
            server.sendto(struct.pack("!BBHI4s", 0, 128, 0, epoch, outside), peer)
        elif request[:2] == b"\0\1" and len(request) == 12:
            inside, wished, lifetime = struct.unpack("!HHI", request[4:])
            server.sendto(struct.pack("!BBHIHHI", 0, 129, 0, epoch, inside, wished or inside, lifetime), peer)
        elif request[:1] != b"\0":
            server.sendto(struct.pack("!BBHI", 0, 128 | request[1] & 127, 1, epoch), peer)  # it knows no other version


main()
