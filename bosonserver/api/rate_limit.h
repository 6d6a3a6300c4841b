// Requests a minute for each address and class of endpoints.
#pragma once

#include <optional>

#include "bosonserver/api/endpoint.h"

namespace higgs::boson {

/// Fields of draft-ietf-httpapi-ratelimit-headers in their well-known form: RateLimit-Limit, -Remaining, -Reset.
struct RateState {
  std::uint64_t limit = 0, remaining = 0;
  std::int64_t reset_seconds = 0;
  bool exceeded = false;
};

/// Counts this call. nullopt: its class has no limit.
std::optional<RateState> count_call(Call& call, RateClass rate);
void add_rate_headers(net::HttpResponse& response, const RateState& state);

}  // namespace higgs::boson
