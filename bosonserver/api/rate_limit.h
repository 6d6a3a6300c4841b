// Requests a minute: from an address, of an account, of a node, of a link; and of a class of endpoints. All servers of
// a cluster count together where they share a Redis.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "bosonserver/api/endpoint.h"

namespace higgs::boson {

/// Fields of draft-ietf-httpapi-ratelimit-headers in their well-known form: RateLimit-Limit, -Remaining, -Reset.
struct RateState {
  std::uint64_t limit = 0, remaining = 0;
  std::int64_t reset_seconds = 0;
  bool exceeded = false;
  RateScope scope = RateScope::kAddress;
};

/// Counts this call for the address that it comes from. nullopt: its class has no limit.
std::optional<RateState> count_address(Call& call, RateClass rate);
/// Counts it for the account or the node that the token has proved; nullopt: neither, or its class has no limit.
std::optional<RateState> count_caller(Call& call, RateClass rate);
/// Counts one more link of that node, session or server.
RateState count_link(Services& services, std::string_view subject);
/// The one that is nearer to its end: what a caller is told of.
std::optional<RateState> tighter(const std::optional<RateState>& one, const std::optional<RateState>& other);

void add_rate_headers(net::HttpResponse& response, const RateState& state);
/// 429 with Retry-After and the fields above; counted.
net::HttpResponse too_many_requests(Services& services, const RateState& state);

}  // namespace higgs::boson
