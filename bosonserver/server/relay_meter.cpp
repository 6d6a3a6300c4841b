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

std::int64_t RelayMeter::period() const { return quota_period_at(unix_seconds(services_.clock().wall)).number; }

/// nullopt: the store does not say.
std::optional<RelayMeter::Account> RelayMeter::ask(UserId user) {
  const auto month = period();
  const auto account = services_.store.relay_account(user, month);
  if (!account) return std::nullopt;
  return Account{month, *account};
}

/// By what is known without the store: nothing of a user whom it was never asked for, or not in this month.
bool RelayMeter::is_exhausted(const User& user, std::int64_t period) const {
  if (!user.account || user.account->period != period) return false;
  auto relay = user.account->relay;
  relay.used_bytes += user.counted_bytes;
  return relay.is_exhausted(services_.settings.relay_quota_bytes);
}

std::shared_ptr<relay::SharedRate> RelayMeter::join(SessionId id, UserId user) {
  const auto is_known = [&] {
    const std::lock_guard lock(mutex_);
    return users_.contains(user);
  };
  const auto account = is_known() ? std::nullopt : ask(user);
  const auto now = services_.clock().monotonic;
  const std::lock_guard lock(mutex_);
  if (!sessions_.contains(id) && sessions_.size() >= settings_.sessions) {
    ++unmetered_;
    auto rate = std::make_shared<relay::SharedRate>();
    rate->limit_to(now, settings_.rate_mbps);
    return rate;
  }
  const auto [entry, added] = users_.try_emplace(user);
  if (added) {
    entry->second.account = account;
    set_over_quota(entry->second, is_exhausted(entry->second, period()), now);
  }
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
  users_[session.user].add(bytes - std::min(bytes, session.counted_bytes));
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
  const auto over = write() ? ask_who_is_over() : std::nullopt;
  enforce(over);
  if (over) refresh();
}

void RelayMeter::count() {
  const auto now = services_.clock().monotonic;
  const std::lock_guard lock(mutex_);
  for (auto entry = sessions_.begin(); entry != sessions_.end();) {
    auto& session = entry->second;
    auto& user = users_[session.user];
    if (const auto bytes = forwarded_(entry->first)) {
      user.add(*bytes - std::min(*bytes, session.counted_bytes));
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
  const auto month = period();
  for (std::size_t from = 0; from < usage.size(); from += kUsageBatch) {
    const auto last = std::min(usage.size(), from + kUsageBatch);
    const std::vector<RelayUsage> batch(usage.begin() + static_cast<std::ptrdiff_t>(from),
                                        usage.begin() + static_cast<std::ptrdiff_t>(last));
    if (!services_.store.add_relay_usage(month, batch)) return false;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, bytes] : batch) users_[id].unsaved_bytes -= bytes;
  }
  return true;
}

/// nullopt: the store does not say.
std::optional<std::set<UserId>> RelayMeter::ask_who_is_over() {
  const auto month = period();
  std::set<UserId> over;
  std::optional<UserId> after;
  do {
    const auto page = services_.store.users_over_quota(month, services_.settings.relay_quota_bytes, after, kMaxPage);
    if (!page) return std::nullopt;
    over.insert(page->begin(), page->end());
    after = page->size() == kMaxPage ? std::optional(page->back()) : std::nullopt;
  } while (after);
  return over;
}

/// `over`: by the store; without it nobody gets back what the store has taken.
void RelayMeter::enforce(const std::optional<std::set<UserId>>& over) {
  std::vector<SessionId> turned_off;
  {
    const auto now = services_.clock().monotonic;
    const auto month = period();
    const std::lock_guard lock(mutex_);
    for (auto& [id, user] : users_) {
      const bool is_over = over ? over->contains(id) : user.over_quota || is_exhausted(user, month);
      if (is_over != user.over_quota)
        runtime::log::info(is_over ? "a user's relay quota is used up" : "a user is within the relay quota again",
                           {{"user", to_string(id)}});
      set_over_quota(user, is_over, now);
    }
    for (const auto& [id, session] : sessions_)
      if (users_[session.user].over_quota) turned_off.push_back(id);
  }
  // TURN would be a way around it: those tunnels go on over the relay.
  for (const auto& session : turned_off) services_.turn.close_session(session);
}

/// Asks for users of whom nothing is known of this month, or no longer the truth.
void RelayMeter::refresh() {
  std::vector<UserId> wanted;
  {
    const auto month = period();
    const std::lock_guard lock(mutex_);
    for (const auto& [id, user] : users_) {
      const bool is_known = user.account && user.account->period == month;
      if (wanted.size() < kUsageBatch && (!is_known || is_exhausted(user, month) != user.over_quota))
        wanted.push_back(id);
    }
  }
  for (const auto& id : wanted) {
    const auto account = ask(id);
    if (!account) return;
    const std::lock_guard lock(mutex_);
    const auto user = users_.find(id);
    if (user == users_.end()) continue;
    user->second.account = account;
    // What is not written yet is not in what the store has said.
    user->second.counted_bytes = user->second.unsaved_bytes;
  }
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
