#include "bosonserver/api/revocation_watch.h"

namespace higgs::boson {
namespace {

/// How far the clocks of servers may be apart, and how long the store may be away.
constexpr std::int64_t kLookBackSeconds = 30;

relay::CloseReason reason_of(const std::string& end_reason) {
  if (end_reason == "expired") return relay::CloseReason::kExpired;
  return end_reason == "banned" ? relay::CloseReason::kBanned : relay::CloseReason::kEnded;
}

}  // namespace

void RevocationWatch::run(std::int64_t now) {
  close_ended(now);
  close_banned();
}

void RevocationWatch::close_ended(std::int64_t now) {
  const auto ended = store_.sessions_ended_since(now - kLookBackSeconds);
  if (!ended) return;
  std::set<SessionId> lately;
  for (const auto& session : *ended) {
    if (!closed_.contains(session.id)) {
      relay_.close_session(session.id, reason_of(session.reason));
      turn_.close_session(session.id);
    }
    lately.insert(session.id);
  }
  closed_ = std::move(lately);
}

void RevocationWatch::close_banned() {
  const auto banned = store_.banned_nodes();
  if (!banned) return;
  for (const auto& node : *banned)
    if (relay_.node_link_up(node)) relay_.close_node(node, relay::CloseReason::kBanned);
}

}  // namespace higgs::boson
