#include "ice/check_list.h"

#include <algorithm>
#include <tuple>

namespace higgs::ice {

namespace {

using namespace std::chrono_literals;

// Of our choosing.
constexpr std::chrono::milliseconds kLongestWait{3200};  // between two requests of one check
constexpr std::chrono::milliseconds kLastWait{2000};     // for the answer to the last one

bool is_active(const CheckedPair& pair) noexcept {
  return pair.state == CheckState::kWaiting || pair.state == CheckState::kInProgress;
}

/// Whether `a` is to be checked before `b`.
bool before(const CheckedPair& a, const CheckedPair& b) noexcept {
  return std::tuple(a.predicted, b.priority) < std::tuple(b.predicted, a.priority);
}

}  // namespace

CheckedPair* CheckList::find(PairId id) noexcept {
  const auto found = std::find_if(pairs_.begin(), pairs_.end(), [&](const auto& pair) { return pair.pair.id == id; });
  return found == pairs_.end() ? nullptr : &*found;
}

const CheckedPair* CheckList::find(PairId id) const noexcept { return const_cast<CheckList*>(this)->find(id); }

CheckedPair* CheckList::find(Base base, const Endpoint& remote) noexcept {
  const auto found = std::find_if(pairs_.begin(), pairs_.end(), [&](const auto& pair) {
    return pair.pair.base == base && pair.pair.remote == remote;
  });
  return found == pairs_.end() ? nullptr : &*found;
}

CheckedPair* CheckList::add(Instant now, const Pair& pair, std::uint64_t priority, bool predicted) {
  CheckedPair entry;
  entry.pair = pair;
  entry.priority = priority;
  entry.predicted = predicted;
  entry.next = now;
  if (pairs_.size() >= limits_.pairs) {
    const auto lowest = std::max_element(pairs_.begin(), pairs_.end(), [](const auto& a, const auto& b) {
      return std::tuple(!a.valid && !a.proven) < std::tuple(!b.valid && !b.proven) ||
             ((!a.valid && !a.proven) == (!b.valid && !b.proven) && before(a, b));
    });
    if (lowest == pairs_.end() || lowest->valid || lowest->proven || before(*lowest, entry)) return nullptr;
    pairs_.erase(lowest);
  }
  entry.pair.id = ++last_id_;
  pairs_.push_back(entry);
  return &pairs_.back();
}

void CheckList::trigger(Instant now, CheckedPair& pair) {
  if (pair.triggers >= limits_.attempts) return;
  ++pair.triggers;
  const bool fresh = pair.state == CheckState::kInProgress && pair.sent > 0;
  pair.state = CheckState::kWaiting;
  pair.refused = false;
  pair.next = fresh ? std::max(now, pair.last_sent + limits_.rto / 2) : now;
  pair.sent = 0;
  if (pair.triggered) return;
  pair.triggered = true;
  triggered_.push_back(pair.pair.id);
}

void CheckList::reset(Instant now, CheckedPair& pair) noexcept {
  pair.state = CheckState::kWaiting;
  pair.refused = false;
  pair.triggers = 0;
  pair.sent = 0;
  pair.next = now;
}

void CheckList::succeed(CheckedPair& pair) noexcept {
  pair.state = CheckState::kSucceeded;
  pair.valid = true;
  pair.refused = false;
  pair.triggers = 0;
}

void CheckList::give_up(CheckedPair& pair) noexcept {
  pair.state = pair.valid ? CheckState::kSucceeded : CheckState::kFailed;
}

bool CheckList::may_send(const CheckedPair& pair) const noexcept {
  return is_active(pair) && pair.sent < limits_.attempts;
}

CheckedPair* CheckList::next(Instant now) noexcept {
  for (auto at = triggered_.begin(); at != triggered_.end();) {
    CheckedPair* pair = find(*at);
    if (pair != nullptr && pair->triggered && may_send(*pair)) {
      if (pair->next <= now) return pair;
      ++at;
      continue;
    }
    if (pair != nullptr) pair->triggered = false;
    at = triggered_.erase(at);
  }
  CheckedPair *fresh = nullptr, *repeated = nullptr;
  for (auto& pair : pairs_) {
    if (!may_send(pair) || pair.next > now) continue;
    if (pair.sent == 0) {
      if (fresh == nullptr || before(pair, *fresh)) fresh = &pair;
    } else if (repeated == nullptr || pair.next < repeated->next) {
      repeated = &pair;
    }
  }
  if (fresh != nullptr && repeated != nullptr) return new_first_ ? fresh : repeated;
  return fresh != nullptr ? fresh : repeated;
}

void CheckList::sent(Instant now, CheckedPair& pair) noexcept {
  new_first_ = pair.sent > 0;
  if (pair.triggered) {
    pair.triggered = false;
    std::erase(triggered_, pair.pair.id);
  }
  pair.state = CheckState::kInProgress;
  pair.last_sent = now;
  ++pair.sent;
  // RFC 8489, section 6.2.1: each wait is twice the one before.
  const auto doubled = limits_.rto * (1u << std::min(pair.sent - 1, 10u));
  pair.next = now + (pair.sent < limits_.attempts ? std::min(doubled, kLongestWait) : kLastWait);
}

void CheckList::expire(Instant now) noexcept {
  for (auto& pair : pairs_)
    if (is_active(pair) && !may_send(pair) && pair.next <= now) give_up(pair);
}

std::optional<Instant> CheckList::next_request() const noexcept {
  std::optional<Instant> earliest;
  for (const auto& pair : pairs_)
    if (may_send(pair) && (!earliest || pair.next < *earliest)) earliest = pair.next;
  return earliest;
}

std::optional<Instant> CheckList::next_expiry() const noexcept {
  std::optional<Instant> earliest;
  for (const auto& pair : pairs_)
    if (is_active(pair) && !may_send(pair) && (!earliest || pair.next < *earliest)) earliest = pair.next;
  return earliest;
}

bool CheckList::any_active() const noexcept { return std::any_of(pairs_.begin(), pairs_.end(), is_active); }

bool CheckList::any_valid() const noexcept {
  return std::any_of(pairs_.begin(), pairs_.end(), [](const auto& pair) { return pair.valid; });
}

}  // namespace higgs::ice
