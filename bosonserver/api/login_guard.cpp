#include "bosonserver/api/login_guard.h"

#include <algorithm>

#include "bosonserver/api/answers.h"
#include "bosonserver/domain/lockout.h"

namespace higgs::boson {

LoginGuard::LoginGuard(Call& call, std::string_view action, std::string_view user_name, std::string_view proof)
    : call_(call),
      action_(action),
      account_("user:" + std::string(user_name)),
      place_("address:" + call.address_bucket()),
      object_(proof.empty() ? account_ : account_ + " " + std::string(proof)) {}

net::HttpResponse LoginGuard::locked(std::int64_t seconds) const {
  audit("locked");
  return later(429, "locked", "Too many failed logins", seconds);
}

std::optional<net::HttpResponse> LoginGuard::refuse_locked() {
  std::int64_t longest = 0;
  for (const auto& subject : {account_, place_}) {
    const auto state = call_.services.store.lockout(subject);
    if (!state) return store_failure(state.error(), "account");
    longest = std::max(longest, locked_for(*state, call_.seconds()));
  }
  if (longest == 0) return std::nullopt;
  return locked(longest);
}

/// Seconds for which the subject is locked; 0: it is not, and `change` was applied.
Result<std::int64_t> LoginGuard::settle(const std::string& subject,
                                        const std::function<Lockout(const Lockout&)>& change) {
  std::int64_t seconds = 0;
  const auto after = call_.services.store.update_lockout(subject, [&](const Lockout& before) {
    seconds = locked_for(before, call_.seconds());
    return seconds > 0 ? before : change(before);
  });
  if (!after) return after.error();
  return seconds;
}

std::optional<net::HttpResponse> LoginGuard::refuse_after(Proof proof) {
  const auto counted_by = [&](LockoutPolicy policy) {
    return [this, policy](const Lockout& before) { return after_failure(before, policy, call_.seconds()); };
  };
  const auto kept = [](const Lockout& before) { return before; };
  std::function<Lockout(const Lockout&)> of_account = kept, of_place = kept;
  if (proof == Proof::kWrong) {
    // Many people may share an address: it is given more room than an account.
    auto roomy = call_.services.settings.lockout;
    roomy.free_failures *= 4;
    of_account = counted_by(call_.services.settings.lockout);
    of_place = counted_by(roomy);
  } else if (proof == Proof::kGood) {
    of_account = [](const Lockout&) { return Lockout{}; };
  }
  const auto account = settle(account_, of_account);
  if (!account) return store_failure(account.error(), "account");
  const auto place = settle(place_, of_place);
  if (!place) return store_failure(place.error(), "account");
  const auto longest = std::max(*account, *place);
  if (longest == 0) return std::nullopt;
  return locked(longest);
}

net::HttpResponse LoginGuard::deny(std::string_view outcome, net::HttpResponse answer) {
  if (auto refused = refuse_after(Proof::kWrong)) return std::move(*refused);
  audit(outcome);
  return answer;
}

}  // namespace higgs::boson
