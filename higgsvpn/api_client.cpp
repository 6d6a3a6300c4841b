#include "higgsvpn/api_client.h"

#include <boost/url/url.hpp>
#include <fmt/format.h>

#include "base/assert.h"
#include "base/number.h"
#include "net/server_probe.h"
#include "net/tracing.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace higgs::vpn {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr auto kLockPatience = 20s;
constexpr auto kLockRetry = 25ms;
constexpr std::int64_t kExpiryMarginSeconds = 20;
constexpr int kMaxPages = 200;
/// Where another server may answer, one that does not is not waited for as long.
constexpr auto kPatienceWithOneOfMany = 2s;
constexpr unsigned kBadGateway = 502, kUnavailable = 503, kGatewayTimeout = 504;

bool is_down(unsigned status) { return status == kBadGateway || status == kUnavailable || status == kGatewayTimeout; }

/// What may be sent twice without harm.
bool may_repeat(std::string_view method, std::string_view path) { return method != "POST" || path.ends_with("/renew"); }

net::HttpClientOptions http_options(const Account& account, std::optional<std::uint32_t> mark,
                                    std::optional<net::TlsIdentity> identity) {
  net::HttpClientOptions options;
  options.trust = account.trust_in_all();
  options.identity = std::move(identity);
  options.mark = mark;
  options.known_hosts = account.known_hosts;
  options.user_agent = "higgsvpn";
  if (!account.relay_servers.empty()) options.connect_deadline = kPatienceWithOneOfMany;
  return options;
}

std::optional<std::chrono::seconds> retry_after_of(const net::HttpResponse& response) {
  const auto text = response.headers.get("Retry-After");
  const auto seconds = text ? parse_number<unsigned>(*text) : std::nullopt;
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(std::min(*seconds, 3600u));
}

Failure malformed(const std::string& what) {
  return {ExitCode::kFailure,
          "the server's answer is malformed: " + what,
          "is it a Higgs server of this version?",
          false,
          {}};
}

template <class T>
Outcome<T> decode_body(const Outcome<std::string>& body) {
  if (!body) return body.error();
  auto decoded = api::decode<T>(*body);
  if (!decoded) return malformed(decoded.error().to_string());
  return std::move(*decoded);
}

}  // namespace

Failure failure_of(const net::HttpResponse& response) {
  Failure failure;
  const auto problem = api::decode<api::Problem>(response.body);
  failure.message = fmt::format("the server answered {}", response.status);
  if (problem && !problem->title.empty()) {
    failure.message = problem->title + (problem->detail.empty() ? "" : ": " + problem->detail);
  }
  failure.retry_after = retry_after_of(response);
  switch (response.status) {
    case 401:
      failure.wants_code = problem && problem->is("totp-required");
      [[fallthrough]];
    case 403:
      failure.code = ExitCode::kNotLoggedIn;
      break;
    case 404:
    case 410:
      failure.gone = true;
      break;
    case 409:
      if (problem && problem->is("no-node-fits")) {
        failure.code = ExitCode::kNoNodeFits;
        for (const auto& [requirement, count] : problem->ruled_out) {
          failure.remedy += fmt::format("{}{} ruled out {}", failure.remedy.empty() ? "" : ", ", requirement, count);
        }
      }
      break;
    case 429:
      failure.remedy = failure.retry_after ? fmt::format("try again in {} s", failure.retry_after->count()) : "";
      break;
    case 502:
    case 503:
    case 504:
      failure.code = ExitCode::kUnreachable;
      break;
    default:
      break;
  }
  return failure;
}

Failure failure_of(const ErrorCode& error, const std::string& server) {
  Failure failure = Failure::of(error, "cannot reach " + server);
  if (failure.code == ExitCode::kNotPermitted) return failure;
  if (error == net::make_error_code(net::TlsError::kCertificateRefused)) {
    failure.code = ExitCode::kNotLoggedIn;
    failure.message = server + " refuses the certificate";
    failure.remedy = "it must be of the server's CA, for clients (clientAuth), in date and not revoked";
    return failure;
  }
  failure.code = ExitCode::kUnreachable;
  if (error == net::make_error_code(net::TlsError::kUntrusted)) {
    failure.message = server + " shows a certificate that is not the one expected";
    failure.remedy = "compare with `bosonserver pin` on the server, then log in again with --pin";
  } else if (error == net::make_error_code(net::HttpClientError::kResolve)) {
    failure.remedy = "does the name exist, and does DNS work?";
  } else {
    failure.remedy = "is this machine online, and the server running?";
  }
  return failure;
}

ApiClient::ApiClient(const boost::asio::any_io_executor& executor, const StateDirectory& state, Account account,
                     std::optional<std::uint32_t> mark, std::optional<net::TlsIdentity> identity)
    : state_(state),
      account_(std::move(account)),
      http_(executor, http_options(account_, mark, std::move(identity))),
      servers_(account_.server) {
  servers_.learn(runtime::now().monotonic, account_.relay_servers);
}
ApiClient::~ApiClient() = default;

awaitable<Outcome<std::string>> ApiClient::call(std::string method, std::string path, std::string body,
                                                bool with_token) {
  net::HttpHeaders headers;
  if (!body.empty()) headers.set("Content-Type", "application/json");
  if (with_token) headers.set("Authorization", "Bearer " + std::string(account_.access_token.reveal()));
  net::set_trace_parent(headers, trace_);
  const auto target = "/api/v1" + path;
  const auto tries = servers_.origins().size();
  for (std::size_t attempt = 1;; ++attempt) {
    const std::string origin = servers_.choose(runtime::now().monotonic, random_);
    auto answer = http_.request(method, origin + target, headers, body);
    const auto response = co_await std::move(answer);
    if (response && !is_down(response->status)) servers_.worked(origin);
    if (response && response->status >= 200 && response->status < 300) co_return response->body;
    if (!response || is_down(response->status)) {
      servers_.failed(runtime::now().monotonic, origin);
      const bool unsent = !response && (response.error() == net::HttpClientError::kConnect ||
                                        response.error() == net::HttpClientError::kResolve);
      if (attempt < tries && (unsent || response || may_repeat(method, path))) continue;
    }
    Failure failure = response ? failure_of(*response) : failure_of(response.error(), origin);
    if (response && response->status == 401 && with_token) failure.remedy = "log in again: higgsvpn login";
    co_return failure;
  }
}

void ApiClient::learn(const std::vector<api::RelayServer>& servers) {
  if (servers.empty()) return;
  account_.relay_servers = servers;
  servers_.learn(runtime::now().monotonic, servers);
  http_.set_trust(account_.trust_in_all());
}

awaitable<void> ApiClient::measure_servers(std::chrono::milliseconds deadline) {
  return net::measure_servers(http_, servers_, deadline);
}

awaitable<Outcome<std::string>> ApiClient::call_with_token(std::string method, std::string path, std::string body) {
  const std::int64_t now = unix_seconds(runtime::now().wall);
  if (account_.access_expires_at - kExpiryMarginSeconds <= now) {
    const std::string expired(account_.access_token.reveal());
    const auto refreshed = co_await refresh(expired);
    // A server whose store is away gives no new token, and renews tunnels with the one that it gave before.
    const bool may_do = path.ends_with("/renew") && !refreshed && refreshed.error().code != ExitCode::kNotLoggedIn;
    if (!refreshed && !may_do) co_return refreshed.error();
  }
  const std::string used(account_.access_token.reveal());
  auto attempt = call(method, path, body, true);
  auto first = co_await std::move(attempt);
  if (first || first.error().code != ExitCode::kNotLoggedIn) co_return first;
  // The clock may be wrong, or the server may have changed its keys: once more with a new token.
  const auto refreshed = co_await refresh(used);
  if (!refreshed) co_return refreshed.error();
  auto second = call(std::move(method), std::move(path), std::move(body), true);
  co_return co_await std::move(second);
}

awaitable<Outcome<void>> ApiClient::refresh(const std::string& refused_token) {
  const Instant give_up = runtime::now().monotonic + kLockPatience;
  for (;;) {
    // A second process must not spend the same refresh token: the server would take that for theft and end the family.
    auto lock = runtime::LockFile::acquire(state_.account_lock());
    if (lock) co_return co_await refresh_locked(refused_token);
    if (lock.error() != runtime::make_error_code(runtime::FileError::kInUse)) {
      co_return Failure::of(lock.error(), "cannot lock " + state_.account_lock().string());
    }
    if (runtime::now().monotonic > give_up) {
      co_return Failure{
          ExitCode::kFailure, "another higgsvpn holds the account's lock", "end it and try again", false, {}};
    }
    co_await runtime::sleep_for(kLockRetry);
  }
}

awaitable<Outcome<void>> ApiClient::refresh_locked(const std::string& refused_token) {
  const auto stored = load_account(state_);
  if (!stored) co_return Failure::of(stored.error(), "cannot read " + state_.account().string());
  if (!*stored || (*stored)->server != account_.server) {
    co_return Failure{ExitCode::kNotLoggedIn, "not logged in any more", "log in again: higgsvpn login", false, {}};
  }
  account_ = **stored;
  const std::int64_t now = unix_seconds(runtime::now().wall);
  if (account_.access_token.reveal() != refused_token && account_.access_expires_at - kExpiryMarginSeconds > now) {
    co_return Outcome<void>();  // another process was first
  }
  auto body = api::encode(api::RefreshRequest{account_.refresh_token});
  auto answer = call("POST", "/auth/refresh", std::move(body), false);
  auto tokens = decode_body<api::TokenResponse>(co_await std::move(answer));
  if (!tokens) {
    Failure failure = tokens.error();
    if (failure.code == ExitCode::kNotLoggedIn) {
      failure.message = "the login has expired or was revoked";
      failure.remedy = "log in again: higgsvpn login";
    }
    co_return failure;
  }
  account_.take(*tokens);
  learn(tokens->relay_servers);
  // Not stored, the new token would be lost, and the spent one would end the login when it is used again.
  if (const auto saved = save_account(state_, account_); !saved) {
    runtime::log::error("cannot store the new tokens", {{"error", saved.error().message()}});
  }
  co_return Outcome<void>();
}

awaitable<Outcome<void>> ApiClient::login(const SecretString& password, const std::optional<SecretString>& code) {
  auto body = api::encode(api::LoginRequest{account_.username, password, code});
  auto beginning = begin_login("/auth/login", std::move(body));
  co_return co_await std::move(beginning);
}

awaitable<Outcome<void>> ApiClient::login_by_certificate(const std::optional<SecretString>& code) {
  auto body = api::encode(api::CertificateLoginRequest{code});
  auto beginning = begin_login("/auth/certificate", std::move(body));
  co_return co_await std::move(beginning);
}

awaitable<Outcome<void>> ApiClient::begin_login(std::string path, std::string body) {
  auto answer = call("POST", std::move(path), std::move(body), false);
  auto tokens = decode_body<api::TokenResponse>(co_await std::move(answer));
  if (!tokens) co_return tokens.error();
  account_.take(*tokens);
  learn(tokens->relay_servers);
  for (auto& [name, addresses] : http_.resolved()) account_.known_hosts[name] = addresses;
  const auto saved = save_account(state_, account_);
  if (!saved) co_return Failure::of(saved.error(), "cannot store the login in " + state_.account().string());
  co_return Outcome<void>();
}

awaitable<Outcome<void>> ApiClient::logout() {
  auto body = api::encode(api::LogoutRequest{account_.refresh_token});
  auto answer = call_with_token("POST", "/auth/logout", std::move(body));
  auto ended = co_await std::move(answer);
  const auto removed = remove_account(state_);
  if (!removed) co_return Failure::of(removed.error(), "cannot remove " + state_.account().string());
  if (!ended) co_return ended.error();
  co_return Outcome<void>();
}

awaitable<Outcome<std::vector<api::NodeSummary>>> ApiClient::nodes(const NodeFilter& filter) {
  std::vector<api::NodeSummary> all;
  std::optional<std::string> cursor;
  for (int page = 0; page < kMaxPages; ++page) {
    boost::urls::url url("/nodes");
    if (filter.country) url.params().append({"country", *filter.country});
    if (filter.region) url.params().append({"region", *filter.region});
    if (filter.min_bandwidth_mbps) url.params().append({"minBandwidth", fmt::format("{}", *filter.min_bandwidth_mbps)});
    if (filter.max_latency_ms) url.params().append({"maxLatency", fmt::format("{}", *filter.max_latency_ms)});
    if (cursor) url.params().append({"cursor", *cursor});
    auto answer = call_with_token("GET", std::string(url.buffer()), {});
    auto list = decode_body<api::NodeList>(co_await std::move(answer));
    if (!list) co_return list.error();
    for (api::NodeSummary& node : list->nodes) all.push_back(std::move(node));
    cursor = list->next_cursor;
    if (!cursor) break;
  }
  co_return all;
}

awaitable<Outcome<api::RoutingResponse>> ApiClient::request_route(const api::RoutingRequest& request) {
  auto body = api::encode(request);
  auto answer = call_with_token("POST", "/routing/request", std::move(body));
  auto route = decode_body<api::RoutingResponse>(co_await std::move(answer));
  if (route) learn(route->relay_servers);
  co_return route;
}

awaitable<Outcome<api::SessionRenewal>> ApiClient::renew_session(const SessionId& session) {
  std::string path = "/sessions/" + to_string(session) + "/renew";
  auto answer = call_with_token("POST", std::move(path), {});
  co_return decode_body<api::SessionRenewal>(co_await std::move(answer));
}

awaitable<Outcome<void>> ApiClient::end_session(const SessionId& session) {
  std::string path = "/sessions/" + to_string(session);
  auto answer = call_with_token("DELETE", std::move(path), {});
  auto ended = co_await std::move(answer);
  if (!ended && !ended.error().gone) co_return ended.error();
  co_return Outcome<void>();
}

/// A session's link may be at any server of the deployment.
std::string ApiClient::relay_url(const api::SelectedRoute& route) const {
  if (servers_.alone()) return route.relay_endpoint;
  return "wss" + relay_origin_.substr(relay_origin_.find(':')) + "/relay/" + to_string(route.session_id);
}

awaitable<Outcome<net::UpgradedSocket>> ApiClient::open_relay(const api::SelectedRoute& route, const std::string& token,
                                                              unsigned& refused_status) {
  refused_status = 0;
  relay_origin_ = servers_.choose(runtime::now().monotonic, random_);
  const std::string url = relay_url(route);
  net::HttpHeaders headers;
  headers.set("Authorization", "Bearer " + token);
  net::set_trace_parent(headers, trace_);
  auto upgrading = http_.upgrade(url, std::move(headers), "higgs-relay.1");
  auto socket = co_await std::move(upgrading);
  if (socket) {
    servers_.worked(relay_origin_);
    co_return std::move(*socket);
  }
  if (socket.error() == net::make_error_code(net::HttpClientError::kUpgradeRefused) && http_.last_refusal()) {
    refused_status = http_.last_refusal()->status;
    if (is_down(refused_status)) relay_lost();
    co_return failure_of(*http_.last_refusal());
  }
  relay_lost();
  co_return failure_of(socket.error(), url);
}

void ApiClient::relay_lost() { servers_.failed(runtime::now().monotonic, relay_origin_); }
void ApiClient::relay_drains() { servers_.draining(runtime::now().monotonic, relay_origin_); }

}  // namespace higgs::vpn
