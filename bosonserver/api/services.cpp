#include "bosonserver/api/services.h"

namespace higgs::boson {

std::string route_tag(NodeId node) { return "node:" + to_string(node); }

void session_over(Services& services, SessionId session, relay::CloseReason reason) {
  services.relay.close_session(session, reason);
  services.turn.close_session(session);
}

void node_changed(Services& services, NodeId node) {
  services.directory.forget();
  services.cache.drop_tagged(route_tag(node));
}

}  // namespace higgs::boson
