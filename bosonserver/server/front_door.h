// Carries requests from the HTTP server to the pools where handlers run, and upgrades to the relay.
#pragma once

#include <optional>

#include <boost/asio/awaitable.hpp>

#include "bosonserver/api/gateway.h"
#include "bosonserver/relay/relay_server.h"
#include "bosonserver/server/overload_gate.h"
#include "bosonserver/server/relay_gate.h"
#include "bosonserver/server/server_metrics.h"
#include "net/http_server.h"
#include "runtime/blocking_pool.h"

namespace higgs::boson {

class FrontDoor {
 public:
  FrontDoor(Services& services, ServerMetrics& metrics, runtime::BlockingPool& store_pool,
            runtime::BlockingPool& password_pool, OverloadGate& overload, RelayServer& relay,
            std::optional<double> session_rate_mbps);

  /// For the HTTP server; they refer to this object.
  net::HttpHandlers handlers();

 private:
  boost::asio::awaitable<net::HttpResponse> answer(net::HttpRequest request);
  /// On the pools, one step after the other.
  boost::asio::awaitable<net::HttpResponse> pass(Passage passage);
  boost::asio::awaitable<net::UpgradeDecision> upgrade(net::HttpRequest request);
  net::UpgradeDecision admit(const NodeLinkGrant& grant);
  net::UpgradeDecision admit(const ClientLinkGrant& grant);
  net::UpgradeDecision admit(const ServerLinkGrant& grant);
  /// nullopt: the relay takes it.
  std::optional<net::HttpResponse> refusal(Admission admission) const;

  Services& services_;
  ServerMetrics& metrics_;
  runtime::BlockingPool& store_pool_;
  runtime::BlockingPool& password_pool_;
  OverloadGate& overload_;
  RelayServer& relay_;
  const std::optional<double> session_rate_mbps_;
  Gateway gateway_;
};

}  // namespace higgs::boson
