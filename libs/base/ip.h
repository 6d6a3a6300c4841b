// IP addresses, prefixes and endpoints as plain values, without a socket header.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace higgs {

/// An IPv4 or IPv6 address; default: the IPv4 unspecified address.
class IpAddress {
 public:
  IpAddress() = default;
  static IpAddress v4(const ByteArray<4>& bytes) noexcept;
  static IpAddress v4(std::uint32_t host_order) noexcept;
  static IpAddress v6(const ByteArray<16>& bytes) noexcept;
  /// Dotted quad (four decimal parts, no leading zeros) or RFC 4291 text; no zone, no brackets.
  static std::optional<IpAddress> parse(std::string_view text) noexcept;

  bool is_v4() const noexcept { return !v6_; }
  bool is_v6() const noexcept { return v6_; }
  /// 4 or 16 bytes in network order.
  ByteView bytes() const noexcept { return ByteView(bytes_).first(v6_ ? 16 : 4); }
  unsigned bit_length() const noexcept { return v6_ ? 128 : 32; }
  bool is_unspecified() const noexcept;
  /// fe80::/10: means something together with an interface only.
  bool is_link_local_v6() const noexcept;
  /// ::ffff:a.b.c.d as a.b.c.d; everything else unchanged.
  IpAddress unmapped() const noexcept;
  std::string to_string() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  bool v6_ = false;
  ByteArray<16> bytes_{};
};

/// An address with a prefix length; bits behind the length are always zero.
class IpPrefix {
 public:
  IpPrefix() = default;
  /// Clears the bits behind `length`; nullopt if length is over the address's.
  static std::optional<IpPrefix> make(const IpAddress& address, unsigned length) noexcept;
  /// "10.0.0.0/8", "fd00::/8"; an address alone means its full length.
  static std::optional<IpPrefix> parse(std::string_view text) noexcept;

  const IpAddress& address() const noexcept { return address_; }
  unsigned length() const noexcept { return length_; }
  bool contains(const IpAddress& address) const noexcept;
  std::string to_string() const;

  friend auto operator<=>(const IpPrefix&, const IpPrefix&) = default;

 private:
  IpAddress address_;
  unsigned length_ = 32;
};

/// An address and a port; text form "1.2.3.4:80", "[::1]:80", with a zone "[fe80::1%2]:80".
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  /// RFC 4007: of a link-local address the interface, by the kernel's number; 0: not known, and for all others.
  std::uint32_t zone = 0;

  /// Without a zone: nobody else's numbers mean anything here.
  static std::optional<Endpoint> parse(std::string_view text) noexcept;
  std::string to_string() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace higgs

template <>
struct std::hash<higgs::IpAddress> {
  std::size_t operator()(const higgs::IpAddress& address) const noexcept;
};
template <>
struct std::hash<higgs::Endpoint> {
  std::size_t operator()(const higgs::Endpoint& endpoint) const noexcept {
    return std::hash<higgs::IpAddress>{}(endpoint.address) * 31 + endpoint.port;
  }
};
