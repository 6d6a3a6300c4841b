"""UDP datagrams seen on an interface, whole, and datagrams with whatever source one likes."""
import collections
import ipaddress
import socket
import struct
import threading

from lab.capture import STUN_COOKIE

# Of the kernel's clock in seconds; source and target: (address, port).
Datagram = collections.namedtuple("Datagram", "time outgoing source target payload")
SO_TIMESTAMPNS, TIMESPEC = 35, struct.Struct("@qq")
ETH_P_ALL, ETH_IPV4, ETH_IPV6, UDP = 3, 0x0800, 0x86DD, 17
PACKET_OUTGOING = 4
STUN_HEADER = struct.Struct("!HHI12s")
BINDING_REQUEST, BINDING_SUCCESS, BINDING_ERROR = 0x0001, 0x0101, 0x0111
XOR_MAPPED_ADDRESS, ERROR_CODE = 0x0020, 0x0009


class Tap:
    """IPv4 UDP on an interface of a host from start to stop. `on_datagram` is called on the tap's thread."""

    def __init__(self, host, interface, on_datagram=None):
        self.seen, self._on_datagram, self._stopping = [], on_datagram, False
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((interface, ETH_P_ALL))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping:
            try:
                frame, ancillary, _, where = self._socket.recvmsg(1 << 16, socket.CMSG_SPACE(TIMESPEC.size))
            except TimeoutError:
                continue
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            datagram = parse(frame, where[2] == PACKET_OUTGOING, seconds + nanoseconds / 1e9)
            if datagram:
                self.seen.append(datagram)
                if self._on_datagram:
                    self._on_datagram(datagram)

    def stop(self):
        """What was seen."""
        self._stopping = True
        self._thread.join()
        self._socket.close()
        return self.seen

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if not self._stopping:
            self.stop()


def parse(frame, outgoing, moment):
    """The datagram in an Ethernet frame, or None."""
    if len(frame) < 42 or struct.unpack_from("!H", frame, 12)[0] != ETH_IPV4 or frame[23] != UDP:
        return None
    at = 14 + (frame[14] & 0xF) * 4
    source_port, target_port, length = struct.unpack_from("!HHH", frame, at)
    addresses = [str(ipaddress.ip_address(frame[start:start + 4])) for start in (26, 30)]
    return Datagram(moment, outgoing, (addresses[0], source_port), (addresses[1], target_port), frame[at + 8:at + length])


def is_stun(datagram):
    return len(datagram.payload) >= 20 and datagram.payload[0] < 0x40 and datagram.payload[4:8] == STUN_COOKIE


def stun_type(datagram):
    return struct.unpack_from("!H", datagram.payload)[0]


def is_request(datagram):
    return is_stun(datagram) and stun_type(datagram) == BINDING_REQUEST


def is_wireguard(datagram):
    return len(datagram.payload) >= 32 and 1 <= datagram.payload[0] <= 4 and datagram.payload[1:4] == bytes(3)


def stun_message(kind, transaction, *attributes):
    """Without any integrity: what somebody can make who knows no password."""
    body = b"".join(struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4) for number, value in attributes)
    return STUN_HEADER.pack(kind, len(body), int.from_bytes(STUN_COOKIE, "big"), transaction) + body


def xor_mapped(address, port):
    masked = bytes(a ^ b for a, b in zip(socket.inet_aton(address), STUN_COOKIE))
    return XOR_MAPPED_ADDRESS, struct.pack("!BBH", 0, 1, port ^ 0x2112) + masked


def error_code(code):
    return ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + b"spoofed"


def ip_packet(source, target, payload):
    """A whole IP packet with a UDP datagram; source and target: (address, port), of one family."""
    ends = [ipaddress.ip_address(end[0]).packed for end in (source, target)]
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    if len(ends[0]) == 4:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, UDP, 0, *ends)
        return head[:10] + checksum(head) + head[12:] + udp
    sum_of = checksum(b"".join(ends) + struct.pack("!II", len(udp), UDP) + udp)
    return struct.pack("!IHBB16s16s", 6 << 28, len(udp), UDP, 64, *ends) + udp[:6] + sum_of + udp[8:]


def checksum(octets):
    """RFC 1071."""
    words = octets + bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def send_out(host, interface, *packets):
    """Puts IP packets on a tunnel interface of a host, past its routes and rules."""
    with host.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        for packet in packets:
            out.bind((interface, ETH_IPV6 if packet[0] >> 4 == 6 else ETH_IPV4))
            out.send(packet)


class Spoofer:
    """Sends UDP from a host with a source address and port of somebody else."""

    def __init__(self, host):
        self._socket = host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, source, target, payload):
        udp = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, UDP, 0, socket.inet_aton(source[0]), socket.inet_aton(target[0]))
        self._socket.sendto(head + udp, (target[0], 0))

    def close(self):
        self._socket.close()
