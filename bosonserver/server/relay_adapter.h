// The relay as the API sees it; absent before its start and after its end.
#pragma once

#include <shared_mutex>

#include "bosonserver/api/relay_control.h"

namespace higgs::boson {

class RelayServer;

class RelayAdapter final : public RelayControl {
 public:
  void attach(RelayServer* relay);
  /// When it returns nobody is in a call to the relay any more.
  void detach() { attach(nullptr); }

  bool node_link_up(NodeId node) const override;
  void close_session(SessionId session, relay::CloseReason reason) override;
  void close_node(NodeId node, relay::CloseReason reason) override;
  void renew_session(SessionId session, WallTime expires_at) override;
  bool draining() const override;
  std::optional<std::uint64_t> forwarded_bytes(SessionId session) const override;

 private:
  mutable std::shared_mutex mutex_;
  RelayServer* relay_ = nullptr;  // guarded by mutex_
};

}  // namespace higgs::boson
