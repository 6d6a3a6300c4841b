#include "net/websocket_connection.h"

#include "net/websocket_impl.h"

namespace higgs::net {

WebSocketConnection::WebSocketConnection(Role role, UpgradedSocket socket, WebSocketLimits limits)
    : impl_(std::make_unique<Impl>(role, std::move(socket), limits)) {}
WebSocketConnection::~WebSocketConnection() = default;

void WebSocketConnection::start(EventLoop& loop, Handler& handler) { impl_->start(loop, handler, *this); }

bool WebSocketConnection::can_send() const noexcept {
  const bool open = impl_->state == Impl::State::kOpen || impl_->state == Impl::State::kIdle;
  return open && impl_->unsent.size() < impl_->limits.unsent_bytes;
}

std::size_t WebSocketConnection::unsent_bytes() const noexcept { return impl_->unsent.size(); }

bool WebSocketConnection::send_binary(std::span<const ByteView> parts) {
  return impl_->send(WebSocketOpcode::kBinary, parts, impl_->limits.unsent_hard_bytes);
}

bool WebSocketConnection::send_text(std::string_view message) {
  const ByteView part = as_bytes(message);
  return impl_->send(WebSocketOpcode::kText, {&part, 1}, impl_->limits.unsent_hard_bytes);
}

bool WebSocketConnection::send_ping(ByteView payload) {
  if (payload.size() > kControlPayloadBytes) return false;
  return impl_->send(WebSocketOpcode::kPing, {&payload, 1}, impl_->limits.unsent_hard_bytes);
}

void WebSocketConnection::close(std::uint16_t code, std::string_view reason) { impl_->close(code, reason); }
void WebSocketConnection::abort() noexcept { impl_->end(); }
const WebSocketStats& WebSocketConnection::stats() const noexcept { return impl_->stats; }
Endpoint WebSocketConnection::remote() const { return impl_->socket.remote(); }
int WebSocketConnection::fd() const noexcept { return impl_->socket.fd(); }
void WebSocketConnection::set_notsent_low_water(std::size_t bytes) noexcept { impl_->set_low_water(bytes); }
void WebSocketConnection::set_unsent_limit(std::size_t bytes) noexcept { impl_->limits.unsent_bytes = bytes; }
void WebSocketConnection::on_events(std::uint32_t events) { impl_->on_events(events); }

}  // namespace higgs::net
