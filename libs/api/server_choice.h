// Which of a deployment's servers to talk to: the one that answers soonest, its load counted in, unless it has just
// failed or is about to stop. Clients and nodes both choose by it, for the API and for the relay.
//
// A server is known by its origin, "https://host:port". Pure: time and randomness are handed in. One thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "api/common.h"
#include "base/random.h"
#include "base/time.h"

namespace higgs::api {

class ServerChoice {
 public:
  static constexpr std::size_t kMaxServers = 64;  ///< further ones are not learned

  /// `home`: what the user or volunteer named; it is never forgotten, since it may be a name for whichever server
  /// stands behind it today.
  explicit ServerChoice(std::string home);

  /// What a server says of the deployment; what is measured of those that stay is kept. An empty list says nothing.
  void learn(Instant now, const std::vector<RelayServer>& servers);
  void measured(const std::string& origin, std::chrono::nanoseconds round_trip);
  /// It could not be reached, or its link died: it is avoided for kFirstPause, twice as long each time in a row.
  void failed(Instant now, const std::string& origin);
  /// It asked its peers to leave: as failed(), for kDrainPause.
  void draining(Instant now, const std::string& origin);
  void worked(const std::string& origin);

  /// The one to use now. It stays the same until it fails or another is clearly better (kClearGain); servers that are
  /// alike are taken at random, so that peers spread.
  const std::string& choose(Instant now, RandomSource& random);
  const std::string& current() const { return servers_[current_].origin; }

  /// Home first.
  std::vector<std::string> origins() const;
  /// Of all servers that say theirs.
  std::vector<std::string> pins() const;
  bool alone() const noexcept { return servers_.size() == 1; }

  static constexpr std::chrono::seconds kFirstPause{10}, kLongestPause{120}, kDrainPause{60};

 private:
  struct Server {
    std::string origin;
    std::optional<std::string> pin;
    double load = 0;  ///< percent
    std::optional<std::chrono::nanoseconds> round_trip;
    unsigned failures = 0;  ///< in a row
    Instant avoided_until{};
    bool listed = false;  ///< home may be a name that no server says of itself
  };
  Server* find(const std::string& origin);
  double cost(const Server& server) const;
  void avoid(Server& server, Instant until);

  std::vector<Server> servers_;  ///< never empty; home first
  std::size_t current_ = 0;
};

}  // namespace higgs::api
