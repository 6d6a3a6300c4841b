// The endpoint table: the one place that says what may be called, by whom, and what it costs. The gateway follows it,
// the tests walk it, and `bosonserver endpoints --json` prints it for the comparison with proto/openapi.yaml.
#pragma once

#include <span>
#include <string_view>

#include "api/common.h"
#include "bosonserver/api/call.h"
#include "bosonserver/domain/overload.h"
#include "net/http.h"

namespace higgs::boson {

/// Which token an endpoint wants.
enum class Access {
  kPublic,       ///< none
  kUser,         ///< aud api, or an API key, of a user with at least the endpoint's role
  kPerson,       ///< as kUser, but of a login only: what an API key that was stolen must not do
  kNode,         ///< aud node
  kRelay,        ///< aud relay, of exactly the id in the path; a WebSocket upgrade (server/relay_gate.h)
  kServer,       ///< aud server, of the id in the path and for this server; a WebSocket upgrade as well
  kCertificate,  ///< no token, but a client certificate in the TLS handshake
};

/// Which threads the handler runs on.
enum class Lane {
  kLoop,      ///< none: it calls no store and waits for nothing, and answers while every pool is full
  kStore,     ///< the pool for store calls
  kPassword,  ///< a small pool of its own: hashing takes long by design, and must not hold up the rest
};

enum class RateClass { kNone, kGeneral, kLogin, kRegistration, kList, kRoute };

/// What becomes of a call while the store cannot be reached; see api/store_grace.h.
enum class Outage { kRefuse, kGrace };

enum class Listener { kMain, kMetrics };

/// Runs on a thread of its lane; but for kLoop it may call the store.
using Handler = net::HttpResponse (*)(Call&);

struct ApiEndpoint {
  std::string_view method;
  std::string_view path;  ///< "/api/v1/nodes/{id}"
  Access access = Access::kPublic;
  api::Role least_role = api::Role::kUser;
  bool takes_body = false;  ///< JSON
  RateClass rate = RateClass::kGeneral;
  Lane lane = Lane::kStore;
  Work work = Work::kAnonymous;  ///< when it is refused under overload
  Handler handler = nullptr;     ///< null: answered elsewhere (relay upgrade, metrics listener)
  std::string_view act = {};     ///< what the audit calls it, where it is an administrative act
  Listener listener = Listener::kMain;
  Outage outage = Outage::kRefuse;
};

std::span<const ApiEndpoint> endpoints();
/// [{"method":…,"path":…,"access":…,"role":…,"listener":…}, …]
std::string endpoints_json();

/// Where a request leads.
struct Match {
  const ApiEndpoint* endpoint = nullptr;
  std::vector<std::string> parameters;
  std::string allowed;  ///< where the path is known but not the method: "GET, POST"
};
Match match_endpoint(std::string_view method, std::string_view path);

}  // namespace higgs::boson
