// Who is told by the relay of its nodes' links, and asked for those of other servers. Called on the relay's threads:
// nothing here blocks.
#pragma once

#include "base/uuid.h"

namespace higgs::boson {

class NodeWatch {
 public:
  virtual ~NodeWatch() = default;
  virtual void node_up(NodeId node) = 0;
  virtual void node_down(NodeId node) = 0;
  /// Where is it? RelayServer::set_node_server() answers.
  virtual void node_wanted(NodeId node) = 0;
  /// RelayServer::take_server_link() or server_link_failed() answers.
  virtual void server_link_wanted(ServerId server, unsigned own_worker, unsigned peer_worker) = 0;
};

}  // namespace higgs::boson
