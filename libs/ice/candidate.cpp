#include "ice/candidate.h"

#include <algorithm>

namespace higgs::ice {

namespace {

// RFC 8445, section 5.1.2.2: recommended type preferences. A mapping that the router promised stands above one that a
// server happened to see.
constexpr std::uint32_t type_preference(CandidateType type) noexcept {
  switch (type) {
    case CandidateType::kHost:
      return 126;
    case CandidateType::kPeerReflexive:
      return 110;
    case CandidateType::kPortMapped:
      return 105;
    case CandidateType::kServerReflexive:
      return 100;
    case CandidateType::kRelayed:
      break;
  }
  return 0;
}

constexpr unsigned kIpv6Preference = 0x8000;  // of the 16 bits of the local preference
constexpr unsigned kComponent = 1;

}  // namespace

std::string_view to_string(CandidateType type) noexcept {
  switch (type) {
    case CandidateType::kHost:
      return "host";
    case CandidateType::kServerReflexive:
      return "srflx";
    case CandidateType::kPeerReflexive:
      return "prflx";
    case CandidateType::kPortMapped:
      return "mapped";
    case CandidateType::kRelayed:
      break;
  }
  return "relay";
}

std::uint32_t candidate_priority(CandidateType type, const IpAddress& address, unsigned local_preference) noexcept {
  const std::uint32_t local = (address.is_v6() ? kIpv6Preference : 0) + std::min(local_preference, kIpv6Preference - 1);
  return type_preference(type) << 24 | local << 8 | (256 - kComponent);
}

std::uint64_t pair_priority(std::uint32_t controlling, std::uint32_t controlled) noexcept {
  const std::uint64_t lesser = std::min(controlling, controlled), greater = std::max(controlling, controlled);
  return (lesser << 32) + 2 * greater + (controlling > controlled ? 1 : 0);
}

}  // namespace higgs::ice
