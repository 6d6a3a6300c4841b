#include "bosonserver/api/rate_limit.h"

namespace higgs::boson {
namespace {

constexpr std::chrono::minutes kWindow{1};

}  // namespace

std::optional<RateState> count_call(Call& call, RateClass rate) {
  const auto& rates = call.services.settings.rates;
  std::uint64_t limit = 0;
  std::string key;
  switch (rate) {
    case RateClass::kNone:
      return std::nullopt;
    case RateClass::kGeneral:
      limit = rates.general;
      key = "rate:general:";
      break;
    case RateClass::kLogin:
      limit = rates.login;
      key = "rate:login:";
      break;
    case RateClass::kRegistration:
      limit = rates.registration;
      key = "rate:registration:";
      break;
  }
  const auto counted = call.services.cache.count(key + call.address_bucket(), kWindow);
  RateState state;
  state.limit = limit;
  state.remaining = counted.count >= limit ? 0 : limit - counted.count;
  state.reset_seconds = std::chrono::ceil<std::chrono::seconds>(counted.resets_in).count();
  state.exceeded = counted.count > limit;
  return state;
}

void add_rate_headers(net::HttpResponse& response, const RateState& state) {
  response.headers.set("RateLimit-Limit", std::to_string(state.limit));
  response.headers.set("RateLimit-Remaining", std::to_string(state.remaining));
  response.headers.set("RateLimit-Reset", std::to_string(state.reset_seconds));
}

}  // namespace higgs::boson
