// Other servers as the relay sees them: where a node is linked, and the links between servers (proto/relay.md,
// "Cascade"). Values only.
#pragma once

#include <compare>
#include <cstdint>

#include "base/bytes.h"
#include "base/uuid.h"

namespace higgs::relay {

/// The worker that serves a node, its link and all its sessions, on a server with that many. Every server must come to
/// the same one, whatever its build: the first eight bytes of the id, which is a digest's.
inline unsigned worker_of(const NodeId& node, unsigned workers) noexcept {
  return static_cast<unsigned>(load_be<std::uint64_t>(node.value().bytes().data()) % workers);
}

/// A server where a node is linked, as presence says.
struct ServerRef {
  ServerId server;
  unsigned workers = 1;  ///< that it has; at least 1
};

/// Sessions of an outgoing link go to nodes of the peer's, those of an incoming one come from its clients.
enum class ServerLinkDirection { kOutgoing, kIncoming };

/// A link between a worker of ours and one of another server's.
struct ServerLink {
  ServerId peer;
  ServerLinkDirection direction = ServerLinkDirection::kOutgoing;
  unsigned peer_worker = 0;
  std::int64_t iat = 0;  ///< of the token that it came up with, Unix seconds
};

}  // namespace higgs::relay
