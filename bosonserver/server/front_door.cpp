#include "bosonserver/server/front_door.h"

#include "bosonserver/api/answers.h"
#include "bosonserver/cluster/cascade_dialer.h"
#include "net/tracing.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace asio = boost::asio;
namespace {

constexpr std::int64_t kOverloadRetrySeconds = 5;
constexpr std::chrono::seconds kOverloadHold{1};
constexpr unsigned kSwitchingProtocols = 101;

net::HttpResponse overloaded() {
  auto response = later(503, "overloaded", "The server has too much to do", kOverloadRetrySeconds);
  response.hold = kOverloadHold;
  return response;
}

/// Of every line that is written while the request is worked on.
std::vector<runtime::log::Field> log_fields(const net::HttpRequest& request, const trace::Span& span) {
  auto fields = net::trace_fields(span.context());
  fields.emplace_back("request", request.request_id);
  return fields;
}

}  // namespace

FrontDoor::FrontDoor(Services& services, ServerMetrics& metrics, runtime::BlockingPool& store_pool,
                     runtime::BlockingPool& password_pool, OverloadGate& overload, RelayServer& relay,
                     RelayMeter& meter, std::optional<double> session_rate_mbps, ServerTraces& traces)
    : services_(services),
      metrics_(metrics),
      store_pool_(store_pool),
      password_pool_(password_pool),
      overload_(overload),
      relay_(relay),
      meter_(meter),
      session_rate_mbps_(session_rate_mbps),
      traces_(traces),
      gateway_(services) {}

net::HttpHandlers FrontDoor::handlers() {
  net::HttpHandlers handlers;
  handlers.request = [this](net::HttpRequest request) { return answer(std::move(request)); };
  handlers.upgrade = [this](net::HttpRequest request) { return upgrade(std::move(request)); };
  return handlers;
}

template <class F>
asio::awaitable<std::optional<std::invoke_result_t<F>>> FrontDoor::run(Lane lane, const net::HttpRequest& request,
                                                                       const trace::Span& span, F work) {
  const bool password = lane == Lane::kPassword;
  const auto begin = runtime::now().monotonic;
  auto waiting = traces_.step("wait for a thread", span);
  auto watched = [&] {
    metrics_.observe_pool_wait(password ? "password" : "store", runtime::now().monotonic - begin);
    waiting.end();
    const auto working = traces_.step("work", span);
    const runtime::log::Scope scope(log_fields(request, working.context() ? working : span));
    return work();
  };
  auto running = (password ? password_pool_ : store_pool_).run(watched);
  co_return co_await std::move(running);
}

asio::awaitable<net::HttpResponse> FrontDoor::answer(net::HttpRequest request) {
  const auto begin = runtime::now().monotonic;
  auto match = match_endpoint(request.method, request.path);
  const ApiEndpoint* endpoint = match.endpoint;
  auto span = traces_.request(request, endpoint);
  net::HttpResponse response = overloaded();
  if (overload_.take(endpoint ? endpoint->work : Work::kAnonymous)) {
    auto passing = pass(gateway_.begin(request, std::move(match)), request, span);
    response = co_await std::move(passing);
  }
  const auto took = runtime::now().monotonic - begin;
  ServerTraces::answered(span, response.status);
  metrics_.count_request(endpoint ? request.method : "other", endpoint ? endpoint->path : "other", response.status,
                         took);
  const runtime::log::Scope scope(log_fields(request, span));
  runtime::log::debug("answered", {{"method", request.method},
                                   {"path", request.path},
                                   {"status", response.status},
                                   {"ms", std::chrono::duration<double, std::milli>(took).count()}});
  co_return response;
}

asio::awaitable<net::HttpResponse> FrontDoor::pass(Passage passage, const net::HttpRequest& request,
                                                   const trace::Span& span) {
  if (passage.endpoint && passage.endpoint->lane == Lane::kLoop) {
    auto refused = gateway_.check(passage);
    co_return refused ? std::move(*refused) : gateway_.handle(passage);
  }
  const bool hashes = passage.endpoint && passage.endpoint->lane == Lane::kPassword;
  auto first = [this, &passage, hashes] {
    auto refused = gateway_.check(passage);
    return refused || hashes ? std::move(refused) : gateway_.handle(passage);
  };
  auto checking = run(Lane::kStore, request, span, first);
  auto checked = co_await std::move(checking);
  if (!checked) co_return overloaded();
  if (*checked) co_return std::move(**checked);
  auto second = [this, &passage] { return gateway_.handle(passage); };
  auto handling = run(Lane::kPassword, request, span, second);
  auto handled = co_await std::move(handling);
  co_return handled ? std::move(*handled) : overloaded();
}

asio::awaitable<net::UpgradeDecision> FrontDoor::upgrade(net::HttpRequest request) {
  const auto begin = runtime::now().monotonic;
  const auto match = match_endpoint("GET", request.path);
  auto span = traces_.request(request, match.endpoint);
  auto work = [this, &request] { return authorise_relay_link(services_, meter_, request, session_rate_mbps_); };
  std::optional<RelayGrant> granted;
  if (overload_.take(Work::kRenewal)) {
    auto running = run(Lane::kStore, request, span, work);
    granted = co_await std::move(running);
  }
  net::UpgradeDecision decision = overloaded();
  if (granted) {
    if (auto* response = std::get_if<net::HttpResponse>(&*granted)) decision = std::move(*response);
    if (auto* node = std::get_if<NodeLinkGrant>(&*granted)) decision = admit(*node);
    if (auto* client = std::get_if<ClientLinkGrant>(&*granted)) decision = admit(*client, span);
    if (auto* server = std::get_if<ServerLinkGrant>(&*granted)) decision = admit(*server);
  }
  const auto* refused = std::get_if<net::HttpResponse>(&decision);
  const unsigned status = refused ? refused->status : kSwitchingProtocols;
  ServerTraces::answered(span, status);
  metrics_.count_request("GET", match.endpoint ? match.endpoint->path : "other", status,
                         runtime::now().monotonic - begin);
  const runtime::log::Scope scope(log_fields(request, span));
  if (refused) runtime::log::info("a relay link was refused", {{"status", status}});
  co_return decision;
}

std::optional<net::HttpResponse> FrontDoor::refusal(Admission admission) const {
  const auto retry = relay_.retry_after().count();
  switch (admission) {
    case Admission::kAccept:
      return std::nullopt;
    case Admission::kOlderToken:
      return problem_answer(409, "older-token", "A link with a newer token stands");
    case Admission::kFull:
      return later(503, "relay-full", "The relay is full", retry);
    case Admission::kDraining:
      return later(503, "draining", "The relay is about to stop", retry);
    case Admission::kNoWorker:
      return problem_answer(404, "no-worker", "This server has no such worker");
  }
  return overloaded();
}

net::UpgradeDecision FrontDoor::admit(const NodeLinkGrant& grant) {
  if (auto refused = refusal(relay_.admit_node(grant.node, grant.token_iat))) return std::move(*refused);
  return net::UpgradeAccept{std::string(kRelaySubprotocol), [this, grant](net::UpgradedSocket socket) {
                              relay_.take_node_link(grant.node, grant.token_iat, std::move(socket));
                            }};
}

net::UpgradeDecision FrontDoor::admit(const ClientLinkGrant& grant, const trace::Span& span) {
  if (auto refused = refusal(relay_.admit_client(grant.ticket.session, grant.token_iat))) return std::move(*refused);
  return net::UpgradeAccept{std::string(kRelaySubprotocol),
                            [this, grant, request = span.context()](net::UpgradedSocket socket) {
                              auto ticket = grant.ticket;
                              ticket.trace = traces_.session_opening(ticket.session, ticket.node, request);
                              relay_.take_client_link(std::move(ticket), grant.token_iat, std::move(socket));
                            }};
}

net::UpgradeDecision FrontDoor::admit(const ServerLinkGrant& grant) {
  if (auto refused = refusal(relay_.admit_server(grant))) return std::move(*refused);
  return net::UpgradeAccept{std::string(relay::kCascadeSubprotocol), [this, grant](net::UpgradedSocket socket) {
                              relay_.take_server_link(grant, std::move(socket));
                            }};
}

}  // namespace higgs::boson
