// mac1, mac2 and cookies (paper, sections 5.3, 5.4.4 and 5.4.7): proof that the sender knows whom it talks to and,
// under load, that it receives at the address it sends from.
#pragma once

#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "wireguard/messages.h"
#include "wireguard/packet.h"

namespace higgs::wireguard {

/// For handshake messages that come in. `message` is always a whole initiation or response.
class CookieChecker {
 public:
  void set_own_key(const crypto::PublicKey& key);

  bool mac1_valid(ByteView message) const;
  /// Whether mac2 was made with the cookie that `from` has now.
  bool mac2_valid(Instant now, const PeerAddress& from, ByteView message) const;
  /// The answer that carries the cookie; `receiver` is the sender index of `message`.
  void write_reply(Instant now, const PeerAddress& from, ByteView message, std::uint32_t receiver, RandomSource& random,
                   FixedBytes<kCookieReplyBytes> reply);

 private:
  crypto::Blake2sMac cookie_of(const PeerAddress& from) const;

  SecretBytes<32> mac1_key_;
  crypto::AeadKey reply_key_;
  SecretBytes<32> secret_;  // Rm of the paper
  std::optional<Instant> secret_made_;
};

/// For handshake messages that go out to one peer.
class CookieJar {
 public:
  explicit CookieJar(const crypto::PublicKey& peer);

  /// Writes mac1, and mac2 if there is a fresh cookie.
  void stamp(Instant now, MutableBytes message);
  /// False if the reply does not belong to the last message stamped.
  bool accept(Instant now, const CookieReplyView& reply);

 private:
  SecretBytes<32> mac1_key_;
  crypto::AeadKey reply_key_;
  SecretBytes<16> cookie_;
  std::optional<Instant> cookie_received_;
  std::optional<crypto::Blake2sMac> last_mac1_;
};

}  // namespace higgs::wireguard
