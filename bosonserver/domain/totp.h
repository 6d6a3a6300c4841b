// One-time codes by time (RFC 6238, with HMAC-SHA-1 and six digits, which every authenticator knows), and the recovery
// codes for whoever has lost theirs. The clock is an argument; that a code works once is for the store to see to.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "crypto/hash.h"

namespace higgs::boson {

// RFC 6238, 5.2: "We RECOMMEND a default time-step size of 30 seconds"; "at most one time step is allowed as the
// network delay".
inline constexpr std::chrono::seconds kTotpStep{30};
inline constexpr std::int64_t kTotpWindow = 1;
// RFC 4226, 5.3: "at a minimum, a 6-digit code"; 4, R6: "the RECOMMENDED length of the shared secret is 160 bits".
inline constexpr unsigned kTotpDigits = 6;
using TotpSecret = SecretBytes<20>;

// Of our choosing.
inline constexpr std::size_t kRecoveryCodes = 10;
inline constexpr std::size_t kRecoveryCodeBytes = 10;

std::int64_t totp_step(std::int64_t now);
std::string totp_code(const TotpSecret& secret, std::int64_t step);
/// The step within the window whose code this is; nullopt: none. `now`: Unix seconds. Takes the same time for each
/// code.
std::optional<std::int64_t> match_totp(const TotpSecret& secret, std::string_view code, std::int64_t now);
/// In base32 (RFC 4648, 6), as authenticators take it by hand.
SecretString totp_text(const TotpSecret& secret);
/// "otpauth://totp/ISSUER:USER?secret=…", for a QR code.
SecretString totp_uri(std::string_view issuer, std::string_view user, const TotpSecret& secret);

/// "abcd-efgh-ijkl-mnop": 80 bits.
SecretString make_recovery_code(RandomSource& random);
/// Of the code as it is typed: hyphens, spaces and capitals do not matter.
crypto::Sha256Digest recovery_digest(std::string_view code);
/// Whether it has the form of a code by time; else it is taken for a recovery code.
bool looks_like_totp(std::string_view code);

}  // namespace higgs::boson
