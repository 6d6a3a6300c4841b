// Inserts, removals and look-ups, each compared with a plain list.
#include <map>

#include "wireguard/allowed_ips.h"
#include "wireguard/peer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  using namespace higgs::wireguard;
  constexpr std::size_t kMaxActions = 200;
  static Peer peers[3] = {Peer(crypto::PublicKey{}), Peer(crypto::PublicKey{}), Peer(crypto::PublicKey{})};
  ByteReader reader(std::as_bytes(std::span(data, size)));
  AllowedIps trie;
  std::map<IpPrefix, Peer*> list;
  for (std::size_t i = 0; i < kMaxActions; ++i) {
    const auto kind = reader.be<std::uint8_t>();
    const auto length = reader.be<std::uint8_t>();
    if (!kind || !length) break;
    const bool v4 = (*kind & 1) != 0;
    const auto bytes = reader.take(v4 ? 4 : 16);
    if (!bytes) break;
    ByteArray<16> raw{};
    std::copy(bytes->begin(), bytes->end(), raw.begin());
    const IpAddress address = v4 ? IpAddress::v4(load_be<std::uint32_t>(raw.data())) : IpAddress::v6(raw);
    const auto prefix = IpPrefix::make(address, *length % (address.bit_length() + 1)).value();
    Peer& peer = peers[(*kind >> 1) % 3];
    if (*kind < 160) {
      const auto before = list.find(prefix);
      if (trie.insert(prefix, peer) != (before == list.end() ? nullptr : before->second)) __builtin_trap();
      list[prefix] = &peer;
    } else {
      const auto before = list.find(prefix);
      const bool had = before != list.end() && before->second == &peer;
      if (trie.remove(prefix, peer) != had) __builtin_trap();
      if (had) list.erase(before);
    }
    Peer* expected = nullptr;
    int longest = -1;
    for (const auto& [candidate, owner] : list) {
      if (candidate.contains(address) && static_cast<int>(candidate.length()) > longest) {
        longest = static_cast<int>(candidate.length());
        expected = owner;
      }
    }
    if (trie.find(address) != expected) __builtin_trap();
  }
  return 0;
}
