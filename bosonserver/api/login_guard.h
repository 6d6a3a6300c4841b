// What every check of a password or a code shares: account and address may be locked before it, and a failure counts
// against both.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "bosonserver/api/call.h"
#include "bosonserver/domain/lockout.h"

namespace higgs::boson {

/// What a try has shown. Incomplete: right as far as it went, and neither counted nor rewarded.
enum class Proof : std::uint8_t { kWrong, kIncomplete, kGood };

class LoginGuard {
 public:
  /// `action`: what is tried, and `proof`: what is shown beside the account's name, such as a certificate; both as the
  /// audit is to call them.
  LoginGuard(Call& call, std::string_view action, std::string_view user_name, std::string_view proof = {});

  /// To be asked before the dear work of a check: 429 while account or address is locked; 503 where the store does not
  /// say.
  std::optional<net::HttpResponse> refuse_locked();
  /// To be asked when it is known what the try has shown, and before that is told or used. A wrong one is counted; a
  /// good one makes the account's failures forgotten (the address's are not: others may use it). 429 where other tries
  /// have locked the account or the address since refuse_locked(), whatever this one has shown: as many as come at once
  /// learn no more than one after the other, but for those that are being counted at that very moment.
  std::optional<net::HttpResponse> refuse_after(Proof proof);
  /// What a wrong try is answered with: `answer`, unless refuse_after() has another; `outcome` is for the audit.
  net::HttpResponse deny(std::string_view outcome, net::HttpResponse answer);
  void audit(std::string_view outcome) const { call_.audit(action_, object_, outcome); }
  /// In the name of the account, which the caller has just shown to be theirs.
  void audit_own(std::string_view outcome) const { call_.audit_as(account_, action_, object_, outcome); }

 private:
  Result<std::int64_t> locked_seconds(const std::string& subject) const;
  Result<std::int64_t> change(const std::string& subject, const std::function<Lockout(const Lockout&)>& make) const;
  Result<std::int64_t> count_failure(const std::string& subject, const LockoutPolicy& policy) const;
  Result<std::int64_t> forget_failures() const;
  std::optional<net::HttpResponse> refuse(std::initializer_list<Result<std::int64_t>> locks) const;

  Call& call_;
  const std::string action_, account_, place_, object_;
};

}  // namespace higgs::boson
