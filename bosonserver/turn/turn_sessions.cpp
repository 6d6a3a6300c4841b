#include "bosonserver/turn/turn_sessions.h"

#include <algorithm>
#include <charconv>

#include "base/base64.h"
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
  const auto digits = text.substr(0, colon);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), name.expires_at);
  if (error != std::errc{} || end != digits.data() + digits.size() || name.expires_at <= 0) return std::nullopt;
  const auto session = parse_id<SessionId>(text.substr(colon + 1));
  if (!session) return std::nullopt;
  name.session = *session;
  return name;
}

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

bool TurnSessions::add(Session& session, const IpAddress& candidate) {
  const auto address = candidate.unmapped();
  // What would be refused anyway takes no place.
  if (address.is_unspecified() || !policy_.permits(address)) return false;
  auto& known = session.candidates;
  if (std::find(known.begin(), known.end(), address) != known.end()) return true;
  if (known.size() >= kMaxSessionCandidates) return false;
  known.push_back(address);
  return true;
}

bool TurnSessions::open(SessionId id, const std::vector<IpAddress>& candidates, std::int64_t expires_at) {
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= max_sessions_ && !sessions_.contains(id)) {
    ++counters_.refused_sessions;
    return false;
  }
  Session& session = sessions_[id];
  session.expires_at = std::max(session.expires_at, expires_at);
  for (const auto& candidate : candidates) add(session, candidate);
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
  if (!add(found->second, candidate)) ++counters_.refused_candidates;
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
  if (std::find(users.begin(), users.end(), username) == users.end()) {
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
  const auto& known = found->second.candidates;
  return std::find(known.begin(), known.end(), peer.unmapped()) != known.end();
}

}  // namespace higgs::boson
