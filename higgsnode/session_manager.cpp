#include "higgsnode/session_manager.h"

#include <algorithm>
#include <utility>

namespace higgs::node {

using relay::RefusalReason;

SessionManager::SessionManager(PeerTable& peers, const TunnelPrefixes& prefixes, std::size_t most_sessions, Ended ended)
    : peers_(peers), prefixes_(prefixes), most_sessions_(most_sessions), ended_(std::move(ended)) {}

void SessionManager::set_policy_in_force(bool in_force) {
  in_force_ = in_force;
  if (!in_force_) close_all();
}

std::optional<RefusalReason> SessionManager::fault_of(const SessionId& id, const relay::SessionOpen& request) const {
  const auto key = by_key_.find(request.wireguard_public_key);
  if (key != by_key_.end() && key->second != id) return RefusalReason::kKeyInUse;
  if (request.addresses.empty()) return RefusalReason::kPolicy;
  for (const auto& address : request.addresses) {
    if (!prefixes_.may_be_clients(address)) return RefusalReason::kPolicy;
    const auto holder = by_address_.find(address);
    if (holder != by_address_.end() && holder->second != id) return RefusalReason::kAddressInUse;
  }
  const auto known = sessions_.find(id);
  if (known == sessions_.end()) {
    return sessions_.size() >= most_sessions_ ? std::optional(RefusalReason::kFull) : std::nullopt;
  }
  // A session has one key and one set of addresses for its whole life.
  const bool same = known->second.key == request.wireguard_public_key && known->second.addresses == request.addresses;
  return same ? std::nullopt : std::optional(RefusalReason::kPolicy);
}

/// What is only kept for a client that may come back does not stand in another's way: the server knows it no more, and
/// may have given its addresses to somebody else.
void SessionManager::make_way(const SessionId& id, const relay::SessionOpen& request) {
  const auto end_if_gone = [this, &id](const SessionId& holder) {
    const auto held = sessions_.find(holder);
    if (holder != id && held != sessions_.end() && held->second.client_gone) end(held);
  };
  if (const auto key = by_key_.find(request.wireguard_public_key); key != by_key_.end())
    end_if_gone(SessionId(key->second));
  for (const auto& address : request.addresses)
    if (const auto holder = by_address_.find(address); holder != by_address_.end())
      end_if_gone(SessionId(holder->second));
  if (sessions_.contains(id) || sessions_.size() < most_sessions_) return;
  const auto gone =
      std::find_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return s.second.client_gone; });
  if (gone != sessions_.end()) end(gone);
}

SessionManager::Answer SessionManager::open(Now now, tunnel::LinkId link, const SessionId& id,
                                            const relay::SessionOpen& request) {
  const auto refuse = [&](RefusalReason reason) -> Answer {
    ++counters_.refused;
    return relay::SessionRefused{request.channel, reason};
  };
  if (!in_force_) return refuse(RefusalReason::kPolicy);
  if (draining_ || (maintenance_ && !sessions_.contains(id))) return refuse(RefusalReason::kDraining);
  if (request.channel == 0) return refuse(RefusalReason::kPolicy);
  make_way(id, request);
  if (const auto fault = fault_of(id, request)) return refuse(*fault);

  const auto where = tunnel::relay_address(link, request.channel);
  if (const auto known = sessions_.find(id); known != sessions_.end()) {
    auto& session = known->second;
    if (!peers_.move(session.key, where)) {
      end(known);
      return refuse(RefusalReason::kPolicy);
    }
    session.link = link;
    session.channel = request.channel;
    session.link_lost.reset();
    session.client_gone = false;
    ++session.moves;
    ++counters_.moved;
    return relay::SessionReady{request.channel, false};
  }
  if (!peers_.add(request.wireguard_public_key, request.addresses, where)) return refuse(RefusalReason::kFull);
  Session session;
  session.id = id;
  session.key = request.wireguard_public_key;
  session.addresses = request.addresses;
  session.link = link;
  session.channel = request.channel;
  session.opened = now.wall;
  for (const auto& address : session.addresses) by_address_[address] = id;
  by_key_[session.key] = id;
  sessions_.emplace(id, std::move(session));
  ++counters_.opened;
  return relay::SessionReady{request.channel, true};
}

void SessionManager::close(Now now, tunnel::LinkId link, const SessionId& id, const relay::SessionClose& request) {
  const auto known = sessions_.find(id);
  const bool of_present_channel = known != sessions_.end() && known->second.link == link &&
                                  (!request.channel || *request.channel == known->second.channel);
  if (!of_present_channel) {
    ++counters_.unknown_closes;
    return;
  }
  auto& session = known->second;
  if (request.reason != relay::CloseReason::kClientGone || !peers_.carried_without_relay(session.key)) {
    end(known);
    return;
  }
  if (std::exchange(session.client_gone, true)) return;
  ++counters_.kept;
  session.link_lost = now.monotonic;
  peers_.relay_lost(session.key);
}

void SessionManager::end(std::unordered_map<SessionId, Session>::iterator session) {
  const auto last = std::move(session->second);
  sessions_.erase(session);
  by_key_.erase(last.key);
  for (const auto& address : last.addresses) by_address_.erase(address);
  const auto status = peers_.status(last.key);
  // A peer that is gone already is as good as removed.
  (void)peers_.remove(last.key);
  ++counters_.closed;
  if (ended_) ended_(last, status);
}

void SessionManager::close_all() {
  while (!sessions_.empty()) end(sessions_.begin());
}

void SessionManager::link_lost(Now now, tunnel::LinkId link) {
  has_link_ = false;
  for (auto& [id, session] : sessions_) {
    if (session.link != link || session.link_lost) continue;
    session.link_lost = now.monotonic;
    peers_.relay_lost(session.key);
  }
}

const Session* SessionManager::find(tunnel::LinkId link, const SessionId& id) const {
  const auto known = sessions_.find(id);
  return known != sessions_.end() && known->second.link == link && !known->second.link_lost ? &known->second : nullptr;
}

const Session* SessionManager::find(const crypto::PublicKey& key) const {
  const auto id = by_key_.find(key);
  return id == by_key_.end() ? nullptr : &sessions_.at(id->second);
}

void SessionManager::expire(Now now) {
  std::vector<SessionId> gone;
  for (auto& [id, session] : sessions_) {
    if (!session.link_lost) continue;
    if (!has_link_ && !session.client_gone && peers_.carried_without_relay(session.key))
      session.carried = now.monotonic;
    if (now.monotonic - std::max(*session.link_lost, session.carried) >= kLinklessLifetime) gone.push_back(id);
  }
  for (const auto& id : gone) {
    end(sessions_.find(id));
    ++counters_.expired;
  }
}

}  // namespace higgs::node
