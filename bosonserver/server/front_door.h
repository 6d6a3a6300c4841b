// Carries requests from the HTTP server to the pools where handlers run, and upgrades to the relay.
#pragma once

#include <optional>

#include <boost/asio/awaitable.hpp>

#include "bosonserver/api/gateway.h"
#include "bosonserver/relay/relay_server.h"
#include "bosonserver/server/overload_gate.h"
#include "bosonserver/server/relay_gate.h"
#include "bosonserver/server/server_metrics.h"
#include "bosonserver/server/server_traces.h"
#include "net/http_server.h"
#include "runtime/blocking_pool.h"

namespace higgs::boson {

class FrontDoor {
 public:
  FrontDoor(Services& services, ServerMetrics& metrics, runtime::BlockingPool& store_pool,
            runtime::BlockingPool& password_pool, OverloadGate& overload, RelayServer& relay, RelayMeter& meter,
            std::optional<double> session_rate_mbps, ServerTraces& traces);

  /// For the HTTP server; they refer to this object.
  net::HttpHandlers handlers();

 private:
  boost::asio::awaitable<net::HttpResponse> answer(net::HttpRequest request);
  /// On the pools, one step after the other.
  boost::asio::awaitable<net::HttpResponse> pass(Passage passage, const net::HttpRequest& request,
                                                 const trace::Span& span);
  boost::asio::awaitable<net::UpgradeDecision> upgrade(net::HttpRequest request);
  /// In a thread of the lane's pool, with what the log and the trace are to know of the request; nullopt: the pool is
  /// full.
  template <class F>
  boost::asio::awaitable<std::optional<std::invoke_result_t<F>>> run(Lane lane, const net::HttpRequest& request,
                                                                     const trace::Span& span, F work);
  net::UpgradeDecision admit(const NodeLinkGrant& grant);
  net::UpgradeDecision admit(const ClientLinkGrant& grant, const trace::Span& span);
  net::UpgradeDecision admit(const ServerLinkGrant& grant);
  /// nullopt: the relay takes it.
  std::optional<net::HttpResponse> refusal(Admission admission) const;

  Services& services_;
  ServerMetrics& metrics_;
  runtime::BlockingPool& store_pool_;
  runtime::BlockingPool& password_pool_;
  OverloadGate& overload_;
  RelayServer& relay_;
  RelayMeter& meter_;
  const std::optional<double> session_rate_mbps_;
  ServerTraces& traces_;
  Gateway gateway_;
};

}  // namespace higgs::boson
