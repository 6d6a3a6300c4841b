// Credentials and message integrity (RFC 8489, sections 9 and 14.5 to 14.8). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"
#include "stun/message.h"

namespace higgs::stun {

/// What MESSAGE-INTEGRITY is keyed with: the password (short term, section 9.1.1), or a hash of user, realm and
/// password (long term, section 9.2.2).
class IntegrityKey {
 public:
  static constexpr std::size_t kMaxBytes = 512;

  static IntegrityKey short_term(std::string_view password);
  /// MD5: the algorithm of RFC 5389, which every TURN client knows.
  static IntegrityKey long_term_md5(std::string_view user, std::string_view realm, std::string_view password);
  static IntegrityKey long_term_sha256(std::string_view user, std::string_view realm, std::string_view password);
  ByteView reveal() const noexcept { return as_bytes(key_.reveal()); }

 private:
  explicit IntegrityKey(std::string key) : key_(std::move(key)) {}
  SecretString key_;
};

enum class Integrity {
  kAbsent,  ///< neither MESSAGE-INTEGRITY nor MESSAGE-INTEGRITY-SHA256
  kGood,
  kBad,
};
/// Checks the stronger one that is there. `datagram` is what `message` was parsed from. Constant time in the tag.
Integrity check_integrity(ByteView datagram, const Message& message, const IntegrityKey& key) noexcept;

}  // namespace higgs::stun
