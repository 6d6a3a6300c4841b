// The Binding method (RFC 8489, section 3), both ends.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/result.h"
#include "stun/message.h"

namespace higgs::stun {

/// A source that has proven nothing gets at most this many times what it sent.
inline constexpr std::size_t kMaxAmplification = 3;
/// Enough for every answer and request made here.
inline constexpr std::size_t kBindingBufferBytes = 256;

enum class BindingOutcome {
  kAnswered,   ///< success
  kRefused,    ///< 420: an attribute that must be understood is not
  kMalformed,  ///< no answer
  kIgnored,    ///< STUN, but no Binding request: no answer
};
struct BindingAnswer {
  BindingOutcome outcome = BindingOutcome::kIgnored;
  ByteView bytes;  ///< what to send back; empty: nothing. In the caller's buffer.
};

/// Answers a datagram from `source`. The buffer needs kBindingBufferBytes. `software` and the fingerprint are left out
/// where the answer would grow above kMaxAmplification times the request.
BindingAnswer answer_binding(ByteView datagram, const Endpoint& source, std::string_view software,
                             MutableBytes buffer) noexcept;

/// A Binding request with a fingerprint, to be sent (and repeated) as it is.
ByteView make_binding_request(const TransactionId& transaction, std::string_view software,
                              MutableBytes buffer) noexcept;

/// What a client reads from a datagram: nullopt if it is not the success response of this transaction.
std::optional<Endpoint> read_binding_response(ByteView datagram, const TransactionId& transaction) noexcept;

}  // namespace higgs::stun
