#include "bosonserver/api/login_guard.h"

#include "bosonserver/api/answers.h"
#include "bosonserver/domain/lockout.h"

namespace higgs::boson {

LoginGuard::LoginGuard(Call& call, std::string_view user_name, std::string_view proof)
    : call_(call),
      account_("user:" + std::string(user_name)),
      place_("address:" + call.address_bucket()),
      object_(proof.empty() ? account_ : account_ + " " + std::string(proof)) {}

std::optional<net::HttpResponse> LoginGuard::refuse_locked(std::string_view action) {
  std::int64_t longest = 0;
  for (const auto& subject : {account_, place_}) {
    const auto state = call_.services.store.lockout(subject);
    if (!state) return store_failure(state.error(), "account");
    longest = std::max(longest, locked_for(*state, call_.seconds()));
  }
  if (longest == 0) return std::nullopt;
  call_.audit(action, object_, "locked");
  return later(429, "locked", "Too many failed logins", longest);
}

Result<void> LoginGuard::count_failure() {
  for (const auto& subject : {account_, place_}) {
    // Many people may share an address: it is given more room than an account.
    auto policy = call_.services.settings.lockout;
    if (subject == place_) policy.free_failures *= 4;
    const auto counted = call_.services.store.update_lockout(
        subject, [&](const Lockout& before) { return after_failure(before, policy, call_.seconds()); });
    if (!counted) return counted.error();
  }
  return {};
}

void LoginGuard::forget_failures() { (void)call_.services.store.clear_lockout(account_); }

}  // namespace higgs::boson
