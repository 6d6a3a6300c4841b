// A server as a node sees it, over real TLS on loopback, whose answers a test scripts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "api/node.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace higgs::node::testing_support {

class FakeServer {
 public:
  explicit FakeServer(boost::asio::io_context& context) {
    const auto made = net::make_self_signed({"localhost"}, 2).value();
    pin_ = net::spki_pin_of(made.certificate_pem).value();
    net::HttpHandlers handlers;
    handlers.request = [this](net::HttpRequest request) { return handle(std::move(request)); };
    handlers.upgrade = [this](net::HttpRequest request) { return upgrade(std::move(request)); };
    auto tls = net::TlsContext::server(made.certificate_pem, made.private_key_pem).value();
    server_ = std::make_unique<net::HttpServer>(context.get_executor(), tls, handlers);
    const auto bound = server_->listen(Endpoint{IpAddress::v4(0x7f000001), 0}).value();
    url_ = "https://127.0.0.1:" + std::to_string(bound.port);
    answers["/api/v1/nodes/challenge"] = [](const net::HttpRequest&) {
      return json(api::encode(api::ChallengeResponse{std::string(43, 'N'), 0}));
    };
  }

  static net::HttpResponse json(std::string body, unsigned status = 200) {
    net::HttpResponse response;
    response.status = status;
    response.headers.set("Content-Type", "application/json");
    response.body = std::move(body);
    return response;
  }

  const std::string& url() const { return url_; }
  const std::string& pin() const { return pin_; }
  net::HttpServer& server() { return *server_; }
  net::HttpClientOptions client_options() const {
    net::HttpClientOptions options;
    options.trust.spki_pins = {pin_};
    return options;
  }

  /// By path; unknown ones are answered 404.
  std::map<std::string, std::function<net::HttpResponse(const net::HttpRequest&)>> answers;
  std::vector<net::HttpRequest> requests;
  /// A refusal, or nullopt to accept the upgrade and keep the socket.
  std::function<std::optional<net::HttpResponse>(const net::HttpRequest&)> refuse_upgrade;
  std::vector<net::HttpRequest> upgrades;
  std::vector<net::UpgradedSocket> sockets;

 private:
  boost::asio::awaitable<net::HttpResponse> handle(net::HttpRequest request) {
    requests.push_back(request);
    const auto found = answers.find(request.path);
    if (found == answers.end()) co_return json("{}", 404);
    co_return found->second(request);
  }
  boost::asio::awaitable<net::UpgradeDecision> upgrade(net::HttpRequest request) {
    upgrades.push_back(request);
    if (refuse_upgrade) {
      if (auto refusal = refuse_upgrade(request)) co_return net::UpgradeDecision(std::move(*refusal));
    }
    net::UpgradeAccept accept;
    accept.subprotocol = "higgs-relay.1";
    accept.take = [this](net::UpgradedSocket socket) { sockets.push_back(std::move(socket)); };
    co_return net::UpgradeDecision(std::move(accept));
  }

  std::string url_, pin_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace higgs::node::testing_support
