// Version 2 (The PROXY protocol, versions 1 & 2, section 2.2):
//    0               1               2               3
//   +---------------+---------------+---------------+---------------+
//   | 0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a                           |
//   +---------------+---------------+-------------------------------+
//   | ver=2 | cmd   | family| proto | length of what follows (BE)   |
//   +---------------+---------------+-------------------------------+
//   | source address, destination address: 4 or 16 bytes each                |
//   | source port (BE), destination port (BE), type-length-values            |
//
// Version 1 (section 2.1): "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", or TCP6, or "PROXY UNKNOWN…\r\n".
#include "net/proxy_header.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/assert.h"
#include "base/number.h"

namespace higgs::net {
namespace {

// Constants of the protocol.
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kFixedBytes = 16;
constexpr std::byte kLocal{0x20}, kProxy{0x21};
constexpr std::byte kTcp4{0x11}, kTcp6{0x21};
constexpr std::size_t kTcp4Bytes = 12, kTcp6Bytes = 36;
constexpr std::string_view kText = "PROXY ";
/// "a 107-byte buffer is always enough to store all the line", with its end and a zero.
constexpr std::size_t kMostTextBytes = 107;
/// The shortest line is "PROXY UNKNOWN\r\n": so many bytes can be read before it is clear which version it is.
static_assert(kSignature.size() < std::string_view("PROXY UNKNOWN\r\n").size());

}  // namespace

std::size_t ProxyHeaderReader::wanted() const noexcept {
  if (state_ != State::kReading) return 0;
  if (header_.size() < kSignature.size()) return kSignature.size() - header_.size();
  if (header_[0] != static_cast<std::byte>(kSignature[0])) return 1;  // a line says only at its end that it ends
  if (header_.size() < kFixedBytes) return kFixedBytes - header_.size();
  return kFixedBytes + load_be<std::uint16_t>(header_.data() + 14) - header_.size();
}

void ProxyHeaderReader::put(ByteView bytes) {
  HIGGS_ASSERT(bytes.size() <= wanted());
  header_.insert(header_.end(), bytes.begin(), bytes.end());
  const auto text = as_text(header_);
  if (text.starts_with(kText.substr(0, text.size()))) {
    read_text();
  } else if (text.starts_with(kSignature.substr(0, text.size()))) {
    read_binary();
  } else {
    state_ = State::kMalformed;
  }
}

void ProxyHeaderReader::read_binary() {
  if (header_.size() < kFixedBytes) return;
  const std::size_t length = load_be<std::uint16_t>(header_.data() + 14);
  const std::byte command = header_[12], family = header_[13];
  if ((command != kLocal && command != kProxy) || kFixedBytes + length > kMostHeaderBytes) {
    state_ = State::kMalformed;
    return;
  }
  if (header_.size() < kFixedBytes + length) return;
  state_ = State::kComplete;
  const auto* const addresses = header_.data() + kFixedBytes;
  if (command == kLocal) return;
  if (family == kTcp4 && length >= kTcp4Bytes) {
    ByteArray<4> source;
    std::copy_n(addresses, source.size(), source.begin());
    source_ = Endpoint{IpAddress::v4(source), load_be<std::uint16_t>(addresses + 8)};
  } else if (family == kTcp6 && length >= kTcp6Bytes) {
    ByteArray<16> source;
    std::copy_n(addresses, source.size(), source.begin());
    source_ = Endpoint{IpAddress::v6(source), load_be<std::uint16_t>(addresses + 32)};
  } else if (family == kTcp4 || family == kTcp6) {
    state_ = State::kMalformed;
  }
}

void ProxyHeaderReader::read_text() {
  auto line = as_text(header_);
  if (!line.ends_with("\r\n")) {
    // A line that ends within the first bytes is too short to say anything.
    if (line.size() >= kMostTextBytes || line.find('\n') != line.npos) state_ = State::kMalformed;
    return;
  }
  line.remove_suffix(2);
  state_ = State::kMalformed;
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  for (std::size_t from = 0; from <= line.size() && count < words.size();) {
    const auto to = std::min(line.find(' ', from), line.size());
    words[count++] = line.substr(from, to - from);
    from = to + 1;
    if (count == words.size() && to != line.size()) return;  // more words than there are meanings
  }
  if (count >= 2 && words[1] == "UNKNOWN") {
    state_ = State::kComplete;
    return;
  }
  const auto source = IpAddress::parse(words[2]), destination = IpAddress::parse(words[3]);
  const auto port = parse_number<std::uint16_t>(words[4]), to_port = parse_number<std::uint16_t>(words[5]);
  if (count != words.size() || !source || !destination || !port || !to_port) return;
  const bool fits = words[1] == (source->is_v4() ? "TCP4" : "TCP6") && source->is_v4() == destination->is_v4();
  if (!fits) return;
  source_ = Endpoint{*source, *port};
  state_ = State::kComplete;
}

}  // namespace higgs::net
