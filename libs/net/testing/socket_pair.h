// For tests and benchmarks: two connected sockets over the loopback, with or without TLS.
#pragma once

#include <stdexcept>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "net/testing/coroutine_test.h"
#include "net/tls_stream.h"

namespace higgs::net::testing {

struct SocketPair {
  TlsSocket client, server;
};

/// Contexts of one self-signed key, made once.
inline const std::pair<TlsContext, TlsContext>& pinned_contexts() {
  static const auto kContexts = [] {
    const auto made = make_self_signed({"boson.test"}, 30).value();
    return std::pair(TlsContext::server(made.certificate_pem, made.private_key_pem).value(),
                     TlsContext::client({.spki_pins = {*spki_pin_of(made.certificate_pem)}, .ca_file = {}}).value());
  }();
  return kContexts;
}

inline SocketPair make_socket_pair(bool tls) {
  namespace asio = boost::asio;
  using asio::ip::tcp;
  asio::io_context context;
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  tcp::socket client(context), server(context);
  client.connect(acceptor.local_endpoint());
  acceptor.accept(server);
  const auto& [server_context, client_context] = pinned_contexts();
  TlsStream at_client = tls ? TlsStream(std::move(client), client_context) : TlsStream(std::move(client));
  TlsStream at_server = tls ? TlsStream(std::move(server), server_context) : TlsStream(std::move(server));
  int shaken = 0;
  const auto count = [&shaken](const std::exception_ptr&, const Result<void>& result) { shaken += result ? 1 : 100; };
  const std::string host = "boson.test";
  asio::co_spawn(context, at_client.connect(host), count);
  asio::co_spawn(context, at_server.accept(), count);
  run_until(context, [&] { return shaken >= 2; });
  if (shaken != 2) throw std::runtime_error("the handshake failed");
  return {at_client.release(), at_server.release()};
}

}  // namespace higgs::net::testing
