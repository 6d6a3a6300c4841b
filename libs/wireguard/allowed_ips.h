// Which peer an inner IP address belongs to ("cryptokey routing", paper, section 2): a path-compressed binary trie per
// address family, longest prefix first.
//
//        10.0.0.0/8 A
//        /          \             a node without a peer only splits
//   10.1.0.0/16 B   10.128.0.0/9 C
#pragma once

#include <cstdint>
#include <memory>

#include "base/ip.h"

namespace higgs::wireguard {

struct Peer;

class AllowedIps {
 public:
  AllowedIps();
  ~AllowedIps();
  AllowedIps(const AllowedIps&) = delete;
  AllowedIps& operator=(const AllowedIps&) = delete;

  /// Gives the prefix to `peer`; returns who had it before, or nullptr.
  Peer* insert(const IpPrefix& prefix, Peer& peer);
  /// Takes the prefix away if `peer` has exactly it.
  bool remove(const IpPrefix& prefix, const Peer& peer);

  /// The peer of the longest prefix that holds the address; nullptr if there is none. 4 or 16 bytes, network order.
  Peer* find_v4(const std::byte* address) const noexcept;
  Peer* find_v6(const std::byte* address) const noexcept;
  Peer* find(const IpAddress& address) const noexcept;

  std::size_t node_count() const noexcept { return node_count_; }

 private:
  struct Key;
  struct Node;
  using Link = std::unique_ptr<Node>;

  static Key key_of(const IpAddress& address) noexcept;
  Peer* find_in(const Node* node, const Key& key) const noexcept;
  Link& root_of(const IpPrefix& prefix) noexcept { return prefix.address().is_v4() ? v4_ : v6_; }
  Link make_node(const Key& key, unsigned length, Peer* peer);
  bool remove_in(Link& link, const Key& key, unsigned length, const Peer& peer);
  /// A node without a peer and with fewer than two children has no reason to be.
  void collapse(Link& link);

  Link v4_;
  Link v6_;
  std::size_t node_count_ = 0;
};

}  // namespace higgs::wireguard
