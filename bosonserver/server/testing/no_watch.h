// For tests: nobody who is told of nodes' links.
#pragma once

#include "bosonserver/server/node_watch.h"

namespace higgs::boson::testing {

struct NoWatch final : NodeWatch {
  void node_up(NodeId) override {}
  void node_down(NodeId) override {}
  void node_wanted(NodeId) override {}
  void server_link_wanted(ServerId, unsigned, unsigned) override {}
};

}  // namespace higgs::boson::testing
