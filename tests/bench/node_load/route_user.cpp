#include "node_load/route_user.h"

#include <fstream>
#include <stdexcept>

#include "api/account.h"
#include "api/routing.h"

namespace higgs::node_load {
namespace asio = boost::asio;

asio::awaitable<void> RouteUser::log_in(Connection& connection, const Options& options) {
  std::ifstream file(options.password_file);
  std::string password;
  if (!std::getline(file, password)) throw std::runtime_error("cannot read " + options.password_file);
  api::LoginRequest body;
  body.username = options.user;
  body.password = SecretString(password);
  net::HttpHeaders headers;
  headers.set("Content-Type", "application/json");
  auto asking = connection.exchange("POST", "/api/v1/auth/login", std::move(headers), api::encode(body));
  const auto answer = co_await std::move(asking);
  const auto login = answer && answer->status == 200 ? api::decode<api::TokenResponse>(answer->body)
                                                     : api::Decoded<api::TokenResponse>(api::FieldErrors{});
  if (!login) throw std::runtime_error("no login: " + (answer ? answer->body : answer.error().message()));
  authorization_ = "Bearer " + login->access_token;
}

asio::awaitable<Result<net::HttpResponse>> RouteUser::request_route(Connection& connection) {
  api::RoutingRequest body;
  body.client_id = ClientId(Uuid::random(random_));
  body.wireguard_public_key = crypto::public_key_of(crypto::make_private_key(random_));
  // People want different things, so that an answer is seldom good for two of them.
  ++requests_;
  if (requests_ % 3 != 0) body.requirements.preferred_country = requests_ % 2 == 0 ? "DE" : "FR";
  body.requirements.min_bandwidth = static_cast<double>(requests_ % 50);
  net::HttpHeaders headers;
  headers.set("Content-Type", "application/json");
  headers.set("Authorization", authorization_);
  return connection.exchange("POST", "/api/v1/routing/request", std::move(headers), api::encode(body));
}

asio::awaitable<bool> RouteUser::end_session(Connection& connection, const net::HttpResponse& route) {
  const auto routed = api::decode<api::RoutingResponse>(route.body);
  if (!routed) co_return false;
  net::HttpHeaders headers;
  headers.set("Authorization", authorization_);
  auto ending = connection.exchange("DELETE", "/api/v1/sessions/" + to_string(routed->selected_route.session_id),
                                    std::move(headers), "");
  const auto ended = co_await std::move(ending);
  co_return ended && ended->status / 100 == 2;
}

}  // namespace higgs::node_load
