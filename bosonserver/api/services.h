// What handlers work with. Everything here is thread-safe and outlives the gateway.
#pragma once

#include <functional>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "bosonserver/api/key_ring.h"
#include "bosonserver/api/local_names.h"
#include "bosonserver/api/node_directory.h"
#include "bosonserver/api/relay_control.h"
#include "bosonserver/api/settings.h"
#include "bosonserver/api/turn_control.h"
#include "bosonserver/cache/cache.h"
#include "bosonserver/geo/places.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

struct Services {
  const ApiSettings& settings;
  Store& store;
  Cache& cache;
  KeyRing& keys;
  NodeDirectory& directory;
  const Places& places;
  RelayControl& relay;
  TurnControl& turn;
  RandomSource& random;
  std::function<Now()> clock;
  LocalNames local_names;
  std::string server_id;   ///< in the paths of routes
  std::string dummy_hash;  ///< of no password: verified where there is no user, so that time tells nothing
};

/// To be called when a session has ended in the store: the relay and TURN follow at once.
void session_over(Services& services, SessionId session, relay::CloseReason reason);
/// To be called whenever a node's state changes: lists and cached routes follow at once.
void node_changed(Services& services, NodeId node);
/// The tag under which cached routes hang that lead to this node.
std::string route_tag(NodeId node);

}  // namespace higgs::boson
