// Knows what kind of NAT this host is behind, without anybody waiting for it: discovers in the background, again when
// the network changes and from time to time, and keeps the last report in a file for the next start.
//
// Threads: the executor's.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/ip.h"
#include "base/random.h"
#include "runtime/async_event.h"
#include "stun/behaviour.h"

namespace higgs::net {

struct StunServerName {
  std::string host;  ///< name or address, without brackets
  std::uint16_t port = kDefaultPort;
  /// RFC 8489, section 18.6.
  static constexpr std::uint16_t kDefaultPort = 3478;
  /// "host", "host:port", "[address]:port"; nullopt: neither.
  static std::optional<StunServerName> parse(const std::string& text);
  /// The default port of a Higgs server's host; nullopt: not a URL.
  static std::optional<StunServerName> beside(const std::string& server_url);
  friend bool operator==(const StunServerName&, const StunServerName&) = default;
};

struct NatTypeMonitorOptions {
  std::uint32_t mark = 0;                       ///< SO_MARK; 0: none
  std::optional<std::filesystem::path> memory;  ///< where the last report is kept
  /// Interfaces whose addresses are no part of the network: the tunnel's.
  std::function<std::vector<std::string>()> without;
  /// Addresses of a name that is not to be asked for now; empty: the system's resolver is asked.
  std::function<std::vector<IpAddress>(const std::string& host)> known_addresses;
};

class NatTypeMonitor {
 public:
  /// Reads the memory: report() holds its report if the host still has the same addresses and it is not old.
  NatTypeMonitor(const boost::asio::any_io_executor& executor, NatTypeMonitorOptions options, RandomSource& random);

  /// Whom to ask; a change is followed at once.
  void set_server(StunServerName server);
  /// What was found before is forgotten.
  void network_changed();
  /// Until cancelled. `changed`: after a discovery that told another type or outside address than before.
  boost::asio::awaitable<void> run(std::function<void()> changed = {});

  const std::optional<stun::BehaviourReport>& report() const noexcept { return report_; }
  /// The report as JSON with the server asked; null: none yet.
  std::string json() const;

 private:
  boost::asio::awaitable<std::optional<Endpoint>> resolve();
  boost::asio::awaitable<std::optional<stun::BehaviourReport>> discover();
  void recall();
  void remember() const;
  std::vector<std::string> addresses() const;

  boost::asio::any_io_executor executor_;
  NatTypeMonitorOptions options_;
  RandomSource& random_;
  runtime::AsyncEvent wake_;
  std::optional<StunServerName> server_;
  std::uint64_t wanted_ = 0;  ///< counts what makes an earlier report worthless
  std::optional<stun::BehaviourReport> report_;
};

/// The server of the last report in such a file.
std::optional<StunServerName> remembered_stun_server(const std::filesystem::path& memory);

}  // namespace higgs::net
