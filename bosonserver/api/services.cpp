#include "bosonserver/api/services.h"

namespace higgs::boson {

std::string route_tag(NodeId node) { return "node:" + to_string(node); }

bool is_linked(const Services& services, const NodeRecord& node) {
  return services.relay.node_link_up(node.id) || (node.server && services.cluster.lives(*node.server));
}

std::vector<api::RelayServer> relay_servers(const Services& services, const std::string& origin) {
  auto self = services.cluster.self();
  self.url = origin;
  self.draining = services.relay.draining();
  std::vector<api::RelayServer> servers{self.shown()};
  for (const auto& other : services.cluster.others()) servers.push_back(other.shown());
  return servers;
}

void session_over(Services& services, SessionId session, relay::CloseReason reason) {
  services.grace.forget_session(session);
  services.relay.close_session(session, reason);
  services.turn.close_session(session);
}

void sessions_over(Services& services, const std::vector<SessionId>& sessions) {
  for (const auto& session : sessions) session_over(services, session, relay::CloseReason::kEnded);
}

void node_changed(Services& services, NodeId node) {
  services.heartbeats.forget(node);
  node_moved(services, node);
}

void node_moved(Services& services, NodeId node) {
  services.directory.forget(node);
  services.cache.drop_tagged(route_tag(node));
}

}  // namespace higgs::boson
