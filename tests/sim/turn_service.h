// The TURN server of the simulated world: the real state machine, with relayed ports from a table.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "turn/turn_server.h"

namespace higgs::sim {

class TurnService : private turn::Authority, private turn::ServerOutput {
 public:
  using Send = std::function<void(const Endpoint& from, const Endpoint& to, ByteView bytes)>;

  TurnService(const Endpoint& address, std::uint64_t seed, Send send);

  static constexpr const char* kUser = "1700003600:simulation";
  static constexpr const char* kPassword = "correct horse";

  /// Anything at the server's port or at a relayed one.
  void on_datagram(Now now, const Endpoint& from, const Endpoint& to, ByteView bytes);
  void handle_timeout(Now now);
  std::optional<Instant> due() const { return server_->poll_timeout(); }
  /// Forgets every allocation.
  void restart();
  const turn::ServerCounters& counters() const { return server_->counters(); }

 private:
  std::optional<SecretString> password(WallTime now, std::string_view username) override;
  bool permits(std::string_view username, const IpAddress& peer) override;
  std::optional<Opened> open_relay(const turn::FiveTuple& client, bool ipv6, bool even, bool reserve) override;
  std::optional<Endpoint> claim_reserved(turn::RelayId id) override;
  void close_relay(turn::RelayId id) override;
  void send_to_client(const turn::FiveTuple& client, ByteView bytes) override;
  void send_to_peer(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) override;
  bool may_answer_unproven(const turn::FiveTuple& client) override;

  Endpoint address_;
  SeededRandom random_;
  Send send_;
  std::unique_ptr<turn::Server> server_;
  std::map<turn::RelayId, Endpoint> relays_;
  std::map<Endpoint, turn::RelayId> by_port_;
  turn::RelayId next_id_ = 1;
  std::uint16_t next_port_ = 50000;
};

}  // namespace higgs::sim
