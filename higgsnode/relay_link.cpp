#include "higgsnode/relay_link.h"

#include <boost/asio/post.hpp>

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

}  // namespace

RelayLink::RelayLink(const asio::any_io_executor& executor, net::HttpClient& http, tunnel::TunnelDriver& driver,
                     SessionManager& sessions, Hooks hooks, RandomSource& random)
    : executor_(executor),
      http_(http),
      driver_(driver),
      sessions_(sessions),
      hooks_(std::move(hooks)),
      random_(random),
      changed_(executor) {}

RelayLink::~RelayLink() {
  detach();
  *alive_ = false;
}

void RelayLink::set_access(std::vector<std::string> urls, std::string token) {
  urls_ = std::move(urls);
  next_url_ = 0;
  set_token(std::move(token));
  changed_.notify();
}

void RelayLink::set_token(std::string token) { token_ = std::move(token); }

void RelayLink::move_to_first() {
  if (!link_ || urls_.empty() || status_.url == urls_.front()) return;
  log::info("the relay link moves", {{"from", status_.url}, {"to", urls_.front()}});
  detach();
  next_url_ = 0;
  changed_.notify();
}

asio::awaitable<void> RelayLink::run() {
  for (;;) {
    if (link_ || urls_.empty()) {
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

asio::awaitable<bool> RelayLink::connect_once() {
  const auto url = urls_[next_url_ % urls_.size()];
  net::HttpHeaders headers;
  headers.set("Authorization", "Bearer " + token_);
  auto upgrading = http_.upgrade(url, headers, kSubprotocol);
  auto upgraded = co_await std::move(upgrading);
  if (!upgraded) {
    ++next_url_;
    const auto& refusal = http_.last_refusal();
    const bool refused = upgraded.error() == net::HttpClientError::kUpgradeRefused && refusal.has_value();
    fail(refused ? "the server answered " + std::to_string(refusal->status) : upgraded.error().message());
    // 409: a newer token of ours stands there, or a twin's; a new registration settles who is newer.
    if (refused && (refusal->status == 401 || refusal->status == 403 || refusal->status == 409)) {
      hooks_.not_authorized();
    }
    co_return false;
  }
  auto attached = driver_.attach_link(std::move(*upgraded), *this);
  if (!attached) {
    fail(attached.error().message());
    co_return false;
  }
  link_ = *attached;
  since_ = runtime::now().monotonic;
  status_.up = true;
  status_.url = url;
  status_.last_error.clear();
  ++status_.connects;
  sessions_.link_up();
  log::info("relay link is up", {{"relay", url}});
  hooks_.up();
  co_return true;
}

void RelayLink::fail(const std::string& why) {
  ++status_.failures;
  if (why != status_.last_error) log::warn("no relay link", {{"reason", why}});
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

void RelayLink::handle(tunnel::LinkId link, const std::string& message) {
  if (link_ != link) return;
  const auto control = relay::parse_control(message);
  if (!control) {
    ++status_.bad_messages;
    log::debug("a control message is malformed", {{"reason", control.error().message()}});
    return;
  }
  if (const auto* open = std::get_if<relay::SessionOpen>(&control->payload); open != nullptr && control->session) {
    const auto answer = sessions_.open(runtime::now(), link, *control->session, *open);
    relay::ControlMessage reply{control->session, relay::Direction::kToClient, {}};
    if (const auto* ready = std::get_if<relay::SessionReady>(&answer)) {
      reply.payload = *ready;
      log::debug("a session is served", {{"session", to_string(*control->session)}, {"fresh", ready->fresh}});
    } else {
      const auto& refused = std::get<relay::SessionRefused>(answer);
      reply.payload = refused;
      log::warn("a session was refused",
                {{"session", to_string(*control->session)}, {"reason", std::string(relay::to_string(refused.reason))}});
    }
    (void)driver_.send_control(link, relay::encode_control(reply));
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
    log::info("the relay is about to stop");
  }
}

void RelayLink::lost(tunnel::LinkId link, std::uint16_t code, const std::string& reason) {
  if (link_ != link) return;
  detach();
  const bool good = runtime::now().monotonic - since_ >= kGoodLink;
  if (good) backoff_.reset();
  // Whoever replaced us has the same key: fighting over the place helps nobody.
  wait_first_ = !good || code == kReplaced;
  status_.last_error = "closed with " + std::to_string(code) + (reason.empty() ? "" : ": " + reason);
  log::warn("relay link is lost", {{"code", code}, {"reason", reason}});
  if (code == kNotAuthorized) hooks_.not_authorized();
  changed_.notify();
}

void RelayLink::send_to_client(const Session& session, relay::PeerMessage message) {
  if (!link_ || session.link != *link_ || session.link_lost) return;
  const relay::ControlMessage control{session.id, relay::Direction::kToClient, std::move(message)};
  (void)driver_.send_control(*link_, relay::encode_control(control));
}

void RelayLink::close_sessions() {
  if (!link_) return;
  for (const auto& [id, session] : sessions_.sessions()) {
    if (session.link != *link_) continue;
    const relay::ControlMessage message{id, relay::Direction::kToServer,
                                        relay::SessionClose{session.channel, relay::CloseReason::kNodeGone}};
    (void)driver_.send_control(*link_, relay::encode_control(message));
  }
}

void RelayLink::detach() {
  if (!link_) return;
  const auto link = *link_;
  link_.reset();
  status_.up = false;
  (void)driver_.detach_link(link);
  sessions_.link_lost(runtime::now(), link);
}

std::optional<tunnel::LinkStatus> RelayLink::link_status() const {
  if (!link_) return std::nullopt;
  auto status = driver_.link_status(*link_);
  return status ? std::optional(*status) : std::nullopt;
}

}  // namespace higgs::node
