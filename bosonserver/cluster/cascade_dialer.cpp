#include "bosonserver/cluster/cascade_dialer.h"

#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>

#include "net/http_client.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace asio = boost::asio;
namespace log = runtime::log;
namespace {

/// Sessions wait meanwhile, and may find their node elsewhere.
constexpr std::chrono::milliseconds kDialDeadline{2000};

}  // namespace

CascadeDialer::CascadeDialer(asio::io_context& context, const ServerDirectory& directory, RelayServer& relay,
                             ServerTokenMaker make_token)
    : context_(context), directory_(directory), relay_(relay), make_token_(std::move(make_token)) {}

void CascadeDialer::open(ServerId peer, unsigned own_worker, unsigned peer_worker) {
  const auto entry = directory_.find(peer);
  if (!entry) {
    relay_.server_link_failed(peer, own_worker, peer_worker);
    return;
  }
  auto failed = [this, peer, own_worker, peer_worker](const std::exception_ptr& error) {
    if (error) relay_.server_link_failed(peer, own_worker, peer_worker);
  };
  asio::co_spawn(asio::make_strand(context_), dial(*entry, own_worker, peer_worker), std::move(failed));
}

asio::awaitable<void> CascadeDialer::dial(ServerEntry peer, unsigned own_worker, unsigned peer_worker) {
  net::HttpClientOptions options;
  options.trust.spki_pins = {peer.pin};
  options.connect_deadline = options.request_deadline = kDialDeadline;
  options.user_agent = "bosonserver";
  net::HttpClient http(co_await asio::this_coro::executor, options);
  const auto token = make_token_(peer.id);
  net::HttpHeaders headers;
  headers.set("Authorization", "Bearer " + token.text);
  const auto url = "wss" + peer.url.substr(peer.url.find(':')) + "/cascade/" + to_string(directory_.self().id) +
                   "?worker=" + std::to_string(peer_worker) + "&from=" + std::to_string(own_worker);
  auto upgrading = http.upgrade(url, headers, std::string(relay::kCascadeSubprotocol));
  auto socket = co_await std::move(upgrading);
  if (!socket) {
    const auto& refusal = http.last_refusal();
    log::warn("no link to another server",
              {{"server", peer.url},
               {"reason", refusal ? "it answered " + std::to_string(refusal->status) : socket.error().message()}});
    relay_.server_link_failed(peer.id, own_worker, peer_worker);
    co_return;
  }
  const relay::ServerLink link{peer.id, relay::ServerLinkDirection::kOutgoing, peer_worker, token.issued_at};
  relay_.take_server_link({link, own_worker}, std::move(*socket));
}

}  // namespace higgs::boson
