// What the control plane decided about one session, handed to the relay when the client's link comes up.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "base/time.h"
#include "base/uuid.h"
#include "crypto/x25519.h"
#include "relay/shared_rate.h"
#include "trace/context.h"

namespace higgs::relay {

struct SessionTicket {
  SessionId session;
  NodeId node;
  crypto::PublicKey wireguard_public_key;  ///< the client's
  std::vector<IpPrefix> addresses;         ///< the client's in the tunnel
  std::optional<double> rate_limit_mbps;   ///< each way; unset: none
  std::shared_ptr<SharedRate> user_rate;   ///< of all sessions of its user here; null: none
  WallTime expires_at{};
  std::optional<trace::SpanContext> trace{};  ///< told to the node with the first session-open
};

}  // namespace higgs::relay
