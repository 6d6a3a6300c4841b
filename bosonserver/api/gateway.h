// Every request passes here: match, rate limit, token, role, form of the body, handler. Pool threads.
#pragma once

#include <functional>

#include "bosonserver/api/endpoint.h"
#include "bosonserver/api/services.h"
#include "net/http.h"

namespace higgs::boson {

class Gateway {
 public:
  explicit Gateway(Services& services) : services_(services) {}

  /// `match`: of this request; may be none. Never throws.
  net::HttpResponse answer(const net::HttpRequest& request, Match match);

 private:
  net::HttpResponse answer_checked(Call& call, const Match& match);
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
