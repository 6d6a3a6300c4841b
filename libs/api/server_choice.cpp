#include "api/server_choice.h"

#include <algorithm>
#include <limits>

#include "api/registration_signature.h"

namespace higgs::api {
namespace {

// Constants of our choosing, in milliseconds. Round trips below the floor are alike: load decides then. A server that
// was not measured is taken for one at the other end of a continent.
constexpr double kFloor = 5, kUnmeasured = 80;
/// Another server is clearly better when its cost is below this share of the present one's.
constexpr double kClearGain = 0.6;
/// Costs within this factor of the lowest are alike.
constexpr double kAlike = 1.1;
/// What full load adds to the cost: as much as a round trip that is three times as long.
constexpr double kLoadWeight = 2;
/// Home, where it is no server's own name: the last resort.
constexpr double kUnlistedPenalty = 1e6;

}  // namespace

ServerChoice::ServerChoice(std::string home) {
  servers_.emplace_back();
  servers_.front().origin = std::move(home);
}

ServerChoice::Server* ServerChoice::find(const std::string& origin) {
  const auto found = std::find_if(servers_.begin(), servers_.end(), [&](const auto& s) { return s.origin == origin; });
  return found == servers_.end() ? nullptr : &*found;
}

void ServerChoice::learn(Instant now, const std::vector<RelayServer>& servers) {
  if (servers.empty()) return;
  const std::string present = current();
  std::vector<Server> next{servers_.front()};
  next.front().listed = false;
  for (const auto& said : servers) {
    if (said.protocol != "websocket") continue;
    const auto origin = origin_of(said.origin());
    if (!origin) continue;
    const bool home = *origin == next.front().origin;
    const bool twice =
        !home && std::any_of(next.begin(), next.end(), [&](const auto& s) { return s.origin == *origin; });
    if (twice || (!home && next.size() >= kMaxServers)) continue;
    if (!home) {
      const Server* known = find(*origin);
      next.push_back(known ? *known : Server());
    }
    Server& server = home ? next.front() : next.back();
    server.origin = *origin;
    server.pin = said.pin;
    server.load = said.load;
    server.listed = true;
    if (said.draining) avoid(server, now + kDrainPause);
  }
  servers_ = std::move(next);
  const Server* still = find(present);
  current_ = still ? static_cast<std::size_t>(still - servers_.data()) : 0;
}

void ServerChoice::measured(const std::string& origin, std::chrono::nanoseconds round_trip) {
  if (Server* server = find(origin)) server->round_trip = round_trip;
}

void ServerChoice::avoid(Server& server, Instant until) {
  server.avoided_until = std::max(server.avoided_until, until);
}

void ServerChoice::failed(Instant now, const std::string& origin) {
  Server* server = find(origin);
  if (!server) return;
  const auto doublings = std::min(server->failures++, 8u);
  avoid(*server, now + std::min<std::chrono::seconds>(kFirstPause * (1 << doublings), kLongestPause));
}

void ServerChoice::draining(Instant now, const std::string& origin) {
  if (Server* server = find(origin)) avoid(*server, now + kDrainPause);
}

void ServerChoice::worked(const std::string& origin) {
  Server* server = find(origin);
  if (!server) return;
  server->failures = 0;
  server->avoided_until = {};
}

double ServerChoice::cost(const Server& server) const {
  const double round_trip =
      server.round_trip ? std::chrono::duration<double, std::milli>(*server.round_trip).count() : kUnmeasured;
  const bool unlisted = !server.listed && servers_.size() > 1;
  return std::max(round_trip, kFloor) * (1 + kLoadWeight * server.load / 100) + (unlisted ? kUnlistedPenalty : 0);
}

const std::string& ServerChoice::choose(Instant now, RandomSource& random) {
  std::vector<std::size_t> free;
  double lowest = std::numeric_limits<double>::max();
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].avoided_until > now) continue;
    free.push_back(i);
    lowest = std::min(lowest, cost(servers_[i]));
  }
  if (free.empty()) {
    // All have failed: the one whose pause ends first.
    const auto soonest = std::min_element(servers_.begin(), servers_.end(), [](const auto& a, const auto& b) {
      return a.avoided_until < b.avoided_until;
    });
    current_ = static_cast<std::size_t>(soonest - servers_.begin());
    return current();
  }
  const Server& present = servers_[current_];
  if (present.avoided_until <= now && lowest >= kClearGain * cost(present)) return current();
  std::erase_if(free, [&](std::size_t i) { return cost(servers_[i]) > kAlike * lowest; });
  current_ = free[random.below(free.size())];
  return current();
}

std::vector<std::string> ServerChoice::origins() const {
  std::vector<std::string> all;
  for (const auto& server : servers_) all.push_back(server.origin);
  return all;
}

std::vector<std::string> ServerChoice::pins() const {
  std::vector<std::string> all;
  for (const auto& server : servers_)
    if (server.pin) all.push_back(*server.pin);
  return all;
}

}  // namespace higgs::api
