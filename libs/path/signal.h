// What two peers tell each other about paths, as values, and its JSON inside relay control messages (proto/relay.md,
// "Messages between peers"). Pure; parsing is strict, bounded and never throws.
#pragma once

#include <cstdint>
#include <variant>

#include "base/result.h"
#include "ice/candidate.h"
#include "path/path_manager.h"
#include "relay/control.h"

namespace higgs::path {

enum class SignalError {
  kTooLong = 1,    ///< over kMaxSignalBytes
  kNotJson,        ///< not a JSON object
  kUnknownAction,  ///< none of the four
  kMissingField,
  kBadField,  ///< of a wrong type, or out of bounds
};

// Of our choosing.
inline constexpr std::size_t kMaxSignalBytes = 1024;
// RFC 8839, section 5.4, gives 4 to 256 and 22 to 256 characters; ours are far shorter, and a STUN USERNAME holds two.
inline constexpr std::size_t kMinUfrag = 4, kMaxUfrag = 64;
inline constexpr std::size_t kMinPassword = 22, kMaxPassword = 128;
// RFC 8839, section 5.1.
inline constexpr std::size_t kMaxFoundation = 32;

struct CandidateSignal {
  std::uint32_t generation = 0;  ///< of the description it belongs to
  ice::Candidate candidate;      ///< never peer-reflexive
  friend bool operator==(const CandidateSignal&, const CandidateSignal&) = default;
};
struct CandidatesEnd {
  std::uint32_t generation = 0;
  friend bool operator==(const CandidatesEnd&, const CandidatesEnd&) = default;
};
/// The leader's word: since `epoch` it sends on a path of this kind.
struct PathSignal {
  std::uint32_t epoch = 0;
  Kind kind = Kind::kRelay;  ///< never kCascade
  friend bool operator==(const PathSignal&, const PathSignal&) = default;
};
/// ice-description, candidate, candidates-end, path-changed.
using Signal = std::variant<ice::Description, CandidateSignal, CandidatesEnd, PathSignal>;

Result<Signal> parse_signal(const relay::PeerMessage& message) noexcept;
relay::PeerMessage encode_signal(const Signal& signal);

}  // namespace higgs::path

HIGGS_ERROR_ENUM(higgs::path, SignalError)
