// A volunteer's node as far as the API sees it.
#pragma once

#include <string>

#include <boost/asio/awaitable.hpp>

#include "api/node.h"
#include "base/random.h"
#include "node_load/connection.h"

namespace higgs::node_load {

class Node {
 public:
  Node(unsigned number, unsigned heartbeat_interval) : number_(number), interval_(heartbeat_interval) {}

  /// Proves an identity made up now. Why the server says no, if it does.
  boost::asio::awaitable<std::optional<std::string>> join(Connection& connection, std::string origin,
                                                          RandomSource& random);
  boost::asio::awaitable<Result<net::HttpResponse>> send_heartbeat(Connection& connection);

 private:
  api::RegisterRequest registration(const crypto::Ed25519PrivateKey& identity, std::string nonce,
                                    RandomSource& random) const;

  unsigned number_, interval_;
  unsigned beats_ = 0;
  NodeId id_;
  std::string authorization_;
};

}  // namespace higgs::node_load
