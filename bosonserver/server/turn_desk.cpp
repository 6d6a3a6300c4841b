#include "bosonserver/server/turn_desk.h"

#include <stdexcept>

#include "bosonserver/api/local_names.h"
#include "bosonserver/server/state_files.h"

namespace higgs::boson {

namespace {

constexpr std::uint16_t kTlsPort = 5349;  // RFC 8656, section 3.1

/// Addresses of this machine, which no relayed packet may go to.
std::vector<IpAddress> own_addresses(const ServerSettings& settings) {
  std::vector<IpAddress> own;
  const auto names = LocalNames::of_this_machine();
  for (const auto& name : names.all()) {
    const auto address = IpAddress::parse(name);
    // The loopback is private, and refused as such: a test network may want it.
    if (address && !IpPrefix::parse("127.0.0.0/8")->contains(*address) && *address != *IpAddress::parse("::1"))
      own.push_back(address->unmapped());
  }
  for (const auto* more : {&settings.turn.relay_addresses, &settings.turn.external_addresses})
    own.insert(own.end(), more->begin(), more->end());
  for (const auto* more : {&settings.stun_external_address, &settings.stun_alternate_external_address})
    if (*more) own.push_back(**more);
  return own;
}

Endpoint tcp_of(const ServerSettings& settings) { return settings.turn.tcp_listen.value_or(settings.stun_listen); }

Endpoint tls_of(const ServerSettings& settings) {
  if (settings.turn.tls_listen) return *settings.turn.tls_listen;
  // Where STUN takes any free port, so do we.
  return {settings.stun_listen.address, settings.stun_listen.port == 0 ? std::uint16_t{0} : kTlsPort};
}

bool has_family(const std::vector<IpAddress>& addresses, bool ipv6) {
  for (const auto& address : addresses)
    if (address.is_v6() == ipv6) return true;
  return false;
}

TurnOptions options_of(const ServerSettings& settings) {
  const auto& turn = settings.turn;
  TurnOptions options;
  auto& limits = options.server.limits;
  limits.allocations = turn.allocations;
  limits.allocations_per_user = turn.allocations_per_session;
  limits.rate_mbps = turn.rate_mbps ? turn.rate_mbps : settings.session_rate_mbps;
  options.server.realm = turn.realm;
  // A wildcard IPv6 socket takes both families; what a client of the other family asks for is then refused as 508.
  const bool v6_listener = settings.stun_listen.address.is_v6();
  options.server.ipv6 = has_family(turn.relay_addresses, true) || v6_listener;
  options.server.ipv4 =
      has_family(turn.relay_addresses, false) || !v6_listener || settings.stun_listen.address.is_unspecified();
  if (turn.tcp) options.tcp = tcp_of(settings);
  if (turn.tls) options.tls = tls_of(settings);
  options.relay_addresses = turn.relay_addresses;
  options.external_addresses = turn.external_addresses;
  options.ports = turn.ports;
  options.streams = turn.streams;
  return options;
}

}  // namespace

TurnDesk::TurnDesk(const ServerSettings& settings, RandomSource& random) : settings_(settings) {
  if (!settings.turn.enabled) return;
  sessions_.emplace(load_or_make_turn_secret(settings, random),
                    turn::PeerPolicy(settings.turn.allow_private_peers, own_addresses(settings)),
                    settings.relay_sessions);
  sessions_->on_revoked([this](const std::string& user) {
    if (service_) service_->revoke(user);
  });
}

TurnDesk::~TurnDesk() = default;

TurnService* TurnDesk::start(const net::TlsContext& tls, RandomSource& random) {
  if (!sessions_) return nullptr;
  auto options = options_of(settings_);
  if (options.tls) options.context = tls;
  const std::string where = tcp_of(settings_).to_string() + " or " + tls_of(settings_).to_string();
  auto made = TurnService::make(std::move(options), *sessions_, random);
  if (!made) throw std::runtime_error("cannot listen on " + where + " (TURN): " + made.error().message());
  service_ = std::move(*made);
  return service_.get();
}

void TurnDesk::use(const net::TlsContext& tls) {
  if (service_) service_->use(tls);
}

void TurnDesk::stop() { service_.reset(); }

std::vector<api::TurnServer> TurnDesk::admit(SessionId session, const std::vector<IpAddress>& node_addresses,
                                             std::int64_t expires_at, std::string_view host, WallTime now) {
  if (!sessions_ || !service_ || !sessions_->open(session, node_addresses, expires_at)) return {};
  const auto credential = sessions_->issue(session, unix_seconds(now) + settings_.turn.credential_lifetime.count());
  const auto text =
      host.find(':') == std::string_view::npos ? std::string(host) : "[" + std::string(host) + "]";  // RFC 3986
  std::vector<api::TurnServer> servers;
  // RFC 7065, section 3.1.
  const auto add = [&](const char* scheme, std::uint16_t port, const char* transport) {
    servers.push_back({std::string(scheme) + ":" + text + ":" + std::to_string(port) + "?transport=" + transport,
                       credential.username, credential.password, credential.expires_at});
  };
  add("turn", udp_port_, "udp");
  if (const auto tcp = service_->tcp()) add("turn", tcp->port, "tcp");
  if (const auto tls = service_->tls()) add("turns", tls->port, "tcp");
  return servers;
}

void TurnDesk::renew_session(SessionId session, std::int64_t expires_at) {
  if (sessions_) sessions_->renew(session, expires_at);
}

void TurnDesk::close_session(SessionId session) {
  if (sessions_) sessions_->close(session);
}

}  // namespace higgs::boson
