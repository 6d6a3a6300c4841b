// The answer to Prometheus. Pool thread.
#pragma once

#include "bosonserver/api/services.h"
#include "bosonserver/server/server_metrics.h"
#include "net/http.h"

namespace higgs::net {
class HttpServer;
class Tracing;
}  // namespace higgs::net
namespace higgs::runtime {
class BlockingPool;
}

namespace higgs::boson {

class OverloadGate;
class PathStatistics;
class RelayMeter;
class RelayServer;
class SessionEndings;
class SharedState;
class StunServer;
class StoreWorker;
class TurnDesk;

struct ScrapeSources {
  Services& services;
  const SharedState& shared;
  const RelayServer& relay;
  const RelayMeter& meter;
  const SessionEndings& endings;
  const PathStatistics& paths;
  const StunServer& stun;
  const TurnDesk& turn;
  const net::HttpServer& http;
  const runtime::BlockingPool& store_pool;
  const runtime::BlockingPool& password_pool;
  const OverloadGate& overload;
  std::size_t memory_limit_bytes = 0;
  const StoreWorker& worker;
  const net::Tracing& tracing;
  WallTime started;
};

net::HttpResponse scrape(const net::HttpRequest& request, const ServerMetrics& metrics, const ScrapeSources& sources);

}  // namespace higgs::boson
