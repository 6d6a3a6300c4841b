#include "higgsnode/relay_link.h"

#include <boost/asio/post.hpp>

#include "net/tracing.h"
#include "relay/control.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;

constexpr const char* kSubprotocol = "higgs-relay.1";  // proto/relay.md
constexpr std::uint16_t kReplaced = 4001, kNotAuthorized = 4002;
/// A link that stood this long was a good one: the next attempt is made at once and the back-off starts anew.
constexpr std::chrono::seconds kGoodLink{2};
/// A link that was replaced by one to another server lives on this long: clients follow one by one.
constexpr std::chrono::seconds kLeaving{5};

}  // namespace

RelayLink::RelayLink(const asio::any_io_executor& executor, net::HttpClient& http, api::ServerChoice& servers,
                     const NodeId& node, tunnel::TunnelDriver& driver, SessionManager& sessions, Hooks hooks,
                     RandomSource& random, trace::Tracer& tracer)
    : executor_(executor),
      http_(http),
      servers_(servers),
      node_(node),
      driver_(driver),
      sessions_(sessions),
      hooks_(std::move(hooks)),
      random_(random),
      tracer_(tracer),
      changed_(executor) {}

RelayLink::~RelayLink() {
  detach();
  *alive_ = false;
}

void RelayLink::set_token(std::string token) {
  token_ = std::move(token);
  changed_.notify();
}

void RelayLink::reconsider() {
  if (link_ && servers_.choose(runtime::now().monotonic, random_) != origin_) move_away();
}

asio::awaitable<void> RelayLink::run() {
  for (;;) {
    if ((link_ && !move_) || token_.empty()) {
      if (leaving_ && runtime::now().monotonic >= leave_at_) drop(leaving_);
      if (leaving_)
        co_await changed_.wait_for(leave_at_ - runtime::now().monotonic);
      else
        co_await changed_.wait();
      continue;
    }
    if (wait_first_) {
      const auto wait = backoff_.next(runtime::now().monotonic, random_);
      co_await changed_.wait_for(wait);
      wait_first_ = false;
      continue;
    }
    const bool connected = co_await connect_once();
    wait_first_ = !connected;
  }
}

std::string RelayLink::url_at(const std::string& origin) const {
  return "wss" + origin.substr(origin.find(':')) + "/relay/" + to_string(node_);
}

asio::awaitable<bool> RelayLink::connect_once() {
  const std::string origin = servers_.choose(runtime::now().monotonic, random_);
  if (move_ && origin == origin_) {
    // Nowhere else to go: the server will close the link in its time.
    move_ = false;
    co_return true;
  }
  net::HttpHeaders headers;
  headers.set("Authorization", "Bearer " + token_);
  auto upgrading = http_.upgrade(url_at(origin), headers, kSubprotocol);
  auto upgraded = co_await std::move(upgrading);
  if (!upgraded) {
    const auto& refusal = http_.last_refusal();
    const bool refused = upgraded.error() == net::HttpClientError::kUpgradeRefused && refusal.has_value();
    fail(origin, refused ? "the server answered " + std::to_string(refusal->status) : upgraded.error().message());
    // 409: a newer token of ours stands there, or a twin's; a new registration settles who is newer.
    if (refused && (refusal->status == 401 || refusal->status == 403 || refusal->status == 409)) {
      hooks_.not_authorized();
    }
    co_return false;
  }
  auto attached = driver_.attach_link(std::move(*upgraded), *this);
  if (!attached) {
    fail(origin, attached.error().message());
    co_return false;
  }
  take_over(*attached, origin);
  co_return true;
}

void RelayLink::take_over(tunnel::LinkId link, const std::string& origin) {
  if (link_) {
    drop(leaving_);
    leaving_ = std::exchange(link_, std::nullopt);
    leave_at_ = runtime::now().monotonic + kLeaving;
  }
  move_ = false;
  link_ = link;
  origin_ = origin;
  servers_.worked(origin);
  since_ = runtime::now().monotonic;
  status_.up = true;
  status_.url = url_at(origin);
  status_.last_error.clear();
  ++status_.connects;
  sessions_.link_up();
  log::info("relay link is up", {{"relay", origin}});
  hooks_.up();
}

void RelayLink::fail(const std::string& origin, const std::string& why) {
  ++status_.failures;
  servers_.failed(runtime::now().monotonic, origin);
  if (why != status_.last_error) log::warn("no relay link", {{"relay", origin}, {"reason", why}});
  status_.last_error = why;
}

void RelayLink::on_control(tunnel::LinkId link, std::string message) {
  asio::post(executor_, [this, alive = alive_, link, text = std::move(message)] {
    if (*alive) handle(link, text);
  });
}

void RelayLink::on_link_closed(tunnel::LinkId link, std::uint16_t code, std::string reason) {
  asio::post(executor_, [this, alive = alive_, link, code, why = std::move(reason)] {
    if (*alive) lost(link, code, why);
  });
}

/// Traced as a part of the client's connect, where the server says which; what the node does then is in no trace.
void RelayLink::open_session(tunnel::LinkId link, const SessionId& session, const relay::SessionOpen& request) {
  auto span = request.trace ? tracer_.start("session-open", trace::SpanKind::kServer, request.trace) : trace::Span();
  span.set("higgs.session.id", to_string(session));
  const log::Scope scope(net::trace_fields(span.context()));
  const auto answer = sessions_.open(runtime::now(), link, session, request);
  relay::ControlMessage reply{session, relay::Direction::kToClient, {}};
  if (const auto* ready = std::get_if<relay::SessionReady>(&answer)) {
    reply.payload = *ready;
    span.set("higgs.session.fresh", ready->fresh);
    log::debug("a session is served", {{"session", to_string(session)}, {"fresh", ready->fresh}});
  } else {
    const auto& refused = std::get<relay::SessionRefused>(answer);
    reply.payload = refused;
    span.fail(relay::to_string(refused.reason));
    log::warn("a session was refused",
              {{"session", to_string(session)}, {"reason", std::string(relay::to_string(refused.reason))}});
  }
  (void)driver_.send_control(link, relay::encode_control(reply));
}

void RelayLink::handle(tunnel::LinkId link, const std::string& message) {
  if (link_ != link && leaving_ != link) return;
  const auto control = relay::parse_control(message);
  if (!control) {
    ++status_.bad_messages;
    log::debug("a control message is malformed", {{"reason", control.error().message()}});
    return;
  }
  if (const auto* open = std::get_if<relay::SessionOpen>(&control->payload); open != nullptr && control->session) {
    open_session(link, *control->session, *open);
  } else if (const auto* close = std::get_if<relay::SessionClose>(&control->payload);
             close != nullptr && control->session) {
    sessions_.close(runtime::now(), link, *control->session, *close);
  } else if (const auto* told = std::get_if<relay::PeerMessage>(&control->payload);
             told != nullptr && control->session) {
    const auto* session = sessions_.find(link, *control->session);
    if (session != nullptr && hooks_.peer_message) hooks_.peer_message(*session, *told);
  } else if (const auto* notice = std::get_if<relay::ErrorNotice>(&control->payload)) {
    log::warn("the relay reports an error", {{"code", notice->code}, {"detail", notice->detail}});
  } else if (std::holds_alternative<relay::Drain>(control->payload)) {
    log::info("the relay is about to stop", {{"relay", origin_}});
    if (link_ != link) return;
    servers_.draining(runtime::now().monotonic, origin_);
    move_away();
  }
}

void RelayLink::move_away() {
  move_ = true;
  changed_.notify();
}

void RelayLink::on_link_doubtful(tunnel::LinkId link) {
  asio::post(executor_, [this, alive = alive_, link] {
    if (!*alive || link_ != link || servers_.alone()) return;
    log::info("the relay does not answer; trying another server", {{"relay", origin_}});
    servers_.failed(runtime::now().monotonic, origin_);
    move_away();
  });
}

void RelayLink::lost(tunnel::LinkId link, std::uint16_t code, const std::string& reason) {
  if (leaving_ == link) {
    drop(leaving_);
    return;
  }
  if (link_ != link) return;
  drop(link_);
  status_.up = false;
  move_ = false;
  const bool good = runtime::now().monotonic - since_ >= kGoodLink;
  if (good) backoff_.reset();
  // Whoever replaced us has the same key: fighting over the place helps nobody.
  wait_first_ = !good || code == kReplaced;
  status_.last_error = "closed with " + std::to_string(code) + (reason.empty() ? "" : ": " + reason);
  log::warn("relay link is lost", {{"code", code}, {"reason", reason}});
  // It may be the server that died, and another that lives.
  if (code != kReplaced && code != kNotAuthorized) servers_.failed(runtime::now().monotonic, origin_);
  if (code == kNotAuthorized) hooks_.not_authorized();
  changed_.notify();
}

void RelayLink::send_to_client(const Session& session, relay::PeerMessage message) {
  if ((session.link != link_ && session.link != leaving_) || session.link_lost) return;
  const relay::ControlMessage control{session.id, relay::Direction::kToClient, std::move(message)};
  (void)driver_.send_control(session.link, relay::encode_control(control));
}

void RelayLink::close_sessions() {
  for (const auto& [id, session] : sessions_.sessions()) {
    if (session.link != link_ && session.link != leaving_) continue;
    const relay::ControlMessage message{id, relay::Direction::kToServer,
                                        relay::SessionClose{session.channel, relay::CloseReason::kNodeGone}};
    (void)driver_.send_control(session.link, relay::encode_control(message));
  }
}

void RelayLink::detach() {
  drop(leaving_);
  drop(link_);
  status_.up = false;
}

void RelayLink::drop(std::optional<tunnel::LinkId>& link) {
  const auto gone = std::exchange(link, std::nullopt);
  if (!gone) return;
  (void)driver_.detach_link(*gone);
  sessions_.link_lost(runtime::now(), *gone);
}

std::optional<tunnel::LinkStatus> RelayLink::link_status() const {
  if (!link_) return std::nullopt;
  auto status = driver_.link_status(*link_);
  return status ? std::optional(*status) : std::nullopt;
}

}  // namespace higgs::node
