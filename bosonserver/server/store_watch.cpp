#include "bosonserver/server/store_watch.h"

#include <algorithm>

#include "runtime/log.h"

namespace higgs::boson {

namespace log = runtime::log;

namespace {

/// Clocks of servers differ, and transactions take their time.
constexpr std::chrono::seconds kGapMargin{60};

relay::CloseReason close_reason(const std::string& reason) {
  if (reason == "expired") return relay::CloseReason::kExpired;
  if (reason == "banned") return relay::CloseReason::kBanned;
  return relay::CloseReason::kEnded;
}

template <class Id>
std::vector<Id> ids_of(const StoreEvent& event) {
  std::vector<Id> ids;
  ids.reserve(event.ids.size());
  for (const auto& id : event.ids) ids.emplace_back(id);
  return ids;
}

}  // namespace

StoreWatch::StoreWatch(Services& services)
    : services_(services),
      worker_([this] { repair(); }, kRepairInterval),
      subscription_(services.store.subscribe([this](const StoreEvent& event) { on_event(event); })) {}

void StoreWatch::on_event(const StoreEvent& event) {
  switch (event.kind) {
    case StoreEvent::Kind::kSessionsEnded:
      return end_sessions(ids_of<SessionId>(event), event.detail);
    case StoreEvent::Kind::kNodesBanned:
      return ban_nodes(ids_of<NodeId>(event));
    case StoreEvent::Kind::kNodesChanged:
      for (const auto& node : ids_of<NodeId>(event)) node_changed(services_, node);
      return;
    case StoreEvent::Kind::kNodesMoved:
      for (const auto& node : ids_of<NodeId>(event)) node_moved(services_, node);
      return;
    case StoreEvent::Kind::kUsersChanged:
      for (const auto& user : ids_of<UserId>(event)) services_.grace.forget_user(user);
      return;
    case StoreEvent::Kind::kKeysChanged:
      return worker_.post([this] {
        if (!refresh_keys()) miss(unix_seconds(services_.clock().wall));
      });
    case StoreEvent::Kind::kResync:
      services_.grace.forget_users_and_nodes();
      const auto since = unix_seconds(services_.clock().wall) - (event.gap + kGapMargin).count();
      return worker_.post([this, since] {
        miss(since);
        repair();
      });
  }
}

void StoreWatch::end_sessions(const std::vector<SessionId>& sessions, const std::string& reason) {
  for (const auto& session : sessions) session_over(services_, session, close_reason(reason));
}

void StoreWatch::ban_nodes(const std::vector<NodeId>& nodes) {
  // The links first: what is cached may be in Redis, which takes its time.
  for (const auto& node : nodes) services_.relay.close_node(node, relay::CloseReason::kBanned);
  for (const auto& node : nodes) {
    services_.grace.forget_node(node);
    node_changed(services_, node);
  }
}

void StoreWatch::miss(std::int64_t since) { missed_since_ = std::min(missed_since_.value_or(since), since); }

void StoreWatch::repair() {
  // The store may have told that it is there again before it answers: then once more, until it does.
  if (missed_since_ && look_again(*missed_since_)) missed_since_.reset();
  settle_renewals();
}

void StoreWatch::settle_renewals() {
  const auto ended = services_.grace.settle(services_.clock());
  if (!ended) return;
  for (const auto& session : *ended) {
    log::info("a session ended while the store was away", {{"session", to_string(session)}});
    session_over(services_, session, relay::CloseReason::kEnded);
  }
}

bool StoreWatch::look_again(std::int64_t since) {
  std::optional<SessionId> last_session;
  do {
    const auto ended = services_.store.sessions_ended_since(since, last_session, kMaxPage);
    if (!ended) return false;
    end_sessions(*ended, {});
    last_session = ended->size() == kMaxPage ? std::optional(ended->back()) : std::nullopt;
  } while (last_session);
  std::optional<NodeId> last_node;
  do {
    const auto banned = services_.store.banned_nodes(last_node, kMaxPage);
    if (!banned) return false;
    for (const auto& node : *banned) {
      services_.relay.close_node(node, relay::CloseReason::kBanned);
      services_.heartbeats.forget(node);
    }
    last_node = banned->size() == kMaxPage ? std::optional(banned->back()) : std::nullopt;
  } while (last_node);
  services_.directory.forget();
  return refresh_keys();
}

bool StoreWatch::refresh_keys() {
  const auto refreshed = services_.keys.refresh(services_.clock().wall);
  if (!refreshed) log::warn("the signing keys could not be read again");
  return refreshed.has_value();
}

}  // namespace higgs::boson
