// Which ids stand on the relay, over all workers: for admission before an upgrade and for counting. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/uuid.h"
#include "bosonserver/relay/relay_events.h"
#include "relay/shard.h"

namespace higgs::boson {

SessionBytes to_session_bytes(const relay::SessionTraffic& traffic) noexcept;

class RelayRegistry {
 public:
  struct Standing {
    bool stands = false;
    std::int64_t iat = 0;
    std::size_t total = 0;  ///< ids of that kind that stand
  };
  Standing node(NodeId id) const;
  Standing session(SessionId id) const;
  std::optional<SessionBytes> session_bytes(SessionId id) const;

  /// What a link that is being handed over announces; the worker confirms it.
  void note_node(NodeId id, std::int64_t iat);
  void note_session(SessionId id, std::int64_t iat);
  void set_traffic(SessionId id, std::int64_t iat, std::shared_ptr<const relay::SessionTraffic> traffic);
  void forget_node(NodeId id);
  void forget_session(SessionId id);

 private:
  struct Session {
    std::int64_t iat = 0;
    std::shared_ptr<const relay::SessionTraffic> traffic;
  };
  mutable std::mutex mutex_;
  std::unordered_map<NodeId, std::int64_t> nodes_;
  std::unordered_map<SessionId, Session> sessions_;
};

}  // namespace higgs::boson
