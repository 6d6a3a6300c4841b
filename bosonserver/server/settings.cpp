#include "bosonserver/server/settings.h"

#include <cstdlib>

#include <unistd.h>

#include "api/registration_signature.h"
#include "bosonserver/domain/quota_period.h"
#include "runtime/memory_use.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;
using config::in_range;
/// What a server with nothing to do has, and as much again.
constexpr std::uint32_t kLeastMemoryMib = 128;
constexpr std::size_t kMostPublicAddresses = 16;  // proto/openapi.yaml, "hosts"

std::filesystem::path default_state_dir() {
  if (::geteuid() == 0) return "/var/lib/bosonserver";
  // Read once, before any thread is started.
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state == '/')
    return std::filesystem::path(state) / "bosonserver";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::filesystem::path(home) / ".local/state/bosonserver";
  return "bosonserver-state";
}

void declare_rates(config::Schema& schema, RateLimits& rates) {
  const auto add = [&](const char* key, std::uint32_t& rate, const char* description) {
    schema.add(key, rate, {.description = description}, in_range(1u, 1000000u));
  };
  add("rates.general", rates.general, "requests a minute from one address");
  add("rates.login", rates.login, "logins and refreshes a minute from one address");
  add("rates.registration", rates.registration, "challenges and registrations a minute from one address");
  add("rates.account", rates.account, "requests a minute of one account, from wherever");
  add("rates.lists", rates.lists, "of them lists");
  add("rates.routes", rates.routes, "of them requests for a route");
  add("rates.node", rates.node, "requests a minute of one node");
  add("rates.links", rates.links, "links to the relay a minute of one node, session or server");
}

void declare_api(config::Schema& schema, ApiSettings& api) {
  using Mode = AdmissionPolicy::Mode;
  schema.add("dns", api.dns, {.description = "resolvers that clients use, asked through the exit"});
  schema.add("mtu", api.mtu, {.description = "of the tunnels"}, in_range(1280u, 1500u));
  schema.add("sessions_per_user", api.sessions_per_user, {.description = "standing at a time"}, in_range(1u, 10000u));
  schema.add_enum("admission.mode", api.admission.mode,
                  {{"open", Mode::kOpen}, {"approval", Mode::kApproval}, {"allowlist", Mode::kAllowlist}},
                  {.description = "which nodes may join: open, approval (by an operator), allowlist"});
  schema.add("admission.networks", api.admission.networks, {.description = "allow list: where nodes may come from"});
  schema.add_enum("accounts.registration", api.registration,
                  {{"invite", Registration::kInvite}, {"open", Registration::kOpen}},
                  {.description = "who may make an account: invite (whoever has one), open (everybody)"});
  declare_rates(schema, api.rates);
  schema.add("lockout.free_failures", api.lockout.free_failures,
             {.description = "failed logins of an account before it is locked"}, in_range(1u, 1000u));
  schema.add("lockout.first_lock", api.lockout.first_lock, {.description = "then doubled each time"},
             in_range(1s, 3600s));
  schema.add("lockout.longest_lock", api.lockout.longest_lock, {.description = "and never longer than"},
             in_range(1s, 86400s));
  schema.add("session_lifetime", api.session_lifetime, {.description = "of a session that is not renewed"},
             in_range(60s, 86400s));
  schema.add("node_token_lifetime", api.node_lifetime, {.description = "of a node's tokens; renewed by heartbeats"},
             in_range(60s, 7 * 86400s));
  schema.add("retention.metrics", api.retention.metrics, {.description = "seconds that nodes' metrics are kept"},
             in_range(0, 366 * 86400));
  schema.add("retention.sessions", api.retention.sessions, {.description = "seconds that ended sessions are kept"},
             in_range(0, 366 * 86400));
  schema.add("retention.audit", api.retention.audit, {.description = "seconds that the audit is kept"},
             in_range(86400, 3660 * 86400));
  auto& weights = api.weights;
  const auto weight = in_range(0.0, 1000.0);
  schema.add("weights.latency", weights.latency, {.description = "of the latency in a route's cost"}, weight);
  schema.add("weights.headroom", weights.headroom, {.description = "of free bandwidth"}, weight);
  schema.add("weights.loss", weights.loss, {.description = "of packet loss"}, weight);
  schema.add("weights.load", weights.load, {.description = "of the node's load"}, weight);
  schema.add("weights.nat", weights.nat, {.description = "of NATs that do not fit each other"}, weight);
}

std::optional<std::string> stun_problem(const ServerSettings& settings) {
  if (!settings.stun_alternate_address) return std::nullopt;
  if (settings.stun_external_address.has_value() != settings.stun_alternate_external_address.has_value())
    return "external addresses are needed of both addresses or of none";
  const IpAddress& address = settings.stun_listen.address;
  const auto port = settings.stun_listen.port;
  const IpAddress& other = *settings.stun_alternate_address;
  if (address.is_unspecified()) return "needs a stun_listen that names the first address";
  if (address == other || address.is_v4() != other.is_v4())
    return "must be another address than that of stun_listen, and of its family";
  if (port == settings.stun_alternate_port && port != 0)
    return "stun.alternate_port must not be the port of stun_listen";
  return std::nullopt;
}

}  // namespace

ServerSettings::ServerSettings() : state_dir(default_state_dir()) {
  // Quad9: somebody has to be asked where nobody is configured, and it keeps no addresses.
  api.dns = {*IpAddress::parse("9.9.9.9"), *IpAddress::parse("149.112.112.112")};
}

void ServerSettings::declare(config::Schema& schema) {
  using runtime::log::Format;
  using runtime::log::Level;
  schema.add("state_dir", state_dir, {.description = "keys, certificate and the embedded store"});
  schema.add("listen", listen, {.description = "API and relay (HTTPS); default [::]:8443, both families"});
  schema.add("stun_listen", stun_listen, {.description = "STUN and TURN (UDP)"});
  schema.add("stun.alternate_address", stun_alternate_address,
             {.description = "second address of this machine, so that peers can learn what their NAT does"});
  schema.add("stun.alternate_port", stun_alternate_port, {.description = "second port, of both addresses"});
  schema.add("stun.external_address", stun_external_address,
             {.description = "how the internet sees the first address, of a server behind a NAT that keeps ports"});
  schema.add("stun.alternate_external_address", stun_alternate_external_address,
             {.description = "how the internet sees the second address"});
  schema.add("metrics_listen", metrics_listen, {.description = "Prometheus (HTTP)"});
  schema.add("public_url", public_url, {.description = "https://HOST:PORT under which nodes and clients reach us"});
  schema.add(
      "public_addresses", api.public_addresses,
      {.description = "addresses of the host in public_url, told to clients with their route: those whose API has "
                      "another name cannot ask for it behind their kill switch"});
  schema.add("proxies.networks", proxies.networks,
             {.description = "where proxies before this server are; what they say of a client's address is believed"});
  schema.add_enum(
      "proxies.header", proxies.header,
      {{"proxy-protocol", net::TrustedProxies::Header::kProxyProtocol},
       {"x-forwarded-for", net::TrustedProxies::Header::kForwardedFor}},
      {.description = "how they say it: proxy-protocol (1 or 2, before TLS, on each connection) or x-forwarded-for"});
  schema.add("tls.certificate", certificate, {.description = "PEM file; default: self-signed, made at first start"});
  schema.add("tls.private_key", private_key, {.description = "PEM file"});
  schema.add("tls.client_ca", client_ca,
             {.description = "PEM file with CA certificates, up to their roots: users may log in with certificates of "
                             "theirs instead of passwords; default: none are asked for"});
  schema.add("tls.client_crl", client_crl,
             {.description = "PEM file with a revocation list of each of these CAs, read at the start and at SIGHUP"});
  schema.add(
      "store", store,
      {.description = "sqlite:PATH or postgresql://USER@HOST/DATABASE; default: store.db in the state directory"});
  schema.add("store_replica", store_replica,
             {.description = "postgresql://USER@HOST/DATABASE: a read replica near this server, for what may be a "
                             "moment old; default: none"});
  schema.add("store_password_file", store_password_file,
             {.description = "file with the password for PostgreSQL; else the variable PGPASSWORD"});
  schema.add(
      "sealing_key_file", sealing_key_file,
      {.description = "key that seals what the store keeps secret, 32 bytes in base64, the same for all servers of a "
                      "store; default: one of the state directory's"});
  cache.declare(schema);
  schema.add("geoip_database", geoip_database,
             {.description = "MaxMind DB file (cities) that tells where addresses are, for nodes that do not say"});
  schema.add("threads.io", io_threads, {.description = "0: one for each core"}, in_range(0u, 256u));
  schema.add("threads.store", store_threads, {.description = "for calls to the store"}, in_range(1u, 64u));
  schema.add("threads.password", password_threads, {.description = "for hashing passwords"}, in_range(1u, 64u));
  schema.add("threads.relay", relay_workers, {.description = "0: one for each core"}, in_range(0u, 256u));
  schema.add("relay.sessions", relay_sessions, {.description = "standing at a time"}, in_range(1u, 1000000u));
  schema.add("relay.session_rate", session_rate_mbps, {.description = "Mbit/s each way for one session"},
             in_range(0.01, 1e6));
  schema.add("relay.rate_per_user", user_rate_mbps,
             {.description = "Mbit/s each way for all sessions of a user at this server"}, in_range(0.01, 1e6));
  schema.add(
      "relay.quota_per_user", api.relay_quota_bytes,
      {.description = "bytes that a user may send over the relay in a month (UTC), both ways; default: no limit"},
      in_range(std::uint64_t{0}, kLargestQuotaBytes));
  schema.add("relay.over_quota_rate", over_quota_rate_mbps,
             {.description = "Mbit/s each way that is left to a user over quota"}, in_range(0.01, 1e6));
  schema.add(
      "limits.memory", memory_mib,
      {.description = "MiB that this process may have; near it what is new is refused. 0: three quarters of what "
                      "the machine or the control group has"},
      [](const std::uint32_t& mib) -> std::optional<std::string> {
        if (mib == 0 || mib >= kLeastMemoryMib) return std::nullopt;
        return "must be 0, or at least " + std::to_string(kLeastMemoryMib);
      });
  schema.add("limits.loop_lag", loop_lag,
             {.description = "how late the control plane may be before strangers are refused; at 2, 4 and 8 times that "
                             "lists, new routes and renewals are, too"},
             in_range(10ms, 60000ms));
  schema.add("drain", drain, {.description = "time for peers to move away at a stop"}, in_range(0s, 600s));
  schema.add("admission.identities", allowed_identities, {.description = "allow list: identity keys in base64"});
  declare_api(schema, api);
  turn.declare(schema);
  tracing.declare(schema);
  schema.add_enum("log_level", log_level,
                  {{"trace", Level::kTrace},
                   {"debug", Level::kDebug},
                   {"info", Level::kInfo},
                   {"warn", Level::kWarn},
                   {"error", Level::kError},
                   {"off", Level::kOff}},
                  {.description = "trace, debug, info, warn, error or off"});
  schema.add_enum("log_format", log_format, {{"text", Format::kText}, {"json", Format::kJson}},
                  {.description = "text or json"});
  schema.add_rule([this]() -> std::optional<config::Problem> {
    if (public_url && !api::origin_of(*public_url)) return config::Problem{"", "public_url", "is not an https:// URL"};
    if (const auto fault = store ? fault_of_store_url(*store) : std::nullopt)
      return config::Problem{"", "store", *fault};
    if (const auto fault = store_replica ? fault_of_replica_url(*store_replica, store.value_or("")) : std::nullopt)
      return config::Problem{"", "store_replica", *fault};
    if (api.public_addresses.size() > kMostPublicAddresses)
      return config::Problem{"", "public_addresses", "may be 16 at most"};
    if (const auto problem = stun_problem(*this)) return config::Problem{"", "stun.alternate_address", *problem};
    if (certificate.has_value() != private_key.has_value())
      return config::Problem{"", "tls.certificate", "certificate and private_key belong together"};
    if (client_crl && !client_ca) return config::Problem{"", "tls.client_crl", "needs a client_ca"};
    for (const auto& key : allowed_identities)
      if (!crypto::Ed25519PublicKey::from_base64(key))
        return config::Problem{"", "admission.identities", "'" + key + "' is not a key in base64"};
    return std::nullopt;
  });
}

void ServerSettings::finish() {
  api.public_origin = public_url ? api::origin_of(*public_url) : std::nullopt;
  api.stun_port = stun_listen.port;
  api.admission.identity_keys.clear();
  for (const auto& key : allowed_identities)
    if (const auto parsed = crypto::Ed25519PublicKey::from_base64(key)) api.admission.identity_keys.push_back(*parsed);
}

std::size_t ServerSettings::memory_bytes() const {
  return memory_mib ? std::size_t{memory_mib} * 1024 * 1024 : runtime::machine_bytes() / 4 * 3;
}

OverloadPolicy ServerSettings::overload_policy() const {
  OverloadPolicy policy;
  policy.loop_lag = {loop_lag, 2 * loop_lag, 4 * loop_lag, 8 * loop_lag};
  return policy;
}

StoreSettings ServerSettings::store_settings() const {
  return {store.value_or("sqlite:" + (state_dir / "store.db").string()), store_password_file, store_threads};
}

}  // namespace higgs::boson
