// Requests that go out: probes, consent checks and connectivity checks; and their answers (RFC 8445, section 7.2).
#include <algorithm>

#include "ice/agent_impl.h"

namespace higgs::ice {

void Agent::Impl::pump(Instant now) {
  if (!remote_) return;
  if (const auto renewal = budget_.renewal(); renewal && *renewal <= now) begin_attempt(now);
  while (!probes_.empty() && budget_.next_probe() <= now) {
    const Probe probe = probes_.front();
    probes_.pop_front();
    if (const Pair* pair = find(probe.pair)) send_request(now, *pair, probe.number, probe.epoch);
  }
  while (budget_.next_probe() <= now && send_consent_check(now)) {
  }
  while (budget_.next_check() <= now && send_check(now)) {
  }
}

bool Agent::Impl::send_consent_check(Instant now) {
  for (auto& pair : list_.all()) {
    if (!pair.valid || pair.consent.next() > now) continue;
    send_request(now, pair.pair, std::nullopt, 0);
    return true;
  }
  return false;
}

bool Agent::Impl::send_check(Instant now) {
  while (CheckedPair* pair = list_.next(now)) {
    const bool learned = pair->pair.base == Base::kSocket && pair->pair.remote_type == CandidateType::kPeerReflexive;
    if (budget_.admit(pair->pair.remote, pair->proven || pair->valid, learned)) {
      list_.sent(now, *pair);
      send_request(now, pair->pair, std::nullopt, 0);
      return true;
    }
    ++counters_.destinations_refused;
    pair->refused = true;
    list_.give_up(*pair);
  }
  return false;
}

void Agent::Impl::send_request(Instant now, const Pair& pair, std::optional<std::uint32_t> probe, std::uint32_t epoch) {
  PendingRequest request;
  request.transaction = random_.array<12>();
  request.base = pair.base;
  request.to = pair.remote;
  request.pair = pair.id;
  request.sent = now;
  request.role = role_;
  request.remote_key = remote_keys_.back().serial;
  request.probe = probe;
  // RFC 8445, section 7.1.1: the priority that a candidate would have which the far end learns from this request.
  const auto priority = candidate_priority(CandidateType::kPeerReflexive, pair.remote.address);
  const CheckRequest content{credentials_.current().ufrag, remote_->ufrag, priority, role_, tie_breaker_, epoch};
  Bytes bytes = make_request(request.transaction, content, remote_keys_.back().key);
  pending_.add(request);
  budget_.spend(now);
  ++counters_.requests_sent;
  if (CheckedPair* checked = list_.find(pair.id))
    checked->consent.asked(now, options_.limits.consent_interval, random_);
  transmit(pair.base, pair.remote, std::move(bytes));
}

const stun::IntegrityKey* Agent::Impl::remote_key(unsigned serial) const noexcept {
  for (const auto& remote : remote_keys_)
    if (remote.serial == serial) return &remote.key;
  return nullptr;
}

bool Agent::Impl::handle_response(Instant now, Base base, const Endpoint& from, ByteView datagram) {
  stun::TransactionId transaction;
  std::copy_n(datagram.begin() + 8, transaction.size(), transaction.begin());
  const PendingRequest* request = pending_.find(now, transaction);
  if (request == nullptr) {
    ++counters_.unmatched;
    return false;
  }
  // RFC 8445, section 7.2.5.2.1: an answer from elsewhere validates nothing. Nor does it end the check, or who repeats
  // a true answer from a wrong address could end them all.
  if (request->base != base || (base != Base::kRelay && request->to != from)) {
    ++counters_.unmatched;
    return true;
  }
  const auto message = stun::parse(datagram);
  if (!message || message->method != stun::kBindingMethod || !message->has_fingerprint) {
    ++counters_.malformed;
    return true;
  }
  const stun::IntegrityKey* key = remote_key(request->remote_key);
  if (key == nullptr || stun::check_integrity(datagram, *message, *key) != stun::Integrity::kGood) {
    ++counters_.bad_integrity;
    return true;
  }
  const PendingRequest answered = *request;
  pending_.erase(transaction);
  ++counters_.responses_received;
  if (message->message_class == stun::MessageClass::kSuccess)
    handle_success(now, answered, *message);
  else if (stun::error_code(*message) == kRoleConflict)
    handle_conflict(now, answered);
  return true;
}

void Agent::Impl::handle_success(Instant now, const PendingRequest& request, const stun::Message& message) {
  const auto round_trip = now - request.sent;
  if (request.pair != kRelayPair) {
    const auto mapped = message.xor_address(stun::AttributeType::kXorMappedAddress);
    CheckedPair* pair = list_.find(request.pair);
    if (!mapped) {
      ++counters_.malformed;
      return;
    }
    if (pair == nullptr) return;
    set_local_type(*pair, {mapped->address.unmapped(), mapped->port});
    pair->consent.given(now, options_.limits.consent_expiry);
    validated(now, *pair, round_trip);
  }
  if (!request.probe) return;
  emit(ProbeAnswered{request.pair, *request.probe, std::chrono::duration_cast<std::chrono::microseconds>(round_trip),
                     message.u32(stun::AttributeType::kNomination).value_or(0)});
}

void Agent::Impl::validated(Instant now, CheckedPair& pair, std::chrono::nanoseconds round_trip) {
  const bool before = pair.valid;
  list_.succeed(pair);
  if (before) return;
  pair.consent.asked(now, options_.limits.consent_interval, random_);
  emit(PairValid{pair.pair, std::chrono::duration_cast<std::chrono::microseconds>(round_trip)});
  if (pair.peer_sends_on) emit(PeerSendsOn{pair.pair.id, *pair.peer_sends_on});
  pair.peer_sends_on.reset();
  // Guesses at ports have served their purpose, unless this is but the far end's TURN server.
  if (pair.pair.base != Base::kSocket || pair.pair.remote_type == CandidateType::kRelayed) return;
  for (auto& other : list_.all())
    if (other.predicted && !other.valid && other.pair.remote.address.is_v6() == pair.pair.remote.address.is_v6())
      list_.give_up(other);
}

// RFC 8445, section 7.2.5.1: the other role than the request said, a new tie-breaker, and the check again.
void Agent::Impl::handle_conflict(Instant now, const PendingRequest& request) {
  ++counters_.role_conflicts;
  if (request.role == role_) {
    switch_role(role_ == Role::kControlling ? Role::kControlled : Role::kControlling);
    tie_breaker_ = random_.u64();
  }
  if (request.probe) return;
  if (CheckedPair* pair = list_.find(request.pair)) list_.trigger(now, *pair);
}

void Agent::Impl::expire_consent(Instant now) {
  for (auto& pair : list_.all()) {
    if (!pair.valid || pair.consent.expires() > now) continue;
    lose(pair);
    if (pair.state == CheckState::kSucceeded) pair.state = CheckState::kFailed;
  }
  // Those of an older generation are not tried again.
  erase_pairs([&](const CheckedPair& pair) { return !pair.valid && find_remote(pair.pair.remote) == nullptr; });
}

void Agent::Impl::tell_if_nothing_found() {
  if (nothing_found_told_ || !remote_ || list_.any_active() || list_.any_valid()) return;
  if (list_.all().empty() && !remote_ended_) return;
  nothing_found_told_ = true;
  emit(NothingFound{});
}

}  // namespace higgs::ice
