// What the API asks of the cluster: which other servers there are. Any thread; never blocks.
#pragma once

#include <vector>

#include "bosonserver/cluster/server_entry.h"

namespace higgs::boson {

class ClusterView {
 public:
  virtual ~ClusterView() = default;
  /// Those that live, without this one.
  virtual std::vector<ServerEntry> others() const = 0;
  virtual bool lives(ServerId server) const = 0;
  /// This one, as the others are told.
  virtual ServerEntry self() const = 0;
};

}  // namespace higgs::boson
