// The requests of a TURN client that wait for an answer: built, authenticated (RFC 8489, section 9.2), repeated,
// matched, and asked again where the server gives a new nonce. Sans-IO; internal to the client.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/transaction.h"

namespace higgs::turn {

struct ClientRequest {
  enum class Kind : std::uint8_t {
    kAllocate,
    kRefresh,
    kDelete,  ///< a Refresh with lifetime 0
    kPermission,
    kChannel,
  };
  Kind kind = Kind::kAllocate;
  bool ipv6 = false;          ///< of kAllocate
  Endpoint peer{};            ///< of kPermission (the port does not matter) and kChannel
  std::uint16_t channel = 0;  ///< of kChannel
};

/// How a request ended.
struct ClientOutcome {
  ClientRequest request;
  unsigned error = 0;  ///< STUN error code; 0: success
};

class ClientTransactions {
 public:
  // RFC 8489, section 9.2.2 and 14.9: "fewer than 128 characters, which can be as long as 763 bytes".
  static constexpr std::size_t kMaxQuotedBytes = 763;
  // RFC 8656, section 3.1 with RFC 8489, section 14.3: "fewer than 509 bytes".
  static constexpr std::size_t kMaxUserBytes = 508;
  // Of our choosing.
  static constexpr std::size_t kMaxInFlight = 8;
  static constexpr unsigned kMaxNonces = 4;  ///< asked again this often in a row
  static constexpr std::chrono::milliseconds kRto{250};

  ClientTransactions(std::string username, SecretString password, RandomSource& random);

  std::size_t in_flight() const noexcept { return waiting_.size(); }
  bool authenticated() const noexcept { return key_.has_value(); }
  /// What goes out comes from poll_transmit(). Above kMaxInFlight: programming error.
  void start(Instant now, const ClientRequest& request);
  /// Sends a request once and forgets it.
  void send_once(const ClientRequest& request);
  void clear() noexcept;

  /// A success or error response out of `datagram`. nullopt: of none of ours, not authentic, or asked again.
  std::optional<ClientOutcome> handle_response(Instant now, ByteView datagram, const stun::Message& message);
  /// False: a request was given up, the server does not answer.
  bool handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const noexcept;
  std::optional<Bytes> poll_transmit();

 private:
  struct Waiting {
    ClientRequest request;
    stun::TransactionId transaction;
    stun::TransactionTimer timer;
    Bytes bytes;
    unsigned nonces = 0;
  };

  void begin(Instant now, const ClientRequest& request, unsigned nonces);
  Bytes build(const ClientRequest& request, const stun::TransactionId& transaction) const;
  /// Of 401 and 438: takes realm and nonce; false: they are missing or of no use.
  bool take_nonce(const stun::Message& message);
  bool authentic(ByteView datagram, const stun::Message& message) const;

  std::string username_;
  SecretString password_;
  RandomSource& random_;
  std::string realm_, nonce_;
  std::optional<stun::IntegrityKey> key_;
  std::vector<Waiting> waiting_;
  std::deque<Bytes> outbound_;
};

}  // namespace higgs::turn
