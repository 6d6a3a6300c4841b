// The one-time code of an account that wants one.
#pragma once

#include <optional>

#include "bosonserver/api/call.h"
#include "bosonserver/domain/totp.h"

namespace higgs::boson {

enum class SecondFactor { kNotWanted, kGood, kMissing, kWrong };

/// Uses the code up: a code by time, and each before it, is good once, as is a recovery code.
Result<SecondFactor> check_second_factor(Call& call, UserId user, const std::optional<SecretString>& code);

/// What the secret of this user is sealed with.
std::string totp_context(UserId user);
/// Throws std::runtime_error where it does not open: the state directory is another's.
TotpSecret open_totp_secret(const Services& services, UserId user, ByteView sealed);

}  // namespace higgs::boson
