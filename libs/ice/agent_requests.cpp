// Requests of the far end: answered if they have our password, and taken as a hint where to check (RFC 8445,
// section 7.3).
#include <algorithm>

#include "ice/agent_impl.h"
#include "ice/special_range.h"

namespace higgs::ice {

namespace {

// Of our choosing.
constexpr std::size_t kMaxEarlyChecks = 8;

}  // namespace

bool Agent::Impl::handle_request(Instant now, Base base, const Endpoint& from, ByteView datagram) {
  const auto message = stun::parse(datagram);
  if (!message) {
    ++counters_.malformed;
    return false;
  }
  const auto username = read_username(*message);
  const stun::IntegrityKey* key = username ? credentials_.key_for(now, username->local) : nullptr;
  if (key == nullptr) {
    ++counters_.unknown_user;
    return false;
  }
  if (stun::check_integrity(datagram, *message, *key) != stun::Integrity::kGood) {
    ++counters_.bad_integrity;
    return true;
  }
  const auto check = read_request(*message);
  if (!check || message->method != stun::kBindingMethod || !message->has_fingerprint) {
    ++counters_.malformed;
    return true;
  }
  const auto seen = replays_.note(message->transaction, static_cast<unsigned>(base), from);
  if (seen != ReplayFilter::Seen::kNever) ++counters_.replayed;
  if (seen == ReplayFilter::Seen::kFromElsewhere) return true;

  const bool first_time = seen == ReplayFilter::Seen::kNever;
  const bool agreed = settle_roles(*check, first_time);
  const bool answerable = base == Base::kRelay || (from.port != 0 && !is_unusable(from.address));
  if (!answerable) return true;
  ++counters_.responses_sent;
  transmit(
      base, from,
      agreed ? make_response(message->transaction, from, epoch_, *key) : make_conflict(message->transaction, *key));
  if (agreed && first_time) accept_check(now, base, from, *check, username->remote);
  pump(now);
  return true;
}

bool Agent::Impl::settle_roles(const ReceivedCheck& check, bool first_time) {
  if (!check.role || *check.role != role_) return true;
  const bool ours_is_greater = tie_breaker_ >= check.tie_breaker;
  const bool stay = (role_ == Role::kControlling) == ours_is_greater;
  if (first_time) {
    ++counters_.role_conflicts;
    if (!stay) switch_role(role_ == Role::kControlling ? Role::kControlled : Role::kControlling);
  }
  return !stay;
}

void Agent::Impl::switch_role(Role role) {
  role_ = role;
  for (auto& pair : list_.all())  // RFC 8445, section 7.3.1.1: pair priorities depend on the roles
    if (const RemoteCandidate* remote = find_remote(pair.pair.remote))
      pair.priority = priority_of(pair.pair.base, *remote);
  emit(RoleChanged{role});
}

void Agent::Impl::accept_check(Instant now, Base base, const Endpoint& from, const ReceivedCheck& check,
                               std::string_view remote_ufrag) {
  if (base == Base::kRelay) {
    if (check.epoch == 0) return;
    if (remote_)
      emit(PeerSendsOn{kRelayPair, check.epoch});
    else
      relay_epoch_ = check.epoch;
    return;
  }
  if (remote_ && remote_ufrag == remote_->ufrag) {
    check_back(now, base, from, check.priority, check.epoch);
    return;
  }
  // Of a pair that is known the epoch counts, whatever credentials the far end goes by.
  if (CheckedPair* pair = list_.find(base, from); pair != nullptr && pair->valid && check.epoch != 0)
    emit(PeerSendsOn{pair->pair.id, check.epoch});
  if (early_checks_.size() == kMaxEarlyChecks) early_checks_.pop_front();
  early_checks_.push_back({std::string(remote_ufrag.substr(0, 64)), base, from, check.priority, check.epoch});
}

// RFC 8445, sections 7.3.1.3 and 7.3.1.4.
void Agent::Impl::check_back(Instant now, Base base, const Endpoint& from, std::uint32_t priority,
                             std::uint32_t epoch) {
  if (from.port == 0 || !may_check(base, from.address, true)) return;
  const RemoteCandidate* remote = learn_remote(base, from, priority);
  if (remote == nullptr) return;
  CheckedPair* pair = list_.find(base, from);
  if (pair == nullptr) pair = form_pair(now, base, *remote);
  if (pair == nullptr) return;
  pair->proven = true;
  if (pair->valid) {
    if (epoch != 0) emit(PeerSendsOn{pair->pair.id, epoch});
    return;
  }
  if (epoch != 0) pair->peer_sends_on = epoch;
  nothing_found_told_ = false;
  list_.trigger(now, *pair);
}

}  // namespace higgs::ice
