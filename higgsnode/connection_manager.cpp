#include "higgsnode/connection_manager.h"

#include "api/problem.h"
#include "api/registration_signature.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;

/// How often a node that waits for approval asks again.
constexpr std::chrono::seconds kPendingInterval{15};
constexpr unsigned kServerFault = 500;
/// From an action to its result.
constexpr std::chrono::milliseconds kResultPause{250};

net::HttpHeaders json_headers() {
  net::HttpHeaders headers;
  headers.set("Content-Type", "application/json");
  headers.set("Accept", "application/json, application/problem+json");
  return headers;
}

bool is_success(const Result<net::HttpResponse>& response) { return response && response->status / 100 == 2; }

}  // namespace

ConnectionManager::ConnectionManager(const asio::any_io_executor& executor, net::HttpClient& http,
                                     api::ServerChoice& servers, std::chrono::seconds heartbeat_interval,
                                     ConnectionEvents& events, RandomSource& random)
    : http_(http),
      servers_(servers),
      interval_(heartbeat_interval),
      events_(events),
      random_(random),
      hurry_(executor) {}

void ConnectionManager::fail(const std::string& origin, const std::string& what,
                             const Result<net::HttpResponse>& response) {
  ++status_.failures;
  // What a server refuses, its fellows would refuse as well.
  if (!response || response->status >= kServerFault) servers_.failed(runtime::now().monotonic, origin);
  std::string why;
  if (!response) {
    why = response.error().message();
  } else {
    why = "the server answered " + std::to_string(response->status);
    if (const auto problem = api::decode<api::Problem>(response->body)) {
      why += ": " + (problem->detail.empty() ? problem->title : problem->detail);
    }
  }
  // The same trouble is told once, not at every attempt.
  const auto message = what + ": " + why;
  if (message != status_.last_error) log::warn(what, {{"server", origin}, {"reason", why}});
  status_.last_error = message;
}

asio::awaitable<void> ConnectionManager::wait_after_failure() {
  const auto wait = backoff_.next(runtime::now().monotonic, random_);
  co_await hurry_.wait_for(wait);
}

asio::awaitable<void> ConnectionManager::run() {
  for (;;) {
    again_ = false;
    const bool registered = co_await register_once();
    if (!registered) {
      co_await wait_after_failure();
      continue;
    }
    if (status_.pending) {
      co_await hurry_.wait_for(kPendingInterval);
      continue;
    }
    co_await keep_registered();
    status_.registered = false;
    // Only a good heartbeat has reset the back-off: a server that registers us and then takes no token is not stormed.
    co_await wait_after_failure();
  }
}

asio::awaitable<bool> ConnectionManager::register_once() {
  // Challenge and answer go to one server: the signature names it.
  const std::string origin = servers_.choose(runtime::now().monotonic, random_);
  auto headers = json_headers();
  auto challenging = http_.request("POST", origin + "/api/v1/nodes/challenge", headers, "{}");
  const auto challenged = co_await std::move(challenging);
  if (!is_success(challenged)) {
    fail(origin, "no challenge from the server", challenged);
    co_return false;
  }
  const auto challenge = api::decode<api::ChallengeResponse>(challenged->body);
  if (!challenge) {
    fail(origin, "the challenge is malformed", challenged);
    co_return false;
  }
  const auto request = events_.make_request(challenge->nonce);
  if (!request) {
    ++status_.failures;
    log::error("the registration cannot be made", {{"reason", request.error().message()}});
    co_return false;
  }
  auto body = api::encode(*request);
  headers.set(api::kSignatureHeader, events_.sign(origin, challenge->nonce, body));
  auto registering = http_.request("POST", origin + "/api/v1/nodes/register", headers, std::move(body));
  const auto answered = co_await std::move(registering);
  if (!is_success(answered)) {
    fail(origin, "the server did not register this node", answered);
    co_return false;
  }
  const auto response = api::decode<api::RegisterResponse>(answered->body);
  if (!response) {
    log::warn("the registration's answer is malformed", {{"reason", response.error().to_string()}});
    co_return false;
  }
  node_id_ = to_string(response->node_id);
  session_token_ = response->session_token;
  status_.registered = !response->pending;
  if (response->pending && !status_.pending)
    log::info("registered; an operator of the server has to approve this node");
  if (!response->pending) log::info("registered", {{"server", origin}, {"node", node_id_}});
  status_.pending = response->pending;
  status_.last_error.clear();
  ++status_.registrations;
  servers_.worked(origin);
  if (response->observed_address) events_.on_observed_address(*response->observed_address);
  if (!response->relay_servers.empty()) events_.on_relay_servers(response->relay_servers);
  if (!response->pending) events_.on_registered(*response);
  co_return true;
}

asio::awaitable<void> ConnectionManager::keep_registered() {
  bool well = true;
  while (!again_) {
    // What became of an action is waited for, but a server that sends the same one for ever is not stormed.
    const std::chrono::milliseconds due = action_results_.empty() ? interval_ : kResultPause;
    const auto wait =
        well ? due : std::min<std::chrono::milliseconds>(backoff_.next(runtime::now().monotonic, random_), interval_);
    co_await hurry_.wait_for(wait);
    if (again_) break;
    auto beating = beat(events_.make_heartbeat());
    const auto outcome = co_await std::move(beating);
    if (outcome == Beat::kUnauthorized) break;
    well = outcome == Beat::kOk;
    if (well) backoff_.reset();
  }
}

asio::awaitable<ConnectionManager::Beat> ConnectionManager::beat(api::HeartbeatRequest request) {
  request.action_results = action_results_;
  auto headers = json_headers();
  headers.set("Authorization", "Bearer " + session_token_);
  const std::string origin = servers_.choose(runtime::now().monotonic, random_);
  const auto url = origin + "/api/v1/nodes/" + node_id_ + "/heartbeat";
  auto beating = http_.request("POST", url, headers, api::encode(request));
  const auto answered = co_await std::move(beating);
  if (!is_success(answered)) {
    fail(origin, "a heartbeat failed", answered);
    const bool refused = answered && (answered->status == 401 || answered->status == 403 || answered->status == 404);
    co_return refused ? Beat::kUnauthorized : Beat::kFailed;
  }
  const auto response = api::decode<api::HeartbeatResponse>(answered->body);
  if (!response) {
    log::warn("a heartbeat's answer is malformed", {{"reason", response.error().to_string()}});
    co_return Beat::kFailed;
  }
  if (!status_.last_error.empty()) log::info("the server is reached again", {{"server", origin}});
  servers_.worked(origin);
  status_.last_error.clear();
  ++status_.heartbeats;
  action_results_.clear();
  if (response->session_token) session_token_ = *response->session_token;
  if (response->relay_token) events_.on_relay_token(*response->relay_token);
  if (response->observed_address) events_.on_observed_address(*response->observed_address);
  if (!response->relay_servers.empty()) events_.on_relay_servers(response->relay_servers);
  take_actions(response->actions);
  co_return Beat::kOk;
}

void ConnectionManager::take_actions(const std::vector<api::NodeAction>& actions) {
  if (leaving_) return;
  for (const auto& action : actions) {
    if (action_results_.size() >= kMaxActionResults) break;  // they come again
    action_results_.push_back(events_.on_action(action));
  }
}

void ConnectionManager::register_again() {
  again_ = true;
  hurry_.notify();
}

asio::awaitable<void> ConnectionManager::say_offline(std::chrono::milliseconds deadline) {
  if (!status_.registered) co_return;
  leaving_ = true;
  auto request = events_.make_heartbeat();
  request.status = api::NodeStatus::kOffline;
  auto beating = beat(std::move(request));
  const auto done = co_await runtime::with_deadline(std::move(beating), deadline);
  if (!done || *done != Beat::kOk) log::warn("the server could not be told that this node goes");
}

}  // namespace higgs::node
