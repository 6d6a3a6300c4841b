#include "bosonserver/relay/relay_registry.h"

#include <algorithm>

namespace higgs::boson {

SessionBytes to_session_bytes(const relay::SessionTraffic& traffic) noexcept {
  constexpr auto kOrder = std::memory_order_relaxed;
  return {traffic.up_bytes.load(kOrder), traffic.down_bytes.load(kOrder), traffic.up_packets.load(kOrder),
          traffic.down_packets.load(kOrder)};
}

RelayRegistry::Standing RelayRegistry::node(NodeId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(id);
  return {found != nodes_.end(), found == nodes_.end() ? 0 : found->second, nodes_.size()};
}

RelayRegistry::Standing RelayRegistry::session(SessionId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  return {found != sessions_.end(), found == sessions_.end() ? 0 : found->second.iat, sessions_.size()};
}

std::optional<SessionBytes> RelayRegistry::session_bytes(SessionId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return std::nullopt;
  return found->second.traffic ? to_session_bytes(*found->second.traffic) : SessionBytes{};
}

void RelayRegistry::note_node(NodeId id, std::int64_t iat) {
  const std::lock_guard lock(mutex_);
  auto& standing = nodes_.try_emplace(id, iat).first->second;
  standing = std::max(standing, iat);
}

void RelayRegistry::note_session(SessionId id, std::int64_t iat) {
  const std::lock_guard lock(mutex_);
  auto& standing = sessions_.try_emplace(id).first->second;
  standing.iat = std::max(standing.iat, iat);
}

void RelayRegistry::set_traffic(SessionId id, std::int64_t iat, std::shared_ptr<const relay::SessionTraffic> traffic) {
  const std::lock_guard lock(mutex_);
  auto& standing = sessions_.try_emplace(id).first->second;
  standing.iat = std::max(standing.iat, iat);
  standing.traffic = std::move(traffic);
}

void RelayRegistry::forget_node(NodeId id) {
  const std::lock_guard lock(mutex_);
  nodes_.erase(id);
}

void RelayRegistry::forget_session(SessionId id) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(id);
}

}  // namespace higgs::boson
