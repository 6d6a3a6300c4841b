// Credentials and message integrity (RFC 8489, sections 9 and 14.3 to 14.6, 14.11, 14.12). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"
#include "stun/message.h"

namespace higgs::stun {

// RFC 8489, section 18.5.1.
enum class PasswordAlgorithm : std::uint16_t { kMd5 = 1, kSha256 = 2 };

/// What MESSAGE-INTEGRITY is keyed with: the password (short term, section 9.1.1), or a hash of user, realm and
/// password (long term, section 9.2.2). Text is taken as it is: profiles of RFC 8265 are the owner's business.
class IntegrityKey {
 public:
  static IntegrityKey short_term(std::string_view password);
  /// MD5: the algorithm of RFC 5389, which every TURN client knows.
  static IntegrityKey long_term_md5(std::string_view user, std::string_view realm, std::string_view password);
  static IntegrityKey long_term_sha256(std::string_view user, std::string_view realm, std::string_view password);
  static IntegrityKey long_term(PasswordAlgorithm algorithm, std::string_view user, std::string_view realm,
                                std::string_view password);
  ByteView reveal() const noexcept { return as_bytes(key_.reveal()); }

 private:
  explicit IntegrityKey(SecretString key) noexcept : key_(std::move(key)) {}
  SecretString key_;
};

enum class Integrity {
  kAbsent,  ///< neither MESSAGE-INTEGRITY nor MESSAGE-INTEGRITY-SHA256
  kGood,
  kBad,
};
/// Checks the stronger one that is there. `datagram` is what `message` was parsed from. Constant time in the tag.
/// MESSAGE-INTEGRITY-SHA256 may be cut to no less than 16 bytes (section 14.6), MESSAGE-INTEGRITY not at all.
Integrity check_integrity(ByteView datagram, const Message& message, const IntegrityKey& key) noexcept;

/// Value of USERHASH (section 14.4).
ByteArray<32> userhash(std::string_view user, std::string_view realm);

/// Of the value of PASSWORD-ALGORITHMS: the first that is known here. nullopt: malformed, or none is.
std::optional<PasswordAlgorithm> choose_password_algorithm(ByteView algorithms) noexcept;
/// Of the value of PASSWORD-ALGORITHM.
std::optional<PasswordAlgorithm> read_password_algorithm(ByteView algorithm) noexcept;

}  // namespace higgs::stun
