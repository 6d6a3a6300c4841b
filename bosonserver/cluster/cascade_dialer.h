// Opens links to other servers when the relay wants one: TLS by the other's pin, a token of this server's for exactly
// that other, and the upgrade to higgs-cascade.1 (proto/relay.md, "Cascade").
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "bosonserver/api/tokens.h"
#include "bosonserver/cluster/server_directory.h"
#include "bosonserver/relay/relay_server.h"

namespace higgs::boson {

using ServerTokenMaker = std::function<ServerToken(ServerId peer)>;

class CascadeDialer {
 public:
  /// `relay` and `directory` must outlive what runs on `context`.
  CascadeDialer(boost::asio::io_context& context, const ServerDirectory& directory, RelayServer& relay,
                ServerTokenMaker make_token);

  /// Any thread. The relay is told of the link, or that there is none.
  void open(ServerId peer, unsigned own_worker, unsigned peer_worker);

 private:
  boost::asio::awaitable<void> dial(ServerEntry peer, unsigned own_worker, unsigned peer_worker);

  boost::asio::io_context& context_;
  const ServerDirectory& directory_;
  RelayServer& relay_;
  const ServerTokenMaker make_token_;
};

}  // namespace higgs::boson
