// Builds TCP and UDP packets with good checksums, for tests of what takes them apart.
#pragma once

#include "base/bytes.h"
#include "tunnel/checksum.h"
#include "tunnel/ip_fields.h"

namespace higgs::tunnel::testing {

struct PacketSpec {
  bool v6 = false;
  bool tcp = true;
  std::uint16_t source_port = 1000, destination_port = 2000;
  std::uint32_t sequence = 1;
  std::uint32_t acknowledgement = 77;
  std::uint8_t flags = 0x10;  ///< ACK
  std::uint8_t ttl = 64, tos = 0;
  std::uint16_t id = 0;
  bool dont_fragment = true;
  Bytes options;  ///< TCP, a multiple of 4
  Bytes payload;
};

inline void set_transport_checksum(MutableBytes packet, bool v6, bool tcp, std::size_t transport) {
  std::byte* field = packet.data() + transport + (tcp ? ip::kTcpChecksum : ip::kUdpChecksum);
  store_checksum(field, 0);
  const ByteView body = packet.subspan(transport);
  ChecksumSum sum = checksum_portable(0, nullptr, ip::addresses(packet, v6));
  sum = checksum_pseudo(sum, tcp ? ip::kTcp : ip::kUdp, static_cast<std::uint32_t>(body.size()));
  const std::uint16_t value = checksum_finish(checksum_portable(sum, nullptr, body));
  store_checksum(field, value == 0 && !tcp ? 0xffff : value);
}

inline Bytes make_packet(const PacketSpec& spec) {
  const std::size_t transport = spec.v6 ? ip::kV6Header : ip::kV4Header;
  const std::size_t headers = transport + (spec.tcp ? ip::kTcpHeader + spec.options.size() : ip::kUdpHeader);
  Bytes packet(headers + spec.payload.size());
  std::byte* p = packet.data();
  const std::uint8_t protocol = spec.tcp ? ip::kTcp : ip::kUdp;
  if (spec.v6) {
    store_be<std::uint32_t>(p, 0x60000000u | std::uint32_t{spec.tos} << 20);
    store_be(p + ip::kV6PayloadLength, static_cast<std::uint16_t>(packet.size() - ip::kV6Header));
    p[ip::kV6NextHeader] = std::byte{protocol};
    p[ip::kV6NextHeader + 1] = std::byte{spec.ttl};
    p[8] = p[24] = std::byte{0xfd};
    p[23] = std::byte{1};
    p[39] = std::byte{2};
  } else {
    p[0] = std::byte{0x45};
    p[1] = std::byte{spec.tos};
    store_be(p + ip::kV4TotalLength, static_cast<std::uint16_t>(packet.size()));
    store_be(p + ip::kV4Id, spec.id);
    store_be(p + ip::kV4Fragment, spec.dont_fragment ? ip::kV4DontFragment : std::uint16_t{0});
    p[8] = std::byte{spec.ttl};
    p[ip::kV4Protocol] = std::byte{protocol};
    store_be<std::uint32_t>(p + ip::kV4Addresses, 0x0a090001);
    store_be<std::uint32_t>(p + ip::kV4Addresses + 4, 0x0a090002);
    store_checksum(p + ip::kV4Checksum,
                   checksum_finish(checksum_portable(0, nullptr, ByteView(packet).first(ip::kV4Header))));
  }
  std::byte* t = p + transport;
  store_be(t, spec.source_port);
  store_be(t + 2, spec.destination_port);
  if (spec.tcp) {
    store_be(t + ip::kTcpSequence, spec.sequence);
    store_be(t + 8, spec.acknowledgement);
    t[ip::kTcpDataOffset] = static_cast<std::byte>((ip::kTcpHeader + spec.options.size()) / 4 << 4);
    t[ip::kTcpFlags] = std::byte{spec.flags};
    store_be<std::uint16_t>(t + 14, 501);
    std::copy(spec.options.begin(), spec.options.end(), t + ip::kTcpHeader);
  } else {
    store_be(t + ip::kUdpLength, static_cast<std::uint16_t>(packet.size() - transport));
  }
  std::copy(spec.payload.begin(), spec.payload.end(), p + headers);
  set_transport_checksum(packet, spec.v6, spec.tcp, transport);
  return packet;
}

}  // namespace higgs::tunnel::testing
