#include "tools/higgs-wg/uapi.h"

#include <limits>

#include <net/if.h>

#include "base/bytes.h"
#include "base/number.h"

namespace higgs::wg {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// 64 hexadecimal digits, without a copy of a secret on the heap.
bool parse_key(std::string_view text, std::span<std::byte, 32> out) {
  if (text.size() != 64) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

/// "[fe80::1%eth0]:51820" as wg(8) writes it, or with the interface's number; a zone of link-local addresses only.
std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto percent = text.find('%'), bracket = text.find(']');
  if (percent == text.npos) return Endpoint::parse(text);
  if (bracket == text.npos || bracket < percent) return std::nullopt;
  const std::string zone(text.substr(percent + 1, bracket - percent - 1));
  auto endpoint = Endpoint::parse(std::string(text.substr(0, percent)).append(text.substr(bracket)));
  if (!endpoint || !endpoint->address.is_link_local_v6()) return std::nullopt;
  endpoint->zone = parse_number<std::uint32_t>(zone).value_or(0);
  if (endpoint->zone == 0) endpoint->zone = ::if_nametoindex(zone.c_str());
  return endpoint->zone == 0 ? std::nullopt : endpoint;
}

class SetParser {
 public:
  bool line(std::string_view key, std::string_view value) {
    if (key == "public_key") return start_peer(value);
    return request_.peers.empty() ? device_line(key, value) : peer_line(request_.peers.back(), key, value);
  }
  SetRequest take() { return std::move(request_); }

 private:
  bool device_line(std::string_view key, std::string_view value) {
    if (key == "private_key") return parse_key(value, request_.private_key.emplace().reveal_mutable());
    if (key == "listen_port") return (request_.listen_port = parse_number<std::uint16_t>(value)).has_value();
    if (key == "fwmark") {
      // Empty removes the mark, as wireguard-go has it.
      request_.fwmark = value.empty() ? 0 : parse_number<std::uint32_t>(value);
      return request_.fwmark.has_value();
    }
    if (key == "replace_peers") return (request_.replace_peers = value == "true");
    return false;
  }

  bool start_peer(std::string_view value) {
    PeerChange change;
    if (!parse_key(value, change.config.public_key.bytes)) return false;
    request_.peers.push_back(std::move(change));
    return true;
  }

  bool peer_line(PeerChange& peer, std::string_view key, std::string_view value) {
    if (key == "remove") return (peer.remove = value == "true");
    if (key == "update_only") return (peer.update_only = value == "true");
    if (key == "preshared_key") return parse_key(value, peer.config.preshared_key.emplace().reveal_mutable());
    if (key == "endpoint") {
      const auto endpoint = parse_endpoint(value);
      if (!endpoint) return false;
      peer.config.address = wireguard::PeerAddress{0, *endpoint};
      return true;
    }
    if (key == "persistent_keepalive_interval") {
      const auto seconds = parse_number<std::uint16_t>(value);
      if (!seconds) return false;
      peer.config.persistent_keepalive = std::chrono::seconds(*seconds);
      return true;
    }
    if (key == "replace_allowed_ips") return (peer.config.replace_allowed_ips = value == "true");
    if (key == "allowed_ip") return allowed_ip(peer, value);
    if (key == "protocol_version") return value == "1";
    return false;
  }

  bool allowed_ip(PeerChange& peer, std::string_view value) {
    const bool remove = value.starts_with('-');
    const auto prefix = IpPrefix::parse(value.substr(remove ? 1 : 0));
    if (!prefix) return false;
    if (!remove) {
      // What was removed above is removed first, so the order of a removal and an addition holds.
      peer.config.allowed_ips.push_back(*prefix);
      return true;
    }
    if (!peer.config.allowed_ips.empty()) {
      PeerChange next;
      next.config.public_key = peer.config.public_key;
      next.update_only = true;
      request_.peers.push_back(std::move(next));
    }
    request_.peers.back().config.remove_allowed_ips.push_back(*prefix);
    return true;
  }

  SetRequest request_;
};

void append_hex(std::string& out, ByteView bytes) {
  for (const std::byte b : bytes) {
    out += kHexDigits[std::to_integer<std::size_t>(b) >> 4];
    out += kHexDigits[std::to_integer<std::size_t>(b) & 15];
  }
}

void append_line(std::string& out, std::string_view key, ByteView bytes) {
  out.append(key) += '=';
  append_hex(out, bytes);
  out += '\n';
}
void append_line(std::string& out, std::string_view key, const std::string& value) {
  out.append(key).append("=").append(value) += '\n';
}
template <class T>
requires std::is_arithmetic_v<T>
void append_line(std::string& out, std::string_view key, T value) { append_line(out, key, std::to_string(value)); }

void append_peer(std::string& out, const wireguard::PeerStatus& peer) {
  append_line(out, "public_key", ByteView(peer.public_key.bytes));
  append_line(out, "preshared_key", ByteView(peer.preshared_key.reveal()));
  append_line(out, "protocol_version", 1);
  if (peer.address && peer.address->path == 0) append_line(out, "endpoint", peer.address->endpoint.to_string());
  const auto handshake = peer.last_handshake ? peer.last_handshake->time_since_epoch() : std::chrono::nanoseconds(0);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(handshake);
  append_line(out, "last_handshake_time_sec", seconds.count());
  append_line(out, "last_handshake_time_nsec", (handshake - seconds).count());
  append_line(out, "tx_bytes", peer.sent_bytes);
  append_line(out, "rx_bytes", peer.received_bytes);
  append_line(out, "persistent_keepalive_interval", peer.persistent_keepalive.count());
  for (const IpPrefix& prefix : peer.allowed_ips) append_line(out, "allowed_ip", prefix.to_string());
}

}  // namespace

std::optional<Request> parse_request(std::string_view text) {
  const auto take_line = [&text] {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
  };
  const std::string_view operation = take_line();
  if (operation == "get=1") return text.empty() ? std::optional(Request{}) : std::nullopt;
  if (operation != "set=1") return std::nullopt;
  SetParser parser;
  while (!text.empty()) {
    const std::string_view line = take_line();
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    if (!parser.line(line.substr(0, equals), line.substr(equals + 1))) return std::nullopt;
  }
  return Request{parser.take()};
}

std::string format_state(const DeviceState& state) {
  std::string out;
  if (!state.private_key.is_zero()) append_line(out, "private_key", ByteView(state.private_key.reveal()));
  if (state.listen_port != 0) append_line(out, "listen_port", state.listen_port);
  if (state.fwmark != 0) append_line(out, "fwmark", state.fwmark);
  for (const auto& peer : state.peers) append_peer(out, peer);
  return out;
}

std::string format_errno(int error) { return "errno=" + std::to_string(-error) + "\n\n"; }

}  // namespace higgs::wg
