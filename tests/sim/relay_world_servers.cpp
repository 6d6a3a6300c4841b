// What happens to servers and between them.
#include <algorithm>

#include "sim/relay_world_server.h"

namespace higgs::sim {

namespace {
using namespace std::chrono_literals;
/// How long a dialer waits for a server that does not answer.
constexpr auto kDialPatience = 1s;
}  // namespace

bool RelayWorld::paused(unsigned server) const { return servers_[server]->paused; }
relay::ShardStats RelayWorld::stats(unsigned server) const { return servers_[server]->shard->stats(); }

void RelayWorld::pause_server(unsigned server) { servers_[server]->paused = true; }
void RelayWorld::resume_server(unsigned server) { servers_[server]->paused = false; }

void RelayWorld::restart_server(unsigned server) {
  servers_[server]->start();
  std::vector<relay::LinkKey> keys;
  for (const auto& [key, link] : links_)
    if (link.server == server) keys.push_back(key);
  for (const auto key : keys) end_connection(key);
}

void RelayWorld::cut(unsigned server, unsigned other) { cuts_.insert(std::minmax(server, other)); }
void RelayWorld::join(unsigned server, unsigned other) { cuts_.erase(std::minmax(server, other)); }
bool RelayWorld::are_cut(unsigned server, unsigned other) const { return cuts_.contains(std::minmax(server, other)); }

void RelayWorld::break_links(unsigned server, unsigned other) {
  for (auto& [key, link] : links_)
    if (link.far == Far::kServer && std::minmax(link.server, link.owner) == std::minmax(server, other))
      upward(key, Message::Kind::kClose, {});
}

void RelayWorld::later(unsigned server, std::chrono::nanoseconds after, std::function<void()> action) {
  events_.push_back({now_.monotonic + after, server, servers_[server]->life, std::move(action)});
}

void RelayWorld::happen() {
  std::vector<Event> due;
  std::erase_if(events_, [&](Event& event) {
    if (event.due > now_.monotonic || paused(event.server)) return false;
    due.push_back(std::move(event));
    return true;
  });
  for (auto& event : due)
    if (event.life == servers_[event.server]->life) event.action();
}

/// Presence hears of it at once, and tells every other server.
void RelayWorld::announce(NodeId node, unsigned server) {
  presence_[node] = server;
  for (unsigned other = 0; other < options_.servers; ++other) {
    if (other == server || random_() % 100 < options_.wrong_answers) continue;
    later(other, delay(), [this, node, server, other] {
      servers_[other]->shard->set_node_server(now_, node, relay::ServerRef{id_of<ServerId>(server), 1});
    });
  }
}

void RelayWorld::look_up(unsigned server, NodeId node) {
  later(server, delay(), [this, server, node] {
    const auto found = presence_.find(node);
    std::optional<unsigned> where;
    if (found != presence_.end() && found->second != server) where = found->second;
    if (random_() % 100 < options_.wrong_answers) {
      const auto guess = static_cast<unsigned>(random_() % (options_.servers + 1));
      where = guess < options_.servers && guess != server ? std::optional(guess) : std::nullopt;
    }
    servers_[server]->shard->set_node_server(
        now_, node, where ? std::optional(relay::ServerRef{id_of<ServerId>(*where), 1}) : std::nullopt);
  });
}

void RelayWorld::dial(unsigned server, ServerId peer) {
  const unsigned other = number_of(peer);
  later(server, delay(), [this, server, other] {
    if (paused(other) || are_cut(server, other))
      later(server, kDialPatience,
            [this, server, other] { servers_[server]->shard->server_link_failed(now_, id_of<ServerId>(other), 0); });
    else
      dial_ends(server, other);
  });
}

void RelayWorld::dial_ends(unsigned server, unsigned peer) {
  using enum relay::ServerLinkDirection;
  if (random_() % 100 < options_.wrong_answers)
    return servers_[server]->shard->server_link_failed(now_, id_of<ServerId>(peer), 0);
  const auto near = make_link(Far::kServer, server, peer, options_.server_mbps);
  const auto far = make_link(Far::kServer, peer, server, options_.server_mbps);
  links_[near].other = far;
  links_[far].other = near;
  const auto iat = unix_seconds(now_.wall);
  servers_[peer]->shard->add_server_link(now_, far, {id_of<ServerId>(server), kIncoming, 0, iat});
  servers_[server]->shard->add_server_link(now_, near, {id_of<ServerId>(peer), kOutgoing, 0, iat});
}

}  // namespace higgs::sim
