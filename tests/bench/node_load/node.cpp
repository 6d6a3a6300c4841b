#include "node_load/node.h"

#include <array>
#include <optional>

#include "api/registration_signature.h"

namespace higgs::node_load {
namespace asio = boost::asio;

namespace {

constexpr std::int64_t kNotAfter = 4'000'000'000;
constexpr std::array<const char*, 8> kCountries{"DE", "FR", "NL", "SE", "US", "JP", "BR", "ZA"};

net::HttpHeaders json_headers() {
  net::HttpHeaders headers;
  headers.set("Content-Type", "application/json");
  return headers;
}

}  // namespace

api::RegisterRequest Node::registration(const crypto::Ed25519PrivateKey& identity, std::string nonce,
                                        RandomSource& random) const {
  api::RegisterRequest body;
  body.identity_key = crypto::public_key_of_ed25519(identity);
  body.node_id = api::node_id_of(body.identity_key);
  body.public_key = crypto::public_key_of(crypto::make_private_key(random));
  body.nonce = std::move(nonce);
  body.key_certificate = api::sign_key_certificate(identity, body.public_key, 1, kNotAfter, {{25, 465, 587}});
  body.tunnel_prefixes = {*IpPrefix::parse("10.77.0.0/24"), *IpPrefix::parse("fd00:77::/64")};
  body.network_info.ipv4 = IpAddress::v4(0xc6120000u + number_);  // 198.18.0.0/15, RFC 2544
  body.capabilities = {10, {100, 100}, true, true};
  body.metrics.latency = 20;
  body.location = api::Location{kCountries[number_ % kCountries.size()], "", std::nullopt};
  body.heartbeat_interval = interval_;
  return body;
}

asio::awaitable<std::optional<std::string>> Node::join(Connection& connection, std::string origin,
                                                       RandomSource& random) {
  auto challenging = connection.exchange("POST", "/api/v1/nodes/challenge", {}, "");
  const auto challenged = co_await std::move(challenging);
  const auto challenge = challenged && challenged->status == 200
                             ? api::decode<api::ChallengeResponse>(challenged->body)
                             : api::Decoded<api::ChallengeResponse>(api::FieldErrors{});
  if (!challenge) co_return challenged ? challenged->body : challenged.error().message();
  const auto identity = crypto::make_ed25519_key(random);
  const auto request = registration(identity, challenge->nonce, random);
  auto text = api::encode(request);
  auto headers = json_headers();
  headers.set(api::kSignatureHeader, api::sign_registration(identity, origin, request.nonce, text));
  auto registering = connection.exchange("POST", "/api/v1/nodes/register", std::move(headers), std::move(text));
  const auto answer = co_await std::move(registering);
  const auto registered = answer && answer->status == 200 ? api::decode<api::RegisterResponse>(answer->body)
                                                          : api::Decoded<api::RegisterResponse>(api::FieldErrors{});
  if (!registered) co_return answer ? answer->body : answer.error().message();
  id_ = registered->node_id;
  authorization_ = "Bearer " + registered->session_token;
  co_return std::nullopt;
}

asio::awaitable<Result<net::HttpResponse>> Node::send_heartbeat(Connection& connection) {
  api::HeartbeatRequest body;
  ++beats_;
  body.metrics.latency = 20 + (number_ + beats_) % 10;
  body.metrics.cpu_usage = (number_ * 7 + beats_ * 13) % 50;
  body.metrics.memory_usage = 40;
  auto headers = json_headers();
  headers.set("Authorization", authorization_);
  return connection.exchange("POST", "/api/v1/nodes/" + to_string(id_) + "/heartbeat", std::move(headers),
                             api::encode(body));
}

}  // namespace higgs::node_load
