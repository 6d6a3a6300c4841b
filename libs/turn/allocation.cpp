#include "turn/allocation.h"

#include <algorithm>

namespace higgs::turn {

namespace {
/// A rate is an average over about this time…
constexpr double kBurstSeconds = 0.25;
/// …but the largest datagram passes.
constexpr double kLeastBurstBytes = 2 * 65536.0;
}  // namespace

Allocation::Allocation(Instant now, const FiveTuple& client, std::string user, stun::IntegrityKey key,
                       const ServerLimits& limits)
    : client_(client), user_(std::move(user)), key_(std::move(key)), limits_(limits) {
  if (!limits.rate_mbps) return;
  const double per_second = *limits.rate_mbps * 1e6 / 8;
  to_peer_.emplace(now, per_second, std::max(per_second * kBurstSeconds, kLeastBurstBytes));
  to_client_ = to_peer_;
}

std::optional<Instant> Allocation::next_expiry() const noexcept {
  std::optional<Instant> next;
  for (const auto& relay : relays_)
    if (relay && (!next || relay->expires < *next)) next = relay->expires;
  return next;
}

bool Allocation::permitted(Instant now, const IpAddress& peer) const noexcept {
  return std::any_of(permissions_.begin(), permissions_.end(),
                     [&](const Permission& permission) { return permission.peer == peer && permission.expires > now; });
}

bool Allocation::room_for(Instant now, std::size_t permissions) {
  std::erase_if(permissions_, [&](const Permission& permission) { return permission.expires <= now; });
  return permissions_.size() + permissions <= limits_.permissions;
}

bool Allocation::permit(Instant now, const IpAddress& peer) {
  const auto found =
      std::find_if(permissions_.begin(), permissions_.end(), [&](const auto& held) { return held.peer == peer; });
  if (found != permissions_.end()) {
    found->expires = now + limits_.permission_lifetime;
    return true;
  }
  if (!room_for(now, 1)) return false;
  permissions_.push_back({peer, now + limits_.permission_lifetime});
  return true;
}

Allocation::Binding Allocation::bind(Instant now, std::uint16_t number, const Endpoint& peer) {
  std::erase_if(channels_, [&](const Channel& channel) { return channel.expires <= now; });
  for (auto& channel : channels_) {
    if (channel.number != number && channel.peer != peer) continue;
    if (channel.number != number || channel.peer != peer) return Binding::kConflict;
    if (!permit(now, peer.address)) return Binding::kFull;
    channel.expires = now + limits_.channel_lifetime;
    return Binding::kDone;
  }
  if (channels_.size() >= limits_.channels || !permit(now, peer.address)) return Binding::kFull;
  channels_.push_back({number, peer, now + limits_.channel_lifetime});
  return Binding::kDone;
}

const Allocation::Channel* Allocation::channel_of(Instant now, const Endpoint& peer) const noexcept {
  for (const auto& channel : channels_)
    if (channel.peer == peer && channel.expires > now) return &channel;
  return nullptr;
}

const Allocation::Channel* Allocation::channel(Instant now, std::uint16_t number) const noexcept {
  for (const auto& channel : channels_)
    if (channel.number == number && channel.expires > now) return &channel;
  return nullptr;
}

}  // namespace higgs::turn
