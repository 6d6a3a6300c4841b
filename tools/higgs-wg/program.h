// higgs-wg as one object: the device, its UAPI socket, the watch on its interface and on signals, on one loop.
#pragma once

#include <memory>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "tools/higgs-wg/uapi.h"
#include "tools/higgs-wg/uapi_server.h"
#include "tunnel/device.h"
#include "tunnel/link_monitor.h"

namespace higgs::wg {

struct Settings {
  std::string ifname;
  std::string socket_directory = "/var/run/wireguard";
  tunnel::Offloads offloads;
};

/// "tun,tun-udp,udp-segment,udp-gather" (or "all"): offloads not to be used, from HIGGS_WG_WITHOUT. nullopt: unknown
/// word.
std::optional<tunnel::Offloads> parse_without(std::string_view words);

class Program {
 public:
  /// Makes the interface and its socket.
  static Result<std::unique_ptr<Program>> open(const Settings& settings);
  ~Program();

  /// Until SIGTERM, SIGINT, or the interface's or socket's deletion. Both signals must be blocked.
  Result<void> run();

 private:
  class Signals;
  Program();
  std::string answer(std::string_view request);
  int apply(const SetRequest& request);
  int apply(const PeerChange& change);
  void link_changed(const tunnel::LinkState& state);

  SystemRandom random_;
  net::EventLoop loop_;
  std::unique_ptr<tunnel::Device> device_;
  std::unique_ptr<UapiServer> uapi_;
  std::unique_ptr<tunnel::LinkMonitor> monitor_;
  std::unique_ptr<Signals> signals_;
};

}  // namespace higgs::wg
