#include "base/ip.h"

#include <algorithm>

#include <arpa/inet.h>

#include "base/number.h"

namespace higgs {
namespace {}  // namespace

IpAddress IpAddress::v4(const ByteArray<4>& bytes) noexcept {
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

IpAddress IpAddress::v4(std::uint32_t host_order) noexcept {
  IpAddress address;
  store_be(address.bytes_.data(), host_order);
  return address;
}

IpAddress IpAddress::v6(const ByteArray<16>& bytes) noexcept {
  IpAddress address;
  address.v6_ = true;
  address.bytes_ = bytes;
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != text.npos) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated.begin());
  ByteArray<16> bytes{};
  if (::inet_pton(AF_INET, terminated.data(), bytes.data()) == 1) {
    return v4(load_be<std::uint32_t>(bytes.data()));
  }
  if (::inet_pton(AF_INET6, terminated.data(), bytes.data()) == 1) return v6(bytes);
  return std::nullopt;
}

bool IpAddress::is_unspecified() const noexcept {
  const auto all = bytes();
  return std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool IpAddress::is_link_local_v6() const noexcept {
  return v6_ && bytes_[0] == std::byte{0xfe} && (bytes_[1] & std::byte{0xc0}) == std::byte{0x80};
}

IpAddress IpAddress::unmapped() const noexcept {
  static constexpr ByteArray<12> kMapped = {std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                            std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                            std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};
  if (!v6_ || !std::equal(kMapped.begin(), kMapped.end(), bytes_.begin())) return *this;
  return v4(load_be<std::uint32_t>(bytes_.data() + 12));
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), text.data(), text.size());
  return text.data();
}

std::optional<IpPrefix> IpPrefix::make(const IpAddress& address, unsigned length) noexcept {
  if (length > address.bit_length()) return std::nullopt;
  ByteArray<16> bytes{};
  std::copy(address.bytes().begin(), address.bytes().end(), bytes.begin());
  for (unsigned bit = length; bit < address.bit_length(); ++bit)
    bytes[bit / 8] &= ~static_cast<std::byte>(0x80u >> (bit % 8));
  IpPrefix prefix;
  prefix.address_ = address.is_v6() ? IpAddress::v6(bytes) : IpAddress::v4(load_be<std::uint32_t>(bytes.data()));
  prefix.length_ = length;
  return prefix;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) noexcept {
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == text.npos) return make(*address, address->bit_length());
  const auto length = parse_number<unsigned>(text.substr(slash + 1));
  return length ? make(*address, *length) : std::nullopt;
}

bool IpPrefix::contains(const IpAddress& address) const noexcept {
  if (address.is_v6() != address_.is_v6()) return false;
  const auto masked = make(address, length_);
  return masked && masked->address_ == address_;
}

std::string IpPrefix::to_string() const { return address_.to_string() + "/" + std::to_string(length_); }

std::optional<Endpoint> Endpoint::parse(std::string_view text) noexcept {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!address || !port || address->is_v6() != bracketed) return std::nullopt;
  return Endpoint{*address, *port};
}

std::string Endpoint::to_string() const {
  auto host = address.to_string();
  if (zone != 0) host += "%" + std::to_string(zone);
  return (address.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace higgs

std::size_t std::hash<higgs::IpAddress>::operator()(const higgs::IpAddress& address) const noexcept {
  // FNV-1a: addresses come from the network, so tables keyed by them are bounded by their owners.
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const std::byte b : address.bytes()) digest = (digest ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3;
  return static_cast<std::size_t>(digest);
}
