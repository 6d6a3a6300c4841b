// The Binding method (RFC 8489, section 3), both ends; the server with behaviour discovery (RFC 5780, section 6) and
// with answers to classic clients (RFC 3489), which know neither cookie nor XOR-MAPPED-ADDRESS.
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
/// Enough for every request made here, and for every answer that is not padded.
inline constexpr std::size_t kBindingBufferBytes = 256;

enum class BindingOutcome {
  kAnswered,   ///< success
  kRefused,    ///< 420: an attribute that must be understood is not; 400: attributes that exclude each other
  kMalformed,  ///< no answer
  kIgnored,    ///< STUN, but no Binding request: no answer
};
/// The end that a request came to.
struct BindingServer {
  std::string_view software;
  Endpoint local;  ///< where the request arrived
  /// The other address with the other port. Unset: there is none, and no behaviour discovery.
  std::optional<Endpoint> other;
};
struct BindingAnswer {
  BindingOutcome outcome = BindingOutcome::kIgnored;
  ByteView bytes;  ///< what to send back; empty: nothing. In the caller's buffer.
  /// From there: the other address, the other port (CHANGE-REQUEST).
  bool change_address = false, change_port = false;
  std::optional<std::uint16_t> port;  ///< to this port of the source (RESPONSE-PORT)
};

/// Answers a datagram from `source`. The buffer needs kBindingBufferBytes; what it has more is used for PADDING. What
/// is not the address itself is left out where the answer would grow above kMaxAmplification times the request.
BindingAnswer answer_binding(ByteView datagram, const Endpoint& source, const BindingServer& server,
                             MutableBytes buffer) noexcept;

/// A Binding request with a fingerprint, to be sent (and repeated) as it is.
ByteView make_binding_request(const TransactionId& transaction, std::string_view software,
                              MutableBytes buffer) noexcept;

/// What a client reads from a datagram: nullopt if it is not the success response of this transaction.
std::optional<Endpoint> read_binding_response(ByteView datagram, const TransactionId& transaction) noexcept;

}  // namespace higgs::stun
