// How far away the servers of a deployment are, so that an api::ServerChoice can choose among them.
#pragma once

#include <chrono>

#include <boost/asio/awaitable.hpp>

#include "api/server_choice.h"
#include "net/http_client.h"

namespace higgs::net {

/// Asks every server for its health at once and hands the time of each answer to `choice`; what has not answered when
/// the deadline is over stays as it was. Completes then, or as soon as all have answered. A server that stands alone is
/// not asked. Both references must live until then; executor of the client.
boost::asio::awaitable<void> measure_servers(HttpClient& client, api::ServerChoice& choice,
                                             std::chrono::milliseconds deadline);

}  // namespace higgs::net
