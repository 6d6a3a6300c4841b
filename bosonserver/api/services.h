// What handlers work with. Everything here is thread-safe and outlives the gateway.
#pragma once

#include <functional>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "bosonserver/api/cluster_view.h"
#include "bosonserver/api/heartbeats.h"
#include "bosonserver/api/key_ring.h"
#include "bosonserver/api/local_names.h"
#include "bosonserver/api/node_directory.h"
#include "bosonserver/api/passwords.h"
#include "bosonserver/api/rate_scope.h"
#include "bosonserver/api/relay_control.h"
#include "bosonserver/api/route_candidates.h"
#include "bosonserver/api/sealer.h"
#include "bosonserver/api/settings.h"
#include "bosonserver/api/store_grace.h"
#include "bosonserver/api/turn_control.h"
#include "bosonserver/cache/cache.h"
#include "bosonserver/geo/places.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

struct Services {
  const ApiSettings& settings;
  Store& store;
  StoreGrace& grace;
  Cache& cache;
  KeyRing& keys;
  const Sealer& sealer;
  Passwords& passwords;
  NodeDirectory& directory;
  Heartbeats& heartbeats;
  RouteCandidates& candidates;
  const Places& places;
  RelayControl& relay;
  TurnControl& turn;
  ClusterView& cluster;
  RandomSource& random;
  std::function<Now()> clock;
  LocalNames local_names;
  ServerId server_id;
  RateRefusals rate_refusals{};
};

/// To be called when a session has ended in the store: the relay and TURN follow at once.
void session_over(Services& services, SessionId session, relay::CloseReason reason);
void sessions_over(Services& services, const std::vector<SessionId>& sessions);
/// To be called whenever something of a node changes: lists, cached routes and heartbeats follow at once.
void node_changed(Services& services, NodeId node);
/// The same where it is no more than its status, or where its relay link stands.
void node_moved(Services& services, NodeId node);
/// Whether a relay link of the node stands, here or at another server that lives.
bool is_linked(const Services& services, const NodeRecord& node);
/// For nodes and clients: this server, under the origin by which the caller knows it, then the others.
std::vector<api::RelayServer> relay_servers(const Services& services, const std::string& origin);
/// The tag under which cached routes hang that lead to this node.
std::string route_tag(NodeId node);

}  // namespace higgs::boson
