// What every check of a password or a code shares: account and address may be locked before it, and a failure counts
// against both.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bosonserver/api/call.h"

namespace higgs::boson {

class LoginGuard {
 public:
  /// `proof`: what the audit is to name beside the account, such as the certificate that was shown.
  LoginGuard(Call& call, std::string_view user_name, std::string_view proof = {});

  /// 429 while either is locked, and in the audit as `action`; 503 where the store does not say.
  std::optional<net::HttpResponse> refuse_locked(std::string_view action);
  Result<void> count_failure();
  /// The account's failures are forgotten; the address's are not: others may use it.
  void forget_failures();
  /// "user:NAME", the account as the audit names it.
  const std::string& account() const noexcept { return account_; }
  /// "user:NAME" or "user:NAME PROOF", as the object of the audit's entries.
  const std::string& object() const noexcept { return object_; }

 private:
  Call& call_;
  const std::string account_, place_, object_;
};

}  // namespace higgs::boson
