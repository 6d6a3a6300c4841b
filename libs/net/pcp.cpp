#include "net/pcp.h"

#include <algorithm>
#include <utility>

namespace higgs::net::pcp {
namespace {

// RFC 6887, 7: "This document specifies protocol version 2."
constexpr std::uint8_t kVersion = 2;
constexpr std::uint8_t kResponseBit = 0x80;
constexpr std::uint8_t kUdp = 17;
// RFC 6886, 3.5: version, opcode, result code, seconds since the start of the epoch.
constexpr std::size_t kNatPmpRefusalBytes = 8;

// RFC 6887, 7.1: the common request header
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  Version = 2  |R|   Opcode    |         Reserved              |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                 Requested Lifetime (32 bits)                  |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |            PCP Client's IP Address (128 bits)                 |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// 7.2: of a response: version, R | opcode, reserved, result code; lifetime; epoch time; 96 bits reserved.
//
// 11.1, 11.2: MAP, both ways
// | Mapping Nonce (96 bits)                                       |
// |   Protocol    |          Reserved (24 bits)                   |
// |        Internal Port          |    Suggested External Port    |
// |           Suggested External IP Address (128 bits)            |

/// IPv4 addresses as ::ffff:a.b.c.d (RFC 6887, 5).
void put_address(ByteWriter& writer, const IpAddress& address) {
  if (address.is_v4()) {
    writer.zeros(10);
    writer.be<std::uint16_t>(0xffff);
  }
  writer.bytes(address.bytes());
}

void put_header(ByteWriter& writer, Opcode opcode, std::uint32_t lifetime_seconds, const IpAddress& client) {
  writer.be(kVersion);
  writer.be(static_cast<std::uint8_t>(opcode));
  writer.be<std::uint16_t>(0);
  writer.be(lifetime_seconds);
  put_address(writer, client);
}

IpAddress take_address(ByteReader& reader) noexcept {
  ByteArray<16> bytes{};
  if (const auto view = reader.take(bytes.size())) std::copy(view->begin(), view->end(), bytes.begin());
  return IpAddress::v6(bytes).unmapped();
}

std::optional<MapAnswer> take_map(ByteReader& reader) noexcept {
  if (reader.remaining() < kMapBytes) return std::nullopt;
  MapAnswer answer;
  const auto nonce = *reader.take(answer.nonce.size());
  std::copy(nonce.begin(), nonce.end(), answer.nonce.begin());
  if (*reader.be<std::uint8_t>() != kUdp) return std::nullopt;
  static_cast<void>(reader.take(3));
  answer.internal_port = *reader.be<std::uint16_t>();
  answer.external.port = *reader.be<std::uint16_t>();
  answer.external.address = take_address(reader);
  return answer;
}

}  // namespace

std::string describe(ResultCode code) {
  switch (code) {
    case ResultCode::kSuccess:
      return "success";
    case ResultCode::kUnsupportedVersion:
      return "the router does not speak this version";
    case ResultCode::kNotAuthorized:
      return "the router does not allow it";
    case ResultCode::kMalformedRequest:
      return "the router calls the request malformed";
    case ResultCode::kUnsupportedOpcode:
      return "the router maps no ports";
    case ResultCode::kUnsupportedOption:
    case ResultCode::kMalformedOption:
      return "the router does not understand an option";
    case ResultCode::kNetworkFailure:
      return "the router has no public address: it is behind another NAT, or offline";
    case ResultCode::kNoResources:
      return "the router has no room for more mappings";
    case ResultCode::kUnsupportedProtocol:
      return "the router maps no UDP ports";
    case ResultCode::kUserExceededQuota:
      return "this host has too many mappings";
    case ResultCode::kCannotProvideExternal:
      return "the router cannot give that port";
    case ResultCode::kAddressMismatch:
      return "there is another NAT between this host and the router that answers";
    case ResultCode::kExcessiveRemotePeers:
      return "the router allows fewer peers";
  }
  return "the router answered " + std::to_string(static_cast<unsigned>(code));
}

Bytes encode_map_request(const MapRequest& request) {
  ByteWriter writer;
  put_header(writer, Opcode::kMap, request.lifetime_seconds, request.client);
  writer.bytes(request.nonce);
  writer.be(kUdp);
  writer.zeros(3);
  writer.be(request.internal_port);
  writer.be(request.suggested.port);
  put_address(writer, request.suggested.address);
  return std::move(writer).take();
}

Bytes encode_announce_request(const IpAddress& client) {
  ByteWriter writer;
  put_header(writer, Opcode::kAnnounce, 0, client);
  return std::move(writer).take();
}

std::optional<Response> parse_response(ByteView datagram) noexcept {
  if (datagram.size() < 4 || datagram.size() > kMaxBytes) return std::nullopt;
  ByteReader reader(datagram);
  const auto version = *reader.be<std::uint8_t>();
  const auto opcode = *reader.be<std::uint8_t>();
  if ((opcode & kResponseBit) == 0) return std::nullopt;
  Response response;
  if (version == 0 && datagram.size() == kNatPmpRefusalBytes) {
    if (*reader.be<std::uint16_t>() != 1) return std::nullopt;
    response.result = ResultCode::kUnsupportedVersion;
    response.epoch_seconds = *reader.be<std::uint32_t>();
    return response;
  }
  if (datagram.size() < kHeaderBytes || datagram.size() % 4 != 0) return std::nullopt;
  static_cast<void>(reader.be<std::uint8_t>());
  response.result = static_cast<ResultCode>(*reader.be<std::uint8_t>());
  response.lifetime_seconds = *reader.be<std::uint32_t>();
  response.epoch_seconds = *reader.be<std::uint32_t>();
  if (response.result == ResultCode::kUnsupportedVersion) return response;
  if (version != kVersion) return std::nullopt;
  static_cast<void>(reader.take(12));
  switch (opcode & ~kResponseBit) {
    case static_cast<std::uint8_t>(Opcode::kAnnounce):
      return response;
    case static_cast<std::uint8_t>(Opcode::kMap):
      response.opcode = Opcode::kMap;
      response.map = take_map(reader);
      return response.map ? std::optional(response) : std::nullopt;
    default:
      return std::nullopt;
  }
}

bool EpochCheck::accept(Instant now, std::uint32_t epoch_seconds) noexcept {
  const Reading reading{now, epoch_seconds};
  const auto before = std::exchange(last_, reading);
  if (!before) return true;
  // RFC 6887, 8.5: a server's clock may step back by one second, and drift by a sixteenth and two seconds.
  if (reading.epoch < before->epoch - 1) return false;
  const auto client = std::chrono::duration_cast<std::chrono::seconds>(now - before->at).count();
  const auto server = reading.epoch - before->epoch;
  return client + 2 >= server - server / 16 && server + 2 >= client - client / 16;
}

}  // namespace higgs::net::pcp
