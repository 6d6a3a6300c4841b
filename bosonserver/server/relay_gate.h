// Who may open a link at /relay/{id}: the bearer of a relay token for exactly that id, whose node is admitted or whose
// session stands. And at /cascade/{id}: the server of that id, by a token for this server. See proto/relay.md.
#pragma once

#include <cstdint>
#include <variant>

#include "bosonserver/api/services.h"
#include "bosonserver/relay/relay_server.h"
#include "bosonserver/server/relay_meter.h"
#include "net/http.h"
#include "relay/session_ticket.h"

namespace higgs::boson {

inline constexpr std::string_view kRelaySubprotocol = "higgs-relay.1";

struct NodeLinkGrant {
  NodeId node;
  std::int64_t token_iat = 0;
};
struct ClientLinkGrant {
  relay::SessionTicket ticket;
  std::int64_t token_iat = 0;
};
using RelayGrant = std::variant<net::HttpResponse, NodeLinkGrant, ClientLinkGrant, ServerLinkGrant>;

/// Pool thread. What only the relay knows (a newer link, its limits) is for the caller to ask.
RelayGrant authorise_relay_link(Services& services, RelayMeter& meter, const net::HttpRequest& request,
                                std::optional<double> session_rate_mbps);

}  // namespace higgs::boson
