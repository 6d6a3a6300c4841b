#include "tunnel/reflexive_monitor.h"

#include <algorithm>

#include "stun/binding.h"

namespace higgs::tunnel {

namespace {
constexpr int kLowestPort = 1024, kHighestPort = 65535;
}

void ReflexiveMonitor::set_servers(Instant now, std::span<const Endpoint> servers) {
  std::vector<Server> kept;
  for (const Endpoint& endpoint : servers.first(std::min(servers.size(), limits_.servers))) {
    const auto is_it = [&](const Server& server) { return server.endpoint == endpoint; };
    if (std::any_of(kept.begin(), kept.end(), is_it)) continue;
    const auto known = std::find_if(servers_.begin(), servers_.end(), is_it);
    if (known != servers_.end()) {
      kept.push_back(*known);
    } else {
      kept.emplace_back().endpoint = endpoint;
      begin_round(now, kept.back());
    }
  }
  const auto before = addresses();
  servers_ = std::move(kept);
  changed_ |= before != addresses();
}

void ReflexiveMonitor::refresh(Instant now) {
  for (Server& server : servers_) begin_round(now, server);
}

void ReflexiveMonitor::doubt(Instant now) {
  if (doubted_ && now - *doubted_ < limits_.doubt_interval) return;
  doubted_ = now;
  refresh(now);
}

void ReflexiveMonitor::begin_round(Instant now, Server& server) {
  random_.fill(server.transaction);
  server.timer.emplace(now, limits_.retransmission);
  server.to_send = server.timer->step(now) == stun::TransactionTimer::Step::kSend;
}

void ReflexiveMonitor::end_round(Instant now, Server& server, std::optional<Endpoint> mapped) {
  server.timer.reset();
  server.to_send = false;
  const auto whole = static_cast<std::uint64_t>(limits_.interval.count());
  server.next_round = now + limits_.interval - std::chrono::milliseconds(random_.below(whole / 10 + 1));
  if (server.mapped == mapped) return;
  moved_ |= server.mapped && mapped;
  server.mapped = mapped;
  changed_ = true;
}

bool ReflexiveMonitor::handle_packet(Instant now, const Endpoint& from, ByteView datagram) {
  for (Server& server : servers_) {
    if (!server.timer || server.endpoint != from) continue;
    const auto mapped = stun::read_binding_response(datagram, server.transaction);
    if (!mapped) continue;
    end_round(now, server, mapped);
    return true;
  }
  return false;
}

void ReflexiveMonitor::handle_timeout(Instant now) {
  for (Server& server : servers_) {
    if (!server.timer) {
      if (server.next_round <= now) begin_round(now, server);
      continue;
    }
    if (server.timer->next() > now) continue;
    const auto step = server.timer->step(now);
    if (step == stun::TransactionTimer::Step::kSend) server.to_send = true;
    if (step == stun::TransactionTimer::Step::kGiveUp) end_round(now, server, std::nullopt);
  }
}

std::optional<Instant> ReflexiveMonitor::poll_timeout() const noexcept {
  std::optional<Instant> first;
  for (const Server& server : servers_) {
    const Instant due = server.timer ? server.timer->next() : server.next_round;
    if (!first || due < *first) first = due;
  }
  return first;
}

std::optional<ReflexiveMonitor::Transmit> ReflexiveMonitor::poll_transmit() {
  for (Server& server : servers_) {
    if (!std::exchange(server.to_send, false)) continue;
    return Transmit{server.endpoint, stun::make_binding_request(server.transaction, {}, buffer_)};
  }
  return std::nullopt;
}

std::vector<Endpoint> ReflexiveMonitor::addresses() const {
  std::vector<Endpoint> all;
  for (const Server& server : servers_) {
    if (server.mapped && std::find(all.begin(), all.end(), *server.mapped) == all.end()) all.push_back(*server.mapped);
  }
  return all;
}

std::vector<Endpoint> ReflexiveMonitor::predicted(int step) const {
  std::vector<Endpoint> likely;
  if (step == 0) return likely;
  for (const bool v4 : {false, true}) {
    std::optional<Endpoint> last;
    for (const Endpoint& mapped : addresses()) {
      if (mapped.address.is_v4() != v4) continue;
      if (!last || (step > 0 ? mapped.port > last->port : mapped.port < last->port)) last = mapped;
    }
    if (!last) continue;
    int port = last->port;
    for (std::size_t i = 0; i < limits_.predicted; ++i) {
      port += step;
      if (port < kLowestPort || port > kHighestPort) break;
      likely.push_back({last->address, static_cast<std::uint16_t>(port)});
    }
  }
  return likely;
}

}  // namespace higgs::tunnel
