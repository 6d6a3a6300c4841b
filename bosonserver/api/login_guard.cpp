#include "bosonserver/api/login_guard.h"

#include <algorithm>

#include "bosonserver/api/answers.h"

namespace higgs::boson {

LoginGuard::LoginGuard(Call& call, std::string_view action, std::string_view user_name, std::string_view proof)
    : call_(call),
      action_(action),
      account_("user:" + std::string(user_name)),
      place_("address:" + call.address_bucket()),
      object_(proof.empty() ? account_ : account_ + " " + std::string(proof)) {}

std::optional<net::HttpResponse> LoginGuard::refuse_locked() {
  const auto account = locked_seconds(account_), place = locked_seconds(place_);
  return refuse({account, place});
}

std::optional<net::HttpResponse> LoginGuard::refuse_after(Proof proof) {
  if (proof == Proof::kIncomplete) return refuse_locked();
  if (proof == Proof::kGood) {
    const auto account = forget_failures(), place = locked_seconds(place_);
    return refuse({account, place});
  }
  const auto policy = call_.services.settings.lockout;
  // Many people may share an address: it is given more room than an account.
  auto roomy = policy;
  roomy.free_failures *= 4;
  const auto account = count_failure(account_, policy), place = count_failure(place_, roomy);
  return refuse({account, place});
}

/// For how long the subject is locked, by what is in the store.
Result<std::int64_t> LoginGuard::locked_seconds(const std::string& subject) const {
  const auto state = call_.services.store.lockout(subject);
  if (!state) return state.error();
  return locked_for(*state, call_.seconds());
}

/// Seconds for which the subject is locked; 0: it is not, and what `make` makes of it is kept.
Result<std::int64_t> LoginGuard::change(const std::string& subject,
                                        const std::function<Lockout(const Lockout&)>& make) const {
  std::int64_t seconds = 0;
  const auto after = call_.services.store.update_lockout(subject, [&](const Lockout& before) {
    seconds = locked_for(before, call_.seconds());
    return seconds > 0 ? before : make(before);
  });
  if (!after) return after.error();
  return seconds;
}

Result<std::int64_t> LoginGuard::count_failure(const std::string& subject, const LockoutPolicy& policy) const {
  return change(subject, [&](const Lockout& before) { return after_failure(before, policy, call_.seconds()); });
}

Result<std::int64_t> LoginGuard::forget_failures() const {
  // Mostly there are none, and then nobody waits for the account's lock.
  const auto state = call_.services.store.lockout(account_);
  if (!state) return state.error();
  if (*state == Lockout{}) return 0;
  return change(account_, [](const Lockout&) { return Lockout{}; });
}

std::optional<net::HttpResponse> LoginGuard::refuse(std::initializer_list<Result<std::int64_t>> locks) const {
  std::int64_t longest = 0;
  for (const auto& seconds : locks) {
    if (!seconds) return store_failure(seconds.error(), "account");
    longest = std::max(longest, *seconds);
  }
  if (longest == 0) return std::nullopt;
  audit("locked");
  return later(429, "locked", "Too many failed logins", longest);
}

net::HttpResponse LoginGuard::deny(std::string_view outcome, net::HttpResponse answer) {
  if (auto refused = refuse_after(Proof::kWrong)) return std::move(*refused);
  audit(outcome);
  return answer;
}

}  // namespace higgs::boson
