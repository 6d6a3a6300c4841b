#include "bosonserver/turn/turn_sessions.h"

#include <algorithm>

#include "base/base64.h"
#include "base/number.h"
#include "crypto/hash.h"

namespace higgs::boson {

namespace {

struct UserName {
  std::int64_t expires_at = 0;
  SessionId session;
};

std::optional<UserName> parse_username(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  UserName name;
  name.expires_at = parse_number<std::int64_t>(text.substr(0, colon)).value_or(0);
  if (name.expires_at <= 0) return std::nullopt;
  const auto session = parse_id<SessionId>(text.substr(colon + 1));
  if (!session) return std::nullopt;
  name.session = *session;
  return name;
}

bool contains(const auto& list, const auto& value) { return std::find(list.begin(), list.end(), value) != list.end(); }

}  // namespace

TurnSessions::TurnSessions(TurnSecret secret, turn::PeerPolicy policy, std::size_t max_sessions)
    : secret_(std::move(secret)), policy_(std::move(policy)), max_sessions_(max_sessions) {}

std::string TurnSessions::password_of(std::string_view username) const {
  return to_base64(crypto::hmac_sha256(secret_.reveal(), as_bytes(username)));
}

TurnCredential TurnSessions::issue(SessionId session, std::int64_t expires_at) const {
  auto username = std::to_string(expires_at) + ":" + to_string(session);
  auto password = password_of(username);
  return {std::move(username), std::move(password), expires_at};
}

std::optional<IpAddress> TurnSessions::acceptable(const IpAddress& address) const {
  const auto plain = address.unmapped();
  if (plain.is_unspecified() || !policy_.permits(plain)) return std::nullopt;
  return plain;
}

bool TurnSessions::open(SessionId id, const std::vector<IpAddress>& registered, std::int64_t expires_at) {
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= max_sessions_ && !sessions_.contains(id)) {
    ++counters_.refused_sessions;
    return false;
  }
  Session& session = sessions_[id];
  session.expires_at = std::max(session.expires_at, expires_at);
  session.registered.clear();
  for (const auto& address : registered)
    if (const auto plain = acceptable(address); plain && session.registered.size() < kMaxSessionCandidates)
      session.registered.push_back(*plain);
  return true;
}

void TurnSessions::renew(SessionId id, std::int64_t expires_at) {
  const std::lock_guard lock(mutex_);
  if (const auto found = sessions_.find(id); found != sessions_.end()) found->second.expires_at = expires_at;
}

bool TurnSessions::stands(SessionId session) const {
  const std::lock_guard lock(mutex_);
  return sessions_.contains(session);
}

void TurnSessions::add_candidate(SessionId id, const IpAddress& candidate) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const auto plain = acceptable(candidate);
  if (!plain) {
    ++counters_.refused_candidates;
    return;
  }
  auto& [registered, candidates, told, users, expires_at] = found->second;
  if (contains(registered, *plain) || contains(candidates, *plain)) return;
  if (told >= kMaxSessionCandidatesEver) {
    ++counters_.refused_candidates;
    return;
  }
  if (registered.size() + candidates.size() >= kMaxSessionCandidates) {
    ++counters_.replaced_candidates;
    if (candidates.empty()) return;
    candidates.pop_front();
  }
  candidates.push_back(*plain);
  ++told;
}

void TurnSessions::close(SessionId id) {
  std::vector<std::string> users;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    users = std::move(found->second.users);
    sessions_.erase(found);
  }
  if (!revoked_) return;
  for (const auto& user : users) revoked_(user);
}

TurnSessions::Counters TurnSessions::counters() const {
  const std::lock_guard lock(mutex_);
  auto counters = counters_;
  counters.sessions = sessions_.size();
  return counters;
}

std::optional<SecretString> TurnSessions::password(WallTime now, std::string_view username) {
  const auto name = parse_username(username);
  if (!name || name->expires_at <= unix_seconds(now)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(name->session);
  if (found == sessions_.end() || found->second.expires_at <= unix_seconds(now)) return std::nullopt;
  auto& users = found->second.users;
  if (!contains(users, username)) {
    if (users.size() >= kMaxSessionUsers) return std::nullopt;
    users.emplace_back(username);
  }
  return SecretString(password_of(username));
}

bool TurnSessions::permits(std::string_view username, const IpAddress& peer) {
  if (!policy_.permits(peer)) return false;
  const auto name = parse_username(username);
  if (!name) return false;
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(name->session);
  if (found == sessions_.end()) return false;
  const auto plain = peer.unmapped();
  return contains(found->second.registered, plain) || contains(found->second.candidates, plain);
}

}  // namespace higgs::boson
