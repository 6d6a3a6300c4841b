#include "bosonserver/api/store_grace.h"

#include <algorithm>

namespace higgs::boson {
namespace {

/// Nobody logs in by what is remembered.
UserRecord without_password(UserRecord user) {
  user.password_hash.clear();
  return user;
}

}  // namespace

StoreGrace::StoreGrace(Store& store, const GraceLimits& limits)
    : store_(store),
      sessions_(limits.sessions),
      users_(limits.users),
      keys_(limits.keys),
      nodes_(limits.nodes),
      most_unsettled_(limits.sessions) {}

std::string StoreGrace::key_of(const crypto::Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::uint64_t StoreGrace::mark() const {
  const std::lock_guard lock(mutex_);
  return forgets_;
}

void StoreGrace::answered(Now now) {
  const std::lock_guard lock(mutex_);
  if (!answered_ || answered_->monotonic < now.monotonic) answered_ = now;
}

WallTime StoreGrace::last_answer() const {
  const std::lock_guard lock(mutex_);
  return answered_ ? answered_->wall : WallTime{};
}

std::optional<std::int64_t> StoreGrace::ends_at(Now now) const {
  const std::lock_guard lock(mutex_);
  return end_of(now);
}

std::optional<std::int64_t> StoreGrace::end_of(Now now) const {
  if (!answered_) return std::nullopt;
  // By the clock that nobody sets; the other one only names the moment.
  const auto left = answered_->monotonic + kStoreGrace - now.monotonic;
  if (left <= Instant::duration::zero()) return std::nullopt;
  return unix_seconds(now.wall + std::chrono::duration_cast<std::chrono::seconds>(left));
}

// --- what is asked -----------------------------------------------------------------------------------------------

Result<Known<Caller>> StoreGrace::caller_by_login(UserId user, const std::string& family, Now now) {
  const auto before = mark();
  auto caller = store_.caller_by_login(user, family);
  if (caller) {
    answered(now);
    note(*caller, family, before);
    return Known<Caller>{std::move(*caller), false};
  }
  if (caller.error() != StoreError::kUnavailable) return caller.error();
  const std::lock_guard lock(mutex_);
  const KnownUser* known = end_of(now) ? users_.find(user) : nullptr;
  if (known == nullptr || std::find(known->logins.begin(), known->logins.end(), family) == known->logins.end())
    return caller.error();
  return Known<Caller>{{known->user, true}, true};
}

void StoreGrace::note(const Caller& caller, const std::string& family, std::uint64_t before) {
  const std::lock_guard lock(mutex_);
  if (before != forgets_) return;
  KnownUser known{without_password(caller.user), {}};
  if (KnownUser* standing = users_.find(caller.user.id)) known.logins = std::move(standing->logins);
  std::erase(known.logins, family);
  if (caller.login_stands) known.logins.push_back(family);
  if (known.logins.size() > kMaxLoginsRemembered) known.logins.erase(known.logins.begin());
  users_.put(caller.user.id, std::move(known));
}

Result<Known<KeyCaller>> StoreGrace::caller_by_key(const crypto::Sha256Digest& key, Now now) {
  const auto before = mark();
  auto caller = store_.caller_by_key(key);
  if (!caller && caller.error() != StoreError::kUnavailable) return caller.error();
  if (caller) answered(now);
  const std::lock_guard lock(mutex_);
  if (caller) {
    if (before == forgets_) keys_.put(key_of(key), {without_password(caller->user), caller->key});
    return Known<KeyCaller>{std::move(*caller), false};
  }
  const KeyCaller* known = end_of(now) ? keys_.find(key_of(key)) : nullptr;
  if (known == nullptr) return caller.error();
  return Known<KeyCaller>{*known, true};
}

Result<Known<SessionRow>> StoreGrace::session(SessionId id, Now now) {
  const auto before = mark();
  auto row = store_.session(id);
  if (!row && row.error() != StoreError::kUnavailable) return row.error();
  if (row) answered(now);
  const std::lock_guard lock(mutex_);
  if (row) {
    if (before == forgets_ && !row->ended_at) sessions_.put(id, *row);
    return Known<SessionRow>{std::move(*row), false};
  }
  const SessionRow* known = end_of(now) ? sessions_.find(id) : nullptr;
  if (known == nullptr) return row.error();
  return Known<SessionRow>{*known, true};
}

Result<Known<NodeStanding>> StoreGrace::node(NodeId id, Now now) {
  const auto before = mark();
  const auto record = store_.node(id);
  if (record) {
    answered(now);
    const NodeStanding standing{record->admission, record->heartbeat_interval};
    remember(id, standing, before);
    return Known<NodeStanding>{standing, false};
  }
  if (record.error() != StoreError::kUnavailable) return record.error();
  const auto known = remembered_node(id, now);
  if (!known) return record.error();
  return Known<NodeStanding>{*known, true};
}

std::optional<NodeStanding> StoreGrace::remembered_node(NodeId id, Now now) {
  const std::lock_guard lock(mutex_);
  const NodeStanding* known = end_of(now) ? nodes_.find(id) : nullptr;
  return known ? std::optional(*known) : std::nullopt;
}

void StoreGrace::remember(NodeId id, const NodeStanding& standing, std::uint64_t before) {
  const std::lock_guard lock(mutex_);
  if (before == forgets_) nodes_.put(id, standing);
}

// --- renewals ----------------------------------------------------------------------------------------------------

Result<std::int64_t> StoreGrace::renew_session(const SessionRow& session, std::int64_t wanted, Now now) {
  const auto renewed = store_.renew_session(session.id, wanted);
  if (renewed) answered(now);
  const std::lock_guard lock(mutex_);
  SessionRow* known = sessions_.find(session.id);
  if (renewed) {
    if (known != nullptr) known->expires_at = std::max(known->expires_at, wanted);
    unsettled_.erase(session.id);
    return wanted;
  }
  if (renewed.error() != StoreError::kUnavailable) return renewed.error();
  const auto end = end_of(now);
  if (!end || known == nullptr) return renewed.error();
  if (!unsettled_.contains(session.id) && unsettled_.size() >= most_unsettled_) return renewed.error();
  // What it had is not taken from it.
  known->expires_at = std::max(known->expires_at, std::min(wanted, *end));
  unsettled_[session.id] = known->expires_at;
  ++renewals_;
  return known->expires_at;
}

Result<std::vector<SessionId>> StoreGrace::settle(Now now) {
  std::unordered_map<SessionId, std::int64_t> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = unsettled_;
  }
  std::vector<SessionId> ended;
  for (const auto& [id, expires_at] : waiting) {
    const auto written = store_.renew_session(id, expires_at);
    if (!written && written.error() == StoreError::kUnavailable) return written.error();
    answered(now);
    if (!written) ended.push_back(id);
    const std::lock_guard lock(mutex_);
    const auto found = unsettled_.find(id);
    // It may have been renewed again meanwhile.
    if (found != unsettled_.end() && (!written || found->second <= expires_at)) unsettled_.erase(found);
    if (!written) sessions_.erase(id);
  }
  return ended;
}

// --- what is not so any more ---------------------------------------------------------------------------------------

void StoreGrace::forget_session(SessionId id) {
  const std::lock_guard lock(mutex_);
  ++forgets_;
  sessions_.erase(id);
  unsettled_.erase(id);
}

void StoreGrace::forget_user(UserId id) {
  const std::lock_guard lock(mutex_);
  ++forgets_;
  users_.erase(id);
  keys_.erase_if([id](const KeyCaller& caller) { return caller.user.id == id; });
}

void StoreGrace::forget_node(NodeId id) {
  const std::lock_guard lock(mutex_);
  ++forgets_;
  nodes_.erase(id);
}

void StoreGrace::forget_users_and_nodes() {
  const std::lock_guard lock(mutex_);
  ++forgets_;
  users_.clear();
  keys_.clear();
  nodes_.clear();
}

void StoreGrace::count_link() {
  const std::lock_guard lock(mutex_);
  ++links_;
}

GraceStats StoreGrace::stats() const {
  const std::lock_guard lock(mutex_);
  return {renewals_, links_, sessions_.evicted() + users_.evicted() + keys_.evicted() + nodes_.evicted(),
          unsettled_.size()};
}

}  // namespace higgs::boson
