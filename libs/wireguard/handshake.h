// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (paper, sections 5.4.1 to 5.4.5): pure functions from keys
// and messages to keys and messages. mac1 and mac2 are written by cookies.h afterwards.
//
//   initiator                                    responder
//   write_initiation  -- e, es, s, ss, {t} -->   InitiationReader
//   read_response     <--  e, ee, se, psk  --    write_response
#pragma once

#include <optional>

#include "base/random.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "wireguard/messages.h"
#include "wireguard/tai64n.h"

namespace higgs::wireguard {

struct LocalIdentity {
  crypto::PrivateKey private_key;
  crypto::PublicKey public_key;
};

struct RemoteIdentity {
  crypto::PublicKey public_key;
  SecretBytes<32> preshared_key;
  /// DH(our static, its static), computed once; unset if its key is of low order, and then no handshake succeeds.
  std::optional<crypto::SharedSecret> static_shared;
};

struct TransportKeys {
  crypto::AeadKey send;
  crypto::AeadKey receive;
};

/// C and H of the paper, mixed in step by step.
struct SymmetricState {
  SecretBytes<32> chaining_key;
  crypto::Blake2sDigest hash{};
};

/// What an initiator keeps until the response comes.
struct InitiatorState {
  SymmetricState symmetric;
  crypto::PrivateKey ephemeral;
};

/// C and H before any key: Hash(Construction) and Hash(C || Identifier).
SymmetricState initial_state();

/// Fills in all but the macs. nullopt if a key of the remote is of low order.
std::optional<InitiatorState> write_initiation(const LocalIdentity& local, const RemoteIdentity& remote,
                                               std::uint32_t sender, const Tai64n& timestamp, RandomSource& random,
                                               FixedBytes<kInitiationBytes> message);

/// Reads an initiation in the two steps between which the peer is looked up.
class InitiationReader {
 public:
  /// nullopt if the message was not made for us.
  static std::optional<InitiationReader> begin(const LocalIdentity& local, const InitiationView& message);
  /// The initiator's static key; not yet proven to be the sender's.
  const crypto::PublicKey& initiator() const noexcept { return initiator_; }
  /// Proves it. The timestamp has still to be compared with the last one.
  std::optional<Tai64n> finish(const RemoteIdentity& remote, const InitiationView& message);
  /// Writes the answer, all but the macs; call after finish(). nullopt if the initiator's ephemeral is of low order.
  std::optional<TransportKeys> write_response(const RemoteIdentity& remote, std::uint32_t sender,
                                              std::uint32_t receiver, RandomSource& random,
                                              FixedBytes<kResponseBytes> message);

 private:
  InitiationReader() = default;
  SymmetricState symmetric_;
  crypto::PublicKey initiator_;
  crypto::PublicKey ephemeral_;
};

/// nullopt if the response is not an answer to `state`, which stays usable for a true one.
std::optional<TransportKeys> read_response(const LocalIdentity& local, const RemoteIdentity& remote,
                                           const InitiatorState& state, const ResponseView& message);

}  // namespace higgs::wireguard
