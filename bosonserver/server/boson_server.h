// The server as a whole: store, API, relay, STUN and metrics, put together and taken down in order.
//
// Threads: made, started and stopped on one thread; it runs on its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/ip.h"
#include "base/time.h"
#include "bosonserver/api/services.h"
#include "bosonserver/server/settings.h"

namespace higgs::boson {

class BosonServer {
 public:
  /// Opens the state directory. Throws std::runtime_error if it cannot, or if another server uses it.
  /// `store`: instead of the configured one, for tests.
  explicit BosonServer(const ServerSettings& settings, std::function<Now()> clock = {},
                       std::unique_ptr<Store> store = {});
  ~BosonServer();

  /// Binds and starts to serve. Throws std::runtime_error where an address cannot be bound.
  void start();
  /// Reads certificate, key, CAs and revocation lists again; the connections that come from now on are served by them,
  /// and no certificate that a client has shown before counts (HttpServer::use). Throws std::runtime_error where one of
  /// them is gone or cannot be used, and then nothing has changed. After start().
  void reload();
  /// Refuses what is new, lets peers move away for settings.drain, closes, and joins all threads. Blocks.
  void stop();

  const std::string& pin() const;
  Endpoint api_endpoint() const;
  Endpoint metrics_endpoint() const;
  Endpoint stun_endpoint() const;
  /// For tests: what handlers work with.
  Services& services();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson
