#include "higgsnode/tunnel_prefixes.h"

#include <algorithm>

#include "runtime/files.h"

namespace higgs::node {
namespace {

constexpr const char* kPrefixFile = "tunnel-prefixes";
// Home networks crowd the low and the high end of 10/8.
constexpr std::uint32_t kFirstSecondOctet = 64, kLastSecondOctet = 223;
constexpr unsigned kPrefixLengthV4 = 16, kPrefixLengthV6 = 64;

bool in_the_way(const IpPrefix& prefix, const std::vector<IpPrefix>& own_networks) {
  return std::any_of(own_networks.begin(), own_networks.end(),
                     [&](const IpPrefix& own) { return overlap(own, prefix); });
}

IpPrefix prefix_v4(std::uint32_t base, unsigned length) { return *IpPrefix::make(IpAddress::v4(base), length); }

IpPrefix choose_v4(const std::vector<IpPrefix>& own_networks, RandomSource& random) {
  const auto count = kLastSecondOctet - kFirstSecondOctet + 1;
  const auto start = static_cast<std::uint32_t>(random.below(count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto second = kFirstSecondOctet + (start + i) % count;
    const auto candidate = prefix_v4(0x0a000000u | second << 16, kPrefixLengthV4);
    if (!in_the_way(candidate, own_networks)) return candidate;
  }
  // The host has all of 10/8: shared address space (RFC 6598) is next, at a random place.
  const auto second = static_cast<std::uint32_t>(64 + random.below(64));
  return prefix_v4(0x64000000u | second << 16, kPrefixLengthV4);
}

/// RFC 4193, 3.2: fd, then 40 random bits, then a subnet.
IpPrefix choose_v6(const std::vector<IpPrefix>& own_networks, RandomSource& random) {
  for (;;) {
    ByteArray<16> bytes{};
    random.fill(MutableBytes(bytes).subspan(1, 7));
    bytes[0] = std::byte{0xfd};
    const auto candidate = *IpPrefix::make(IpAddress::v6(bytes), kPrefixLengthV6);
    if (!in_the_way(candidate, own_networks)) return candidate;
  }
}

IpAddress with_last_byte(const IpAddress& network, std::byte last) {
  if (network.is_v6()) {
    ByteArray<16> bytes{};
    std::copy(network.bytes().begin(), network.bytes().end(), bytes.begin());
    bytes.back() = last;
    return IpAddress::v6(bytes);
  }
  return IpAddress::v4(load_be<std::uint32_t>(network.bytes().data()) | std::to_integer<std::uint32_t>(last));
}

}  // namespace

bool overlap(const IpPrefix& a, const IpPrefix& b) {
  return a.length() <= b.length() ? a.contains(b.address()) : b.contains(a.address());
}

std::vector<IpPrefix> TunnelPrefixes::all() const {
  std::vector<IpPrefix> prefixes = {v4};
  if (v6) prefixes.push_back(*v6);
  return prefixes;
}

std::vector<IpPrefix> TunnelPrefixes::own_addresses() const {
  std::vector<IpPrefix> addresses;
  for (const auto& prefix : all()) {
    const auto address = with_last_byte(prefix.address(), std::byte{1});
    addresses.push_back(*IpPrefix::make(address, address.bit_length()));
  }
  return addresses;
}

bool TunnelPrefixes::may_be_clients(const IpPrefix& address) const {
  if (address.length() != address.address().bit_length()) return false;
  const auto prefixes = all();
  const auto home = std::find_if(prefixes.begin(), prefixes.end(),
                                 [&](const IpPrefix& prefix) { return prefix.contains(address.address()); });
  if (home == prefixes.end() || address.address() == home->address()) return false;
  const auto own = own_addresses();
  if (std::find(own.begin(), own.end(), address) != own.end()) return false;
  if (address.address().is_v6()) return true;
  const auto host = load_be<std::uint32_t>(address.address().bytes().data());
  const std::uint32_t broadcast = load_be<std::uint32_t>(home->address().bytes().data()) | (~0u >> home->length());
  return host != broadcast;
}

TunnelPrefixes choose_prefixes(const std::optional<TunnelPrefixes>& kept, const std::optional<IpPrefix>& configured_v4,
                               const std::optional<IpPrefix>& configured_v6, const std::vector<IpPrefix>& own_networks,
                               bool with_v6, RandomSource& random) {
  TunnelPrefixes prefixes;
  if (configured_v4)
    prefixes.v4 = *configured_v4;
  else if (kept && !in_the_way(kept->v4, own_networks))
    prefixes.v4 = kept->v4;
  else
    prefixes.v4 = choose_v4(own_networks, random);
  if (!with_v6) return prefixes;
  if (configured_v6)
    prefixes.v6 = configured_v6;
  else if (kept && kept->v6 && !in_the_way(*kept->v6, own_networks))
    prefixes.v6 = kept->v6;
  else
    prefixes.v6 = choose_v6(own_networks, random);
  return prefixes;
}

Result<std::optional<TunnelPrefixes>> load_prefixes(const std::filesystem::path& state_dir) {
  const auto text = runtime::read_file_if_there(state_dir / kPrefixFile, 4096);
  if (!text) return text.error();
  if (!*text) return std::optional<TunnelPrefixes>();
  std::optional<TunnelPrefixes> prefixes;
  std::string_view rest = **text;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto prefix = IpPrefix::parse(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!prefix) continue;
    if (prefix->address().is_v4())
      prefixes.emplace(TunnelPrefixes{*prefix, std::nullopt});
    else if (prefixes)
      prefixes->v6 = *prefix;
  }
  return prefixes;
}

Result<void> save_prefixes(const std::filesystem::path& state_dir, const TunnelPrefixes& prefixes) {
  std::string text;
  for (const auto& prefix : prefixes.all()) text += prefix.to_string() + "\n";
  return runtime::write_file_atomic(state_dir / kPrefixFile, text);
}

}  // namespace higgs::node
