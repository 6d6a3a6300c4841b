// Whether the node that the server offers is the node it claims to be. The server passes key certificates on but cannot
// make one: the certificate is checked against the node id, and against the highest sequence that this client has seen
// of that node, before a byte is sent to it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "api/routing.h"
#include "base/result.h"
#include "base/time.h"
#include "base/uuid.h"
#include "higgsvpn/failure.h"

namespace higgs::vpn {

class NodeTrust {
 public:
  /// Nodes remembered; the one with the oldest use goes first.
  static constexpr std::size_t kMaxNodes = 4096;

  explicit NodeTrust(std::filesystem::path file);
  Result<void> load();

  /// Checks the certificate of a route answer, that it speaks of the WireGuard key offered, and of the node asked for;
  /// then remembers its sequence (durably, before it is relied on).
  Outcome<void> check(const api::NodeEndpoint& offered, const std::optional<NodeId>& wanted, WallTime now);

 private:
  struct Seen {
    std::uint64_t sequence = 0;
    std::int64_t last_used = 0;
  };
  Result<void> save() const;

  std::filesystem::path file_;
  std::map<NodeId, Seen> seen_;
};

}  // namespace higgs::vpn
