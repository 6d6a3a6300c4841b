"""Captures on a host's interface, and what each packet in them is."""
import collections
import ctypes
import ipaddress
import mmap
import os
import socket
import struct
import threading

from lab import lab as places

Packet = collections.namedtuple("Packet", "time outgoing what detail")

ETH_IPV4, ETH_IPV6, ETH_ARP = 0x0800, 0x86DD, 0x0806
# RFC 4861: with another hop limit than 255 it is no neighbour discovery. RFC 2710 and 3810: MLD stays on the link, and goes to its groups.
NEIGHBOUR_DISCOVERY, MLD, LINK_GROUPS = {133, 134, 135, 136}, {130, 131, 132, 143}, ipaddress.ip_network("ff02::/16")
DHCP = {(68, 67), (67, 68), (546, 547), (547, 546)}
KEPT_BYTES = 128

# packet(7) and linux/if_packet.h: a ring that the kernel fills by itself, so that nothing is lost while we are slow.
SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, TPACKET_V2 = 263, 5, 6, 10, 1
ETH_P_ALL, PACKET_OUTGOING, SO_ATTACH_FILTER, BPF_RETURN = 3, 4, 26, 0x06
FRAME_BYTES, BLOCK_BYTES, BLOCKS = 256, 1 << 20, 64
HEADER = struct.Struct("=IIIHHII")  # tpacket2_hdr: status, length, kept, link header at, network at, seconds, nanoseconds
ADDRESS_AT, PACKET_TYPE_AT = 32, 10  # sockaddr_ll behind the header, and sll_pkttype in it
DRAIN_SECONDS = 0.02


class Capture:
    """Every packet of one interface from start to stop, classified afterwards.

    "relay": the TLS connection to a server, `relays` being their addresses and ports; "path": STUN, TURN's channel data or WireGuard between
    this host and the server or the node; "neighbours": ARP, ND and MLD; "dhcp"; "leak": all else.
    """

    def __init__(self, host, interface, relays, name="capture"):
        self._relays, self._path = relays, os.path.join(host.dir, f"{name}.pcap")
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        keep = ctypes.create_string_buffer(struct.pack("=HBBI", BPF_RETURN, 0, 0, KEPT_BYTES))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(keep)))
        frames = BLOCK_BYTES // FRAME_BYTES * BLOCKS
        self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("=IIII", BLOCK_BYTES, BLOCKS, FRAME_BYTES, frames))
        self._ring = mmap.mmap(self._socket.fileno(), BLOCK_BYTES * BLOCKS)
        self._frames, self._next, self._raw = frames, 0, []
        self._socket.bind((interface, ETH_P_ALL))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(DRAIN_SECONDS):
            self._drain()

    def _drain(self):
        """Takes what the kernel has put into the ring, and gives the room back."""
        while True:
            at = self._next * FRAME_BYTES
            status, length, kept, link_at, _, seconds, nanoseconds = HEADER.unpack_from(self._ring, at)
            if not status & 1:
                return
            outgoing = self._ring[at + ADDRESS_AT + PACKET_TYPE_AT] == PACKET_OUTGOING
            self._raw.append((seconds, nanoseconds, outgoing, length, self._ring[at + link_at:at + link_at + kept]))
            self._ring[at:at + 4] = bytes(4)
            self._next = (self._next + 1) % self._frames

    def stop(self):
        """Ends the capture and returns its packets. Raises when the kernel had to drop some: the capture proves nothing then."""
        self._stopping.set()
        self._thread.join()
        self._drain()
        _, dropped = struct.unpack("=II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self._ring.close()
        self._socket.close()
        self._write_pcap()
        if dropped:
            raise AssertionError(f"the capture is incomplete: {dropped} packets were dropped")
        return [Packet(seconds + nanoseconds / 1e9, outgoing, *classify(frame, self._relays)) for seconds, nanoseconds, outgoing, _, frame in self._raw]

    def _write_pcap(self):
        with open(self._path, "wb") as out:
            out.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, KEPT_BYTES, 1))
            for seconds, nanoseconds, _, length, frame in self._raw:
                out.write(struct.pack("=IIII", seconds, nanoseconds, len(frame), length) + frame)


# Between whom the packets of a tunnel may pass outside it, besides the relay connection.
SERVERS = {places.SERVER, places.SERVER_2, places.SERVER6, places.SERVER_B, places.SERVER_B_2, places.SERVER_B6}
NODES = {places.PUBLIC["b"], places.PUBLIC_HOST["b"], places.NODE6, places.PUBLIC_HOST6["b"]}
STUN_COOKIE = b"\x21\x12\xa4\x42"


def is_path_packet(far, payload):
    """Whether a datagram exchanged with `far` is one that carries or looks for a tunnel's path."""
    if far not in SERVERS and far not in NODES:
        return False
    wireguard = len(payload) >= 4 and 1 <= payload[0] <= 4 and payload[1:4] == bytes(3)
    stun = len(payload) >= 8 and payload[0] < 0x40 and payload[4:8] == STUN_COOKIE
    channel = far in SERVERS and len(payload) >= 4 and 0x40 <= payload[0] <= 0x4F
    return stun or channel or wireguard and far in NODES


def classify(frame, relays):
    """What one Ethernet frame is, and a line that says so; relays are pairs (address, port)."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_ARP:
        return "neighbours", "ARP"
    if kind == ETH_IPV4:
        length = (frame[14] & 0xF) * 4
        protocol, source, target = frame[23], ipaddress.ip_address(frame[26:30]), ipaddress.ip_address(frame[30:34])
        payload = frame[14 + length:]
    elif kind == ETH_IPV6:
        protocol, source, target = frame[20], ipaddress.ip_address(frame[22:38]), ipaddress.ip_address(frame[38:54])
        payload = frame[54:]
        if protocol == 0 and payload[:1] == b"\x3a":  # hop-by-hop options before MLD
            protocol, payload = 58, payload[(payload[1] + 1) * 8:]
    else:
        return "leak", f"ethertype {kind:#06x}"
    ports = struct.unpack_from("!HH", payload) if protocol in (6, 17) and len(payload) >= 4 else (0, 0)
    detail = f"{ {1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6'}.get(protocol, protocol)} {source}:{ports[0]} > {target}:{ports[1]}"
    if protocol == 6 and ((str(target), ports[1]) in relays or (str(source), ports[0]) in relays):
        return "relay", detail
    if protocol == 17 and {is_path_packet(str(far), payload[8:]) for far in (source, target)} != {False}:
        return "path", detail
    if protocol == 58 and payload and (payload[0] in NEIGHBOUR_DISCOVERY and frame[21] == 255 or payload[0] in MLD and target in LINK_GROUPS):
        return "neighbours", detail
    if protocol == 17 and ports in DHCP:
        return "dhcp", detail
    return "leak", detail


def leaks(packets):
    """What left this host and is neither the relay connection nor needed to reach the router."""
    return [packet for packet in packets if packet.outgoing and packet.what == "leak"]


def summary(packets):
    return dict(collections.Counter(f"{packet.what} {'out' if packet.outgoing else 'in'}" for packet in packets))
