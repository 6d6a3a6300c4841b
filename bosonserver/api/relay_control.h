// What the API asks of the relay. Any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "base/uuid.h"
#include "relay/control.h"

namespace higgs::boson {

class RelayControl {
 public:
  virtual ~RelayControl() = default;
  virtual bool node_link_up(NodeId node) const = 0;
  virtual void close_session(SessionId session, relay::CloseReason reason) = 0;
  virtual void close_node(NodeId node, relay::CloseReason reason) = 0;
  virtual void renew_session(SessionId session, WallTime expires_at) = 0;
  virtual bool draining() const = 0;
  /// Bytes both ways of a standing session, since its client's link came up.
  virtual std::optional<std::uint64_t> forwarded_bytes(SessionId session) const = 0;
};

}  // namespace higgs::boson
