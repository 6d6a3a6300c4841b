// Every request passes here, in two steps: match, rate limits, token, role, form of the body; then the handler. Pool
// threads: the first step is cheap and for any, the second for those of the endpoint's lane. So whoever is over a limit
// never waits for, or takes, a thread that hashes passwords.
#pragma once

#include <functional>

#include "bosonserver/api/endpoint.h"
#include "bosonserver/api/rate_limit.h"
#include "bosonserver/api/services.h"
#include "net/http.h"

namespace higgs::boson {

/// A request between the two steps.
struct Passage {
  Call call;
  const ApiEndpoint* endpoint = nullptr;  ///< none: nothing is there
  std::string allowed;                    ///< Match::allowed
  std::optional<RateState> rate;          ///< what its answer says of limits
};

class Gateway {
 public:
  explicit Gateway(Services& services) : services_(services) {}

  /// `match`: of this request, which outlives the passage; may be none.
  Passage begin(const net::HttpRequest& request, Match match) const;
  /// An answer where the request must not go on. Never throws.
  std::optional<net::HttpResponse> check(Passage& passage);
  /// What passed the check. Never throws.
  net::HttpResponse handle(Passage& passage);

 private:
  std::optional<net::HttpResponse> refusal(Passage& passage);
  /// An answer where the call must not go on.
  std::optional<net::HttpResponse> authenticate(Call& call, const ApiEndpoint& endpoint);
  /// With a token that was good when the store answered last, and is good no more.
  std::optional<net::HttpResponse> authenticate_outlived(Call& call, const ApiEndpoint& endpoint);
  std::optional<net::HttpResponse> authenticate_user(Call& call, const ApiEndpoint& endpoint);
  std::optional<net::HttpResponse> authenticate_key(Call& call, const ApiEndpoint& endpoint, std::string_view key);
  std::optional<net::HttpResponse> admit(Call& call, const ApiEndpoint& endpoint, UserRecord user, api::Role role);

  Services& services_;
};

}  // namespace higgs::boson
