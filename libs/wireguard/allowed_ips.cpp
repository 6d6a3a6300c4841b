#include "wireguard/allowed_ips.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace higgs::wireguard {

/// An address with its first bit on top; IPv4 fills the upper half of `high`.
struct AllowedIps::Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  unsigned bit(unsigned position) const noexcept {
    const std::uint64_t word = position < 64 ? high : low;
    return static_cast<unsigned>((word >> (63 - position % 64)) & 1);
  }
  unsigned common_prefix(const Key& other) const noexcept {
    if (high != other.high) return static_cast<unsigned>(std::countl_zero(high ^ other.high));
    return 64 + static_cast<unsigned>(std::countl_zero(low ^ other.low));
  }
};

struct AllowedIps::Node {
  Key key;
  unsigned length = 0;
  Peer* peer = nullptr;
  Link children[2];
};

AllowedIps::AllowedIps() = default;
AllowedIps::~AllowedIps() = default;

AllowedIps::Key AllowedIps::key_of(const IpAddress& address) noexcept {
  const std::byte* bytes = address.bytes().data();
  if (address.is_v4()) return {std::uint64_t{load_be<std::uint32_t>(bytes)} << 32, 0};
  return {load_be<std::uint64_t>(bytes), load_be<std::uint64_t>(bytes + 8)};
}

AllowedIps::Link AllowedIps::make_node(const Key& key, unsigned length, Peer* peer) {
  auto node = std::make_unique<Node>();
  node->key = key;
  node->length = length;
  node->peer = peer;
  ++node_count_;
  return node;
}

Peer* AllowedIps::insert(const IpPrefix& prefix, Peer& peer) {
  const Key key = key_of(prefix.address());
  const unsigned length = prefix.length();
  Link* link = &root_of(prefix);
  while (*link) {
    Node& node = **link;
    const unsigned common = std::min({key.common_prefix(node.key), length, node.length});
    if (common < node.length) {
      // The new prefix parts from this node's before its end: a node goes in between, or the new one itself does.
      Link below = std::move(*link);
      const unsigned side = below->key.bit(common);
      *link = make_node(key, common, nullptr);
      (*link)->children[side] = std::move(below);
      if (common == length) {
        (*link)->peer = &peer;
      } else {
        (*link)->children[1 - side] = make_node(key, length, &peer);
      }
      return nullptr;
    }
    if (length == node.length) return std::exchange(node.peer, &peer);
    link = &node.children[key.bit(node.length)];
  }
  *link = make_node(key, length, &peer);
  return nullptr;
}

bool AllowedIps::remove(const IpPrefix& prefix, const Peer& peer) {
  return remove_in(root_of(prefix), key_of(prefix.address()), prefix.length(), peer);
}

bool AllowedIps::remove_in(Link& link, const Key& key, unsigned length, const Peer& peer) {
  if (!link || link->length > length || key.common_prefix(link->key) < link->length) return false;
  if (link->length == length) {
    if (link->peer != &peer) return false;
    link->peer = nullptr;
  } else if (!remove_in(link->children[key.bit(link->length)], key, length, peer)) {
    return false;
  }
  collapse(link);
  return true;
}

void AllowedIps::collapse(Link& link) {
  if (link->peer != nullptr || (link->children[0] && link->children[1])) return;
  Link child = std::move(link->children[link->children[0] ? 0 : 1]);
  link = std::move(child);
  --node_count_;
}

Peer* AllowedIps::find_in(const Node* node, const Key& key) const noexcept {
  Peer* best = nullptr;
  while (node != nullptr && key.common_prefix(node->key) >= node->length) {
    if (node->peer != nullptr) best = node->peer;
    if (node->length >= 128) break;
    node = node->children[key.bit(node->length)].get();
  }
  return best;
}

Peer* AllowedIps::find_v4(const std::byte* address) const noexcept {
  return find_in(v4_.get(), {std::uint64_t{load_be<std::uint32_t>(address)} << 32, 0});
}

Peer* AllowedIps::find_v6(const std::byte* address) const noexcept {
  return find_in(v6_.get(), {load_be<std::uint64_t>(address), load_be<std::uint64_t>(address + 8)});
}

Peer* AllowedIps::find(const IpAddress& address) const noexcept {
  return address.is_v4() ? find_v4(address.bytes().data()) : find_v6(address.bytes().data());
}

}  // namespace higgs::wireguard
