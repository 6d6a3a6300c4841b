#include "bosonserver/api/rate_limit.h"

#include <string>

#include "bosonserver/api/answers.h"
#include "bosonserver/api/tokens.h"

namespace higgs::boson {
namespace {

constexpr std::chrono::minutes kWindow{1};

RateState count(Services& services, const std::string& key, std::uint64_t limit, RateScope scope) {
  const auto counted = services.cache.count(key, kWindow);
  RateState state;
  state.limit = limit;
  state.remaining = counted.count >= limit ? 0 : limit - counted.count;
  state.reset_seconds = std::chrono::ceil<std::chrono::seconds>(counted.resets_in).count();
  state.exceeded = counted.count > limit;
  state.scope = scope;
  return state;
}

std::optional<RateState> count_account(Call& call, RateClass rate) {
  const auto& rates = call.services.settings.rates;
  const auto id = to_string(call.user->id);
  const auto all = count(call.services, "rate:account:" + id, rates.account, RateScope::kAccount);
  std::optional<RateState> of_class;
  if (rate == RateClass::kList)
    of_class = count(call.services, "rate:account-lists:" + id, rates.lists, RateScope::kAccount);
  if (rate == RateClass::kRoute)
    of_class = count(call.services, "rate:account-routes:" + id, rates.routes, RateScope::kAccount);
  return tighter(all, of_class);
}

}  // namespace

std::optional<RateState> count_address(Call& call, RateClass rate) {
  const auto& rates = call.services.settings.rates;
  const auto from = [&](const char* prefix, std::uint64_t limit) {
    return count(call.services, prefix + call.address_bucket(), limit, RateScope::kAddress);
  };
  switch (rate) {
    case RateClass::kNone:
      return std::nullopt;
    case RateClass::kGeneral:
    case RateClass::kList:
    case RateClass::kRoute:
      return from("rate:general:", rates.general);
    case RateClass::kLogin:
      return from("rate:login:", rates.login);
    case RateClass::kRegistration:
      return from("rate:registration:", rates.registration);
  }
  return std::nullopt;
}

std::optional<RateState> count_caller(Call& call, RateClass rate) {
  if (rate == RateClass::kNone) return std::nullopt;
  if (call.user) return count_account(call, rate);
  if (!call.claims || call.claims->role != kNodeRole) return std::nullopt;
  return count(call.services, "rate:node:" + call.claims->subject, call.services.settings.rates.node, RateScope::kNode);
}

RateState count_link(Services& services, std::string_view subject) {
  return count(services, "rate:link:" + std::string(subject), services.settings.rates.links, RateScope::kLink);
}

std::optional<RateState> tighter(const std::optional<RateState>& one, const std::optional<RateState>& other) {
  if (!one || !other) return one ? one : other;
  if (one->exceeded != other->exceeded) return one->exceeded ? one : other;
  return one->remaining <= other->remaining ? one : other;
}

void add_rate_headers(net::HttpResponse& response, const RateState& state) {
  response.headers.set("RateLimit-Limit", std::to_string(state.limit));
  response.headers.set("RateLimit-Remaining", std::to_string(state.remaining));
  response.headers.set("RateLimit-Reset", std::to_string(state.reset_seconds));
}

net::HttpResponse too_many_requests(Services& services, const RateState& state) {
  services.rate_refusals.count(state.scope);
  auto response = later(429, "too-many-requests", "Too many requests", state.reset_seconds);
  add_rate_headers(response, state);
  return response;
}

}  // namespace higgs::boson
