#include "ice/replay_filter.h"

#include <algorithm>

namespace higgs::ice {

namespace {

std::uint64_t digest(unsigned way, const Endpoint& from) noexcept {
  std::uint64_t value = 0xcbf29ce484222325;  // FNV-1a: nothing is gained by a collision but one more answer
  const auto mix = [&value](unsigned byte) { value = (value ^ byte) * 0x100000001b3; };
  mix(way);
  mix(from.port >> 8);
  mix(from.port & 0xff);
  for (const std::byte byte : from.address.bytes()) mix(std::to_integer<unsigned>(byte));
  return value;
}

}  // namespace

ReplayFilter::Seen ReplayFilter::note(const stun::TransactionId& transaction, unsigned way, const Endpoint& from) {
  const Entry entry{load_be<std::uint64_t>(transaction.data()), digest(way, from)};
  const auto known = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& other) { return other.transaction == entry.transaction; });
  if (known != entries_.end()) return known->source == entry.source ? Seen::kFromHere : Seen::kFromElsewhere;
  if (entries_.size() < kRemembered)
    entries_.push_back(entry);
  else
    entries_[next_++ % kRemembered] = entry;
  return Seen::kNever;
}

}  // namespace higgs::ice
