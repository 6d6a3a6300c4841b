#include "sim/turn_service.h"

namespace higgs::sim {

TurnService::TurnService(const Endpoint& address, std::uint64_t seed, Send send)
    : address_(address), random_(seed), send_(std::move(send)) {
  restart();
}

void TurnService::restart() {
  relays_.clear();
  by_port_.clear();
  turn::Authority& authority = *this;
  turn::ServerOutput& output = *this;
  server_ = std::make_unique<turn::Server>(turn::Server::Options{}, authority, output, random_);
}

void TurnService::on_datagram(Now now, const Endpoint& from, const Endpoint& to, ByteView bytes) {
  if (to == address_) {
    server_->on_client(now, {turn::Transport::kUdp, from, to}, bytes);
  } else if (const auto relay = by_port_.find(to); relay != by_port_.end()) {
    server_->on_peer(now, relay->second, from, bytes);
  }
}

void TurnService::handle_timeout(Now now) { server_->handle_timeout(now); }

std::optional<SecretString> TurnService::password(WallTime, std::string_view username) {
  if (username != kUser) return std::nullopt;
  return SecretString(kPassword);
}

bool TurnService::permits(std::string_view, const IpAddress&) { return true; }

std::optional<turn::ServerOutput::Opened> TurnService::open_relay(const turn::FiveTuple&, bool, bool, bool) {
  const Endpoint relayed{address_.address, next_port_++};
  relays_[next_id_] = relayed;
  by_port_[relayed] = next_id_;
  return Opened{next_id_++, relayed, std::nullopt};
}

std::optional<Endpoint> TurnService::claim_reserved(turn::RelayId) { return std::nullopt; }

void TurnService::close_relay(turn::RelayId id) {
  by_port_.erase(relays_[id]);
  relays_.erase(id);
}

void TurnService::send_to_client(const turn::FiveTuple& client, ByteView bytes) {
  send_(address_, client.client, bytes);
}

void TurnService::send_to_peer(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool) {
  send_(relays_[id], peer, bytes);
}

bool TurnService::may_answer_unproven(const turn::FiveTuple&) { return true; }

}  // namespace higgs::sim
