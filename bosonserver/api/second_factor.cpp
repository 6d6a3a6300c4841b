#include "bosonserver/api/second_factor.h"

#include <stdexcept>

namespace higgs::boson {

Result<SecondFactor> check_second_factor(Call& call, UserId user, const std::optional<SecretString>& code) {
  auto& store = call.services.store;
  const auto record = store.totp(user);
  if (!record && record.error() == StoreError::kNotFound) return SecondFactor::kNotWanted;
  if (!record) return record.error();
  if (!record->confirmed) return SecondFactor::kNotWanted;
  if (!code) return SecondFactor::kMissing;
  Result<bool> spent = false;
  if (looks_like_totp(code->reveal())) {
    const auto secret = open_totp_secret(call.services, user, record->sealed);
    if (const auto step = match_totp(secret, code->reveal(), call.seconds()))
      spent = store.spend_totp_step(user, *step);
  } else {
    spent = store.spend_recovery_code(user, recovery_digest(code->reveal()));
  }
  if (!spent) return spent.error();
  return *spent ? SecondFactor::kGood : SecondFactor::kWrong;
}

std::string totp_context(UserId user) { return "totp:" + to_string(user); }

TotpSecret open_totp_secret(const Services& services, UserId user, ByteView sealed) {
  TotpSecret secret;
  if (!services.sealer.open(totp_context(user), sealed, secret.reveal_mutable()))
    throw std::runtime_error("the one-time secret of a user does not open: is this its state directory?");
  return secret;
}

}  // namespace higgs::boson
