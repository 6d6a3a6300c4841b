#include "bosonserver/server/relay_adapter.h"

#include "bosonserver/relay/relay_server.h"

namespace higgs::boson {

void RelayAdapter::attach(RelayServer* relay) {
  const std::unique_lock lock(mutex_);
  relay_ = relay;
}

bool RelayAdapter::node_link_up(NodeId node) const {
  const std::shared_lock lock(mutex_);
  return relay_ && relay_->standing_iat(node).has_value();
}

void RelayAdapter::close_session(SessionId session, relay::CloseReason reason) {
  const std::shared_lock lock(mutex_);
  if (relay_) relay_->close_session(session, reason);
}

void RelayAdapter::close_node(NodeId node, relay::CloseReason reason) {
  const std::shared_lock lock(mutex_);
  if (relay_) relay_->close_node(node, reason);
}

void RelayAdapter::renew_session(SessionId session, WallTime expires_at) {
  const std::shared_lock lock(mutex_);
  if (relay_) relay_->renew_session(session, expires_at);
}

bool RelayAdapter::draining() const {
  const std::shared_lock lock(mutex_);
  return !relay_ || relay_->draining();
}

std::optional<std::uint64_t> RelayAdapter::forwarded_bytes(SessionId session) const {
  const std::shared_lock lock(mutex_);
  const auto bytes = relay_ ? relay_->session_bytes(session) : std::nullopt;
  return bytes ? std::optional(bytes->up_bytes + bytes->down_bytes) : std::nullopt;
}

}  // namespace higgs::boson
