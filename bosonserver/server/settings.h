// Everything that `bosonserver run` can be told: file < environment < flags.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "bosonserver/api/settings.h"
#include "bosonserver/cache/cache_settings.h"
#include "bosonserver/domain/overload.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/turn/turn_settings.h"
#include "config/schema.h"
#include "net/proxies.h"
#include "net/trace_settings.h"
#include "runtime/log.h"

namespace higgs::boson {

struct ServerSettings {
  std::filesystem::path state_dir;
  std::optional<Endpoint> listen;  ///< unset: [::]:8443 for both families, 0.0.0.0:8443 where there is no IPv6
  Endpoint stun_listen{IpAddress{}, 3478};
  std::optional<IpAddress> stun_alternate_address;  ///< unset: no behaviour discovery
  std::uint16_t stun_alternate_port = 3479;
  std::optional<IpAddress> stun_external_address, stun_alternate_external_address;
  Endpoint metrics_listen{IpAddress::v4(0x7f000001), 9464};
  std::optional<std::string> public_url;
  net::TrustedProxies proxies;
  std::optional<std::filesystem::path> certificate, private_key;  ///< unset: self-signed, in the state directory
  std::optional<std::filesystem::path> client_ca, client_crl;     ///< unset: no certificates of clients
  std::optional<std::string> store;                               ///< its URL; unset: SQLite in the state directory
  std::optional<std::string> store_replica;                       ///< URL of a PostgreSQL that follows the store's
  std::optional<std::filesystem::path> store_password_file;       ///< for both
  std::optional<std::filesystem::path> sealing_key_file;          ///< unset: made in the state directory
  CacheSettings cache;
  std::optional<std::filesystem::path> geoip_database;  ///< MaxMind DB; unset: places are what nodes say
  unsigned io_threads = 0;                              ///< 0: one for each core
  unsigned store_threads = 4;
  unsigned password_threads = 2;
  unsigned relay_workers = 0;
  std::uint32_t relay_sessions = 20'000;
  std::optional<double> session_rate_mbps, user_rate_mbps;
  double over_quota_rate_mbps = 0.5;
  std::chrono::seconds drain{5};
  std::uint32_t memory_mib = 0;  ///< 0: three quarters of what the machine or its control group has
  std::chrono::milliseconds loop_lag{500};
  std::vector<std::string> allowed_identities;  ///< base64
  ApiSettings api;
  TurnSettings turn;
  net::TraceSettings tracing;
  runtime::log::Level log_level = runtime::log::Level::kInfo;
  runtime::log::Format log_format = runtime::log::Format::kText;

  /// /var/lib/bosonserver for root, else bosonserver in XDG_STATE_HOME or ~/.local/state.
  ServerSettings();
  /// Binds every field to its key.
  void declare(config::Schema& schema);
  /// After load(): fields that are made from others.
  void finish();

  /// Without the replica, which is for servers.
  StoreSettings store_settings() const;
  std::size_t memory_bytes() const;
  OverloadPolicy overload_policy() const;
};

}  // namespace higgs::boson
