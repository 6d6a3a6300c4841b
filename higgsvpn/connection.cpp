#include "higgsvpn/connection.h"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "higgsvpn/marks.h"
#include "higgsvpn/traversal_servers.h"
#include "relay/control.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/log.h"

namespace higgs::vpn {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using State = ConnectionMachine::State;
using Do = ConnectionMachine::Do;

constexpr auto kResolveDeadline = 5s;
constexpr auto kFarewellDeadline = 2s;
constexpr auto kSampleInterval = 1s;
constexpr auto kHandshakeInterval = 5ms;  // how often the device is asked while a handshake runs
constexpr auto kMeasureDeadline = 300ms;
/// RFC 6455, 7.4.2: from here on codes are the sub-protocol's own: the server meant this link. Below, the link died.
constexpr std::uint16_t kOwnCodes = 4000;
constexpr std::chrono::seconds kShortestLife = 10s, kLongestLife = 24h;

Instant now() { return runtime::now().monotonic; }

/// Until the first ends; the others never do by themselves.
awaitable<void> as_one(awaitable<void> first, awaitable<void> second, awaitable<void> third, awaitable<void> fourth) {
  using namespace asio::experimental::awaitable_operators;
  co_await (std::move(first) || std::move(second) || std::move(third) || std::move(fourth));
}

std::chrono::seconds lifetime_until(std::int64_t expires_at) {
  const std::chrono::seconds life(expires_at - unix_seconds(runtime::now().wall));
  return std::clamp(life, kShortestLife, kLongestLife);
}

}  // namespace

Connection::Connection(const asio::any_io_executor& executor, const StateDirectory& state, Account account,
                       LocalNetwork& network, ConnectOptions options, ConnectionObserver& observer)
    : executor_(executor),
      state_(state),
      account_(std::move(account)),
      network_(network),
      options_(std::move(options)),
      observer_(observer),
      trace_(executor, options_.tracing, random_),
      trust_(state.nodes()),
      stale_sessions_(state.sessions()),
      wake_(executor),
      stop_timer_(executor, asio::steady_timer::time_point::max()),
      nat_(executor, nat_options(), random_) {}

Connection::~Connection() = default;

void Connection::stop() {
  stopping_ = true;
  stop_timer_.cancel();
}

awaitable<void> Connection::wait_for_stop() {
  while (!stopping_) {
    ErrorCode waited;
    co_await stop_timer_.async_wait(asio::redirect_error(asio::use_awaitable, waited));
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (!waited || cancellation.cancelled() != asio::cancellation_type::none) co_return;
  }
}

awaitable<Outcome<void>> Connection::run() {
  using namespace asio::experimental::awaitable_operators;
  trace_.tunnel_down(false);
  const auto prepared = co_await prepare();
  Outcome<void> result;
  if (prepared) {
    auto driving = drive();
    auto stopping = wait_for_stop();
    auto watching = watch_network();
    // Nobody waits for it: a route asks with what an earlier run has found.
    ask_about_nat(net::StunServerName::beside(account_.server));
    std::function<void()> found = [this] {
      if (session_) session_->set_network(host_network_, false, port_step());
    };
    auto finding = nat_.run(std::move(found));
    auto keeping = keep_local_network();
    auto beside = as_one(std::move(stopping), std::move(watching), std::move(finding), std::move(keeping));
    auto first = co_await (std::move(driving) || std::move(beside));
    if (first.index() == 0) result = std::get<0>(std::move(first));
  } else {
    result = prepared;
  }
  auto finishing = finish(std::move(result));
  co_return co_await std::move(finishing);
}

awaitable<Outcome<void>> Connection::prepare() {
  const auto loaded = trust_.load();
  if (!loaded) {
    co_return Failure::of(loaded.error(), "cannot read " + state_.nodes().string(),
                          "if you remove it, node keys older than those seen before would be accepted again");
  }
  resumed_ = network_.kill_switch_left();
  if (network_.has_leftovers()) {
    observer_.on_notice("an earlier connect ended without cleaning up; putting things in order");
    const auto recovered = network_.recover();
    if (!recovered) co_return recovered.error();
  }
  // Names can be asked only now: once closed, the kill switch lets no resolver through.
  if (!resumed_) co_await resolve_servers();
  const auto closed = network_.close(options_.kill_switch, options_.allow_lan);
  if (!closed) co_return closed.error();
  api_ = std::make_unique<ApiClient>(executor_, state_, account_, kFirewallMark);
  co_await api_->measure_servers(kMeasureDeadline);
  co_return Outcome<void>();
}

awaitable<void> Connection::resolve_servers() {
  std::vector<std::string> hosts{host_of(account_.server)};
  for (const auto& server : account_.relay_servers) hosts.push_back(server.host);
  const auto deadline = now() + kResolveDeadline;
  bool learned = false;
  for (const std::string& host : hosts) {
    if (IpAddress::parse(host)) continue;
    const auto left = deadline - now();
    if (left <= 0s) break;
    const auto found = co_await resolve(host, std::chrono::duration_cast<std::chrono::milliseconds>(left));
    // Not found: the addresses of the last time may still do.
    if (found.empty() || found == account_.known_hosts[host]) continue;
    account_.known_hosts[host] = found;
    learned = true;
  }
  if (learned) (void)save_account(state_, account_);
}

awaitable<std::vector<IpAddress>> Connection::resolve(const std::string& host, std::chrono::milliseconds patience) {
  asio::ip::tcp::resolver resolver(executor_);
  auto asking = resolver.async_resolve(host, "443", asio::as_tuple(asio::use_awaitable));
  const auto answer = co_await runtime::with_deadline(std::move(asking), patience);
  std::vector<IpAddress> found;
  if (!answer || std::get<0>(*answer)) co_return found;
  for (const auto& entry : std::get<1>(*answer)) {
    const auto address = IpAddress::parse(entry.endpoint().address().to_string());
    if (address && std::find(found.begin(), found.end(), *address) == found.end()) found.push_back(*address);
  }
  co_return found;
}

// An error of ours must end in finish() like every other, and not be waited for.
awaitable<Failure> Connection::drive() {
  std::string what;
  try {
    co_return co_await do_what_the_machine_says();
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    what = error.what();
  } catch (const std::exception& error) {
    what = error.what();
  }
  Failure failure;
  failure.message = "unexpected error: " + what;
  co_return failure;
}

awaitable<Failure> Connection::do_what_the_machine_says() {
  machine_ = std::make_unique<ConnectionMachine>(now(), random_, options_.node.has_value());
  for (;;) {
    take_events();
    sample();
    publish();
    if (machine_->state() == State::kConnected)
      trace_.tunnel_up();
    else
      trace_.tunnel_down(machine_->was_up());
    if (machine_->state() == State::kConnected && !stale_sessions_.empty()) co_await end_stale_sessions();
    const ConnectionMachine::Action action = machine_->next(now());
    switch (action.what) {
      case Do::kRequestRoute:
        co_await request_route();
        break;
      case Do::kOpenLink:
        co_await open_link();
        break;
      case Do::kRenew:
        co_await renew();
        break;
      case Do::kRestartHandshake:
        session_->restart_handshake();
        break;
      case Do::kWait:
        co_await wait_until(action.until);
        break;
      case Do::kGiveUp:
        co_return machine_->failure();
    }
  }
}

awaitable<void> Connection::wait_until(Instant until) {
  if (!events_.empty()) co_return;
  if (session_) until = std::min(until, next_sample_);
  wake_.expires_at(std::chrono::time_point_cast<asio::steady_timer::duration>(until));
  ErrorCode cancelled;  // an event has come
  co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

awaitable<void> Connection::request_route() {
  const crypto::PrivateKey key = crypto::make_private_key(random_);
  api::RoutingRequest request;
  // Nothing in a request ties it to an earlier one, but for the account.
  request.client_id = ClientId(Uuid::random(random_));
  request.wireguard_public_key = crypto::public_key_of(key);
  request.target_node_id = options_.node;
  request.requirements = options_.requirements;
  request.client_network_info = network_info();
  api_->follow(trace_.begin_step("route"));
  auto asking = api_->request_route(request);
  auto answer = co_await std::move(asking);
  if (!answer && answer.error().code == ExitCode::kFailure && !stale_sessions_.empty()) {
    // Those of runs that were killed may be what fills the account's limit.
    co_await end_stale_sessions();
    auto again = api_->request_route(request);
    answer = co_await std::move(again);
  }
  api_->follow(std::nullopt);
  if (!answer) {
    trace_.step_failed(answer.error());
    machine_->route_failed(now(), answer.error());
    co_return;
  }
  trace_.end_step();
  const api::SelectedRoute& route = answer->selected_route;
  // On record before it is used: a crash from here on must not leave it to others.
  stale_sessions_.push_back(route.session_id);
  (void)state_.remember_sessions(stale_sessions_);
  for (const auto& host : learn_hosts(account_.known_hosts, route.hosts, host_of(account_.server)))
    api_->know(host, account_.known_hosts[host]);
  auto adopted = trust_.check(route.node_endpoint, options_.node, runtime::now().wall);
  if (adopted) adopted = adopt(route, key);
  if (!adopted) {
    machine_->route_failed(now(), adopted.error());
    co_return;
  }
  machine_->route_obtained(now(), lifetime_until(route.expires_at));
}

awaitable<void> Connection::open_link() {
  unsigned status = 0;
  api_->follow(trace_.begin_step("relay link"));
  auto opening = api_->open_relay(session_->route(), session_->token(), status);
  auto socket = co_await std::move(opening);
  api_->follow(std::nullopt);
  if (!socket) {
    trace_.step_failed(socket.error());
    machine_->link_failed(now(), status, socket.error());
    co_return;
  }
  const auto attached = session_->attach(std::move(*socket), *this);
  if (!attached) {
    trace_.step_failed(attached.error());
    machine_->link_failed(now(), 0, attached.error());
    co_return;
  }
  trace_.end_step();
  trace_.link_opened();
  machine_->link_opened(now());
  next_sample_ = now();
}

awaitable<void> Connection::renew() {
  auto renewing = api_->renew_session(session_->route().session_id);
  auto renewal = co_await std::move(renewing);
  if (!renewal) {
    machine_->renewal_failed(now(), renewal.error());
    co_return;
  }
  session_->set_token(renewal->session_token);
  machine_->renewed(now(), lifetime_until(renewal->expires_at));
}

awaitable<void> Connection::end_stale_sessions() {
  std::vector<SessionId> left;
  for (const SessionId& id : std::exchange(stale_sessions_, {})) {
    if (session_ && session_->route().session_id == id) {
      left.push_back(id);
      continue;
    }
    auto ending = api_->end_session(id);
    const auto ended = co_await runtime::with_deadline(std::move(ending), kFarewellDeadline);
    if (!ended || !*ended)
      runtime::log::debug("an old session could not be ended; it will expire", {{"session", to_string(id)}});
  }
  (void)state_.remember_sessions(left);
}

awaitable<Outcome<void>> Connection::finish(Outcome<void> result) {
  const bool was_up = machine_ && machine_->was_up();
  // While the tunnel stands: what is traced leaves through it or not at all.
  co_await trace_.stop();
  session_.reset();
  if (api_) {
    stale_sessions_ = state_.sessions();
    co_await end_stale_sessions();
    api_->close();
  }
  const bool stay_closed = !result && options_.kill_switch && (was_up || resumed_);
  Outcome<void> restored;
  if (stay_closed) {
    restored = network_.recover();
    if (restored) restored = network_.close(true, options_.allow_lan);
    result.error().remedy += (result.error().remedy.empty() ? "" : "; ") +
                             std::string(
                                 "the kill switch stays closed: higgsvpn connect to try again, or higgsvpn "
                                 "disconnect to open it");
  } else {
    restored = network_.restore();
  }
  if (result && !restored) co_return restored;
  if (!restored) runtime::log::error(restored.error().message);
  co_return result;
}

void Connection::post_event(Event event) {
  asio::post(executor_, [this, taken = std::move(event)]() mutable {
    if (events_.size() < kMaxEvents || std::holds_alternative<LinkEnded>(taken)) events_.push_back(std::move(taken));
    wake_.cancel();
  });
}

void Connection::on_control(tunnel::LinkId link, std::string message) {
  post_event(ControlEvent{link, std::move(message)});
}

void Connection::on_link_closed(tunnel::LinkId link, std::uint16_t code, std::string reason) {
  post_event(LinkEnded{link, code, std::move(reason)});
}

void Connection::on_link_doubtful(tunnel::LinkId link) { post_event(LinkDoubtful{link}); }

void Connection::take_events() {
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    if (session_) std::visit([this](const auto& one) { take(one); }, event);
  }
}

void Connection::take(const ControlEvent& event) {
  if (session_->link() == event.link) take_control(event.message);  // else of a link that was replaced
}

void Connection::take(const LinkEnded& event) {
  if (session_->link() != event.link) return;
  runtime::log::info("the relay link ended", {{"code", event.code}, {"reason", event.reason}});
  session_->detach();
  if (event.code < kOwnCodes) api_->relay_lost();
  api_->close();
  machine_->link_lost(now(), event.code);
}

void Connection::take(const LinkDoubtful& event) {
  if (session_->link() != event.link || !api_->has_others()) return;
  runtime::log::info("the relay does not answer; trying another server");
  api_->relay_lost();
  machine_->link_doubtful(now());
}

void Connection::take_control(const std::string& text) {
  const auto message = relay::parse_control(text);
  if (!message) {
    runtime::log::debug("a control message could not be read", {{"error", message.error().message()}});
    return;
  }
  const auto& payload = message->payload;
  if (const auto* ready = std::get_if<relay::SessionReady>(&payload)) {
    const auto begun = session_->on_ready(ready->fresh);
    if (!begun) observer_.on_notice(begun.error().to_string());
    machine_->session_ready(now(), ready->fresh);
  } else if (const auto* refused = std::get_if<relay::SessionRefused>(&payload)) {
    machine_->session_refused(now(), refused->reason);
  } else if (const auto* close = std::get_if<relay::SessionClose>(&payload)) {
    if (close->reason == relay::CloseReason::kNodeGone) session_->on_node_away();
    machine_->session_closed(now(), close->reason);
  } else if (const auto* error = std::get_if<relay::ErrorNotice>(&payload)) {
    if (error->code == relay::kNodeOffline) {
      session_->on_node_away();
      machine_->session_closed(now(), relay::CloseReason::kNodeGone);
    } else {
      observer_.on_notice("the server says: " + error->code + ": " + error->detail);
    }
  } else if (const auto* throttle = std::get_if<relay::Throttle>(&payload)) {
    observer_.on_notice(fmt::format("the server limits this session to {:.3g} Mbit/s", throttle->rate_mbps));
  } else if (const auto* signal = std::get_if<relay::PeerMessage>(&payload)) {
    if (message->session == session_->route().session_id) session_->take_signal(*signal);
  } else if (std::holds_alternative<relay::Drain>(payload)) {
    api_->relay_drains();
    machine_->drained(now());
  }
}

void Connection::sample() {
  if (!session_ || now() < next_sample_) return;
  const auto peer = session_->peer_status();
  if (peer && peer->has_session && peer->last_handshake && peer->last_handshake != last_handshake_) {
    last_handshake_ = peer->last_handshake;
    machine_->handshake_completed();
    trace_.handshake_done();
  } else if (peer && !peer->has_session) {
    machine_->handshake_lost(now());
  }
  follow_path();
  const bool up = machine_->state() == State::kConnected;
  next_sample_ = now() + (up || !session_->link() ? std::chrono::nanoseconds(kSampleInterval) : kHandshakeInterval);
  if (!up) return;
  QualitySample sample;
  if (peer) {
    sample.sent_bytes = peer->sent_bytes;
    sample.received_bytes = peer->received_bytes;
  }
  if (const auto link = session_->link_status()) sample.round_trip = link->round_trip;
  quality_.add(now(), sample);
  observer_.on_sample(report());
}

}  // namespace higgs::vpn
