// Candidates and descriptions (RFC 8445, section 5), as values, and their form in relay control messages
// (proto/relay.md: ice-description, candidate, candidates-end).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace higgs::ice {

enum class CandidateType { kHost, kServerReflexive, kPeerReflexive, kPortMapped, kRelayed };
std::string_view to_string(CandidateType type) noexcept;

/// Through what a candidate's packets leave and arrive.
enum class Base : std::uint8_t {
  kSocket,  ///< the UDP port that WireGuard has too
  kTurn,    ///< the TURN allocation
  kRelay,   ///< the relay link: no candidate is on it, but probes travel through it (Agent::kRelayPair)
};

struct Candidate {
  CandidateType type = CandidateType::kHost;
  Endpoint endpoint;
  std::uint32_t priority = 0;
  std::string foundation;
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

/// RFC 8445, 5.1.2.1, with IPv6 above IPv4 within a type. A port-mapped candidate ranks above a server-reflexive one.
std::uint32_t candidate_priority(CandidateType type, const IpAddress& address, unsigned local_preference = 0) noexcept;
/// RFC 8445, 6.1.2.3.
std::uint64_t pair_priority(std::uint32_t controlling, std::uint32_t controlled) noexcept;

/// One end's credentials (RFC 8445, 5.3). A new generation means an ICE restart.
struct Description {
  std::uint32_t generation = 0;
  std::string ufrag;
  std::string password;
  friend bool operator==(const Description&, const Description&) = default;
};

}  // namespace higgs::ice
