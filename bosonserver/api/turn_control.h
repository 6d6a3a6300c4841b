// What the API asks of TURN. Any thread.
#pragma once

#include <string_view>
#include <vector>

#include "api/routing.h"
#include "base/ip.h"
#include "base/time.h"
#include "base/uuid.h"

namespace higgs::boson {

class TurnControl {
 public:
  virtual ~TurnControl() = default;
  /// A session stands whose node is at these addresses: what its client may use. `host`: under which name or address
  /// (without brackets) it reached us. Empty: there is no TURN.
  virtual std::vector<api::TurnServer> admit(SessionId session, const std::vector<IpAddress>& node_addresses,
                                             std::int64_t expires_at, std::string_view host, WallTime now) = 0;
  virtual void renew_session(SessionId session, std::int64_t expires_at) = 0;
  /// Its allocations end now.
  virtual void close_session(SessionId session) = 0;
};

}  // namespace higgs::boson
