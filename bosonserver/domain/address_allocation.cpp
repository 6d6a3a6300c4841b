#include "bosonserver/domain/address_allocation.h"

#include <algorithm>
#include <array>

namespace higgs::boson {
namespace {

/// More would be pointless, and the arithmetic below stays within 64 bits.
constexpr unsigned kMostHostBits = 32;

bool within(const IpPrefix& inner, const IpPrefix& outer) {
  return inner.length() >= outer.length() && outer.contains(inner.address());
}

unsigned host_bits(const IpPrefix& prefix) {
  return std::min(prefix.address().bit_length() - prefix.length(), kMostHostBits);
}

IpAddress address_at(const IpPrefix& prefix, std::uint64_t host) {
  const auto& address = prefix.address();
  if (address.is_v4())
    return IpAddress::v4(load_be<std::uint32_t>(address.bytes().data()) | static_cast<std::uint32_t>(host));
  ByteArray<16> bytes;
  std::copy(address.bytes().begin(), address.bytes().end(), bytes.begin());
  store_be(bytes.data() + 8, load_be<std::uint64_t>(bytes.data() + 8) | host);
  return IpAddress::v6(bytes);
}

}  // namespace

bool acceptable_tunnel_prefix(const IpPrefix& prefix) {
  static const std::array<IpPrefix, 5> kPrivate = {*IpPrefix::parse("10.0.0.0/8"), *IpPrefix::parse("172.16.0.0/12"),
                                                   *IpPrefix::parse("192.168.0.0/16"),
                                                   *IpPrefix::parse("100.64.0.0/10"), *IpPrefix::parse("fc00::/7")};
  if (prefix.address().is_v6() ? prefix.length() < 32 || prefix.length() > 126 : prefix.length() > 30) return false;
  return std::any_of(kPrivate.begin(), kPrivate.end(), [&](const auto& range) { return within(prefix, range); });
}

std::optional<IpAddress> allocate_address(const IpPrefix& prefix, const std::set<IpAddress>& taken,
                                          RandomSource& random) {
  const std::uint64_t hosts = std::uint64_t{1} << host_bits(prefix);
  const std::uint64_t reserved = prefix.address().is_v4() ? 3 : 2;
  if (hosts <= reserved) return std::nullopt;
  const std::uint64_t usable = hosts - reserved;
  const std::uint64_t start = random.below(usable);
  // Among one more than are taken, one is free.
  const std::uint64_t tries = std::min<std::uint64_t>(usable, taken.size() + 1);
  for (std::uint64_t i = 0; i < tries; ++i) {
    const auto address = address_at(prefix, 2 + (start + i) % usable);
    if (!taken.contains(address)) return address;
  }
  return std::nullopt;
}

}  // namespace higgs::boson
