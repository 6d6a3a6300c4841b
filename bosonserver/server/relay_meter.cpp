#include "bosonserver/server/relay_meter.h"

#include <algorithm>

#include "bosonserver/domain/quota_period.h"
#include "runtime/log.h"

namespace higgs::boson {

RelayMeter::RelayMeter(Services& services, const RelayMeterSettings& settings,
                       std::function<std::optional<std::uint64_t>(SessionId)> forwarded)
    : services_(services), settings_(settings), forwarded_(std::move(forwarded)) {}

void RelayMeter::set_over_quota(User& user, bool over, Instant now) {
  user.over_quota = over;
  auto rate = settings_.rate_mbps;
  if (over) rate = std::min(rate.value_or(settings_.over_quota_mbps), settings_.over_quota_mbps);
  user.rate->limit_to(now, rate);
}

/// nullopt: the store does not say.
std::optional<bool> RelayMeter::ask(UserId user) {
  const auto period = quota_period_at(unix_seconds(services_.clock().wall));
  const auto account = services_.store.relay_account(user, period.number);
  if (!account) return std::nullopt;
  return account->is_exhausted(services_.settings.relay_quota_bytes);
}

std::shared_ptr<relay::SharedRate> RelayMeter::join(SessionId id, UserId user) {
  std::optional<bool> over;
  {
    const std::lock_guard lock(mutex_);
    const auto known = users_.find(user);
    if (known != users_.end()) over = known->second.over_quota;
  }
  if (!over) over = ask(user);
  const auto now = services_.clock().monotonic;
  const std::lock_guard lock(mutex_);
  if (!sessions_.contains(id) && sessions_.size() >= settings_.sessions) {
    ++unmetered_;
    auto rate = std::make_shared<relay::SharedRate>();
    rate->limit_to(now, settings_.rate_mbps);
    return rate;
  }
  const auto [entry, added] = users_.try_emplace(user);
  if (added) set_over_quota(entry->second, over.value_or(false), now);
  auto& session = sessions_[id];
  if (session.user != user) {
    session.user = user;
    ++entry->second.sessions;
  }
  session.touched = now;
  return entry->second.rate;
}

void RelayMeter::left(SessionId id, std::uint64_t bytes) {
  const auto now = services_.clock().monotonic;
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  auto& session = found->second;
  users_[session.user].unsaved_bytes += bytes - std::min(bytes, session.counted_bytes);
  session.counted_bytes = 0;
  session.touched = now;
}

bool RelayMeter::is_over_quota(UserId user) const {
  const std::lock_guard lock(mutex_);
  const auto found = users_.find(user);
  return found != users_.end() && found->second.over_quota;
}

bool RelayMeter::is_over_quota(SessionId session) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return false;
  const auto user = users_.find(found->second.user);
  return user != users_.end() && user->second.over_quota;
}

void RelayMeter::tick() {
  count();
  // Who is over quota is asked for when it includes what was just counted.
  if (write()) enforce();
}

void RelayMeter::count() {
  const auto now = services_.clock().monotonic;
  const std::lock_guard lock(mutex_);
  for (auto entry = sessions_.begin(); entry != sessions_.end();) {
    auto& session = entry->second;
    auto& user = users_[session.user];
    if (const auto bytes = forwarded_(entry->first)) {
      user.unsaved_bytes += *bytes - std::min(*bytes, session.counted_bytes);
      session.counted_bytes = *bytes;
      session.touched = now;
    } else if (now - session.touched >= kMeterMemory) {
      --user.sessions;
      entry = sessions_.erase(entry);
      continue;
    }
    ++entry;
  }
  std::erase_if(users_, [](const auto& user) { return user.second.sessions == 0 && user.second.unsaved_bytes == 0; });
}

bool RelayMeter::write() {
  std::vector<RelayUsage> usage;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, user] : users_)
      if (user.unsaved_bytes > 0) usage.push_back({id, user.unsaved_bytes});
  }
  const auto period = quota_period_at(unix_seconds(services_.clock().wall));
  for (std::size_t from = 0; from < usage.size(); from += kUsageBatch) {
    const auto last = std::min(usage.size(), from + kUsageBatch);
    const std::vector<RelayUsage> batch(usage.begin() + static_cast<std::ptrdiff_t>(from),
                                        usage.begin() + static_cast<std::ptrdiff_t>(last));
    if (!services_.store.add_relay_usage(period.number, batch)) return false;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, bytes] : batch) users_[id].unsaved_bytes -= bytes;
  }
  return true;
}

void RelayMeter::enforce() {
  const auto period = quota_period_at(unix_seconds(services_.clock().wall));
  std::set<UserId> over;
  std::optional<UserId> after;
  do {
    const auto page =
        services_.store.users_over_quota(period.number, services_.settings.relay_quota_bytes, after, kMaxPage);
    if (!page) return;
    over.insert(page->begin(), page->end());
    after = page->size() == kMaxPage ? std::optional(page->back()) : std::nullopt;
  } while (after);
  std::vector<SessionId> turned_off;
  {
    const auto now = services_.clock().monotonic;
    const std::lock_guard lock(mutex_);
    for (auto& [id, user] : users_) {
      const bool is_over = over.contains(id);
      if (is_over != user.over_quota)
        runtime::log::info(is_over ? "a user's relay quota is used up" : "a user is within the relay quota again",
                           {{"user", to_string(id)}});
      set_over_quota(user, is_over, now);
    }
    for (const auto& [id, session] : sessions_)
      if (over.contains(session.user)) turned_off.push_back(id);
  }
  // TURN would be a way around it: those tunnels go on over the relay.
  for (const auto& session : turned_off) services_.turn.close_session(session);
}

RelayMeterStats RelayMeter::stats() const {
  const std::lock_guard lock(mutex_);
  RelayMeterStats stats;
  for (const auto& [id, user] : users_) {
    stats.unsaved_bytes += user.unsaved_bytes;
    if (user.over_quota) ++stats.over_quota;
  }
  stats.unmetered = unmetered_;
  return stats;
}

}  // namespace higgs::boson
