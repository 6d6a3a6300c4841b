// The TURN server (RFC 8656): over UDP on the STUN server's ports and thread, and over TCP and TLS on listeners of its
// own, which that thread serves too.
//
// Threads: made and destroyed on one; DatagramSink's calls come from the STUN server; the rest from any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/random.h"
#include "base/result.h"
#include "bosonserver/stun/datagram_sink.h"
#include "bosonserver/stun/source_limiter.h"
#include "bosonserver/turn/relay_ports.h"
#include "bosonserver/turn/stream_server.h"
#include "net/tls_stream.h"
#include "turn/turn_server.h"

namespace higgs::boson {

struct TurnOptions {
  turn::Server::Options server;      ///< ipv4, ipv6: whether a relay_address of that family, or any of the host, exists
  std::optional<Endpoint> tcp, tls;  ///< unset: not offered
  std::optional<net::TlsContext> context;  ///< for tls
  /// Where relayed ports are opened, one of each family at most; a family without one: the address that the client
  /// reached us at.
  std::vector<IpAddress> relay_addresses;
  /// What peers see instead, where the host stands behind a one-to-one NAT.
  std::vector<IpAddress> external_addresses;
  PortRange ports;
  StreamLimits streams;
  SourceLimits unproven;  ///< answers to sources that have proven nothing
};

struct TurnStats {
  std::size_t allocations = 0, connections = 0;
  turn::ServerCounters server;
  RelayPortCounters ports;
  StreamCounters streams;
};

class TurnService final : public DatagramSink,
                          private turn::ServerOutput,
                          private RelayPorts::Owner,
                          private StreamServer::Owner {
 public:
  /// Binds the listeners. `authority` and `random` outlive the service. Errors: errno in the generic category.
  static Result<std::unique_ptr<TurnService>> make(TurnOptions options, turn::Authority& authority,
                                                   RandomSource& random);
  ~TurnService() override;

  std::optional<Endpoint> tcp() const;
  std::optional<Endpoint> tls() const;
  /// TLS connections that come soon after are served with this.
  void use(const net::TlsContext& context);
  /// Ends the allocations of that user, soon.
  void revoke(const std::string& username);
  /// As of the end of the last turn of the loop.
  TurnStats stats() const;

  void attach(net::EventLoop& loop, DatagramSender& sender) override;
  void detach() noexcept override;
  bool on_datagram(const Endpoint& client, const Endpoint& local, MutableBytes datagram) override;

 private:
  TurnService(TurnOptions options, turn::Authority& authority, RandomSource& random);

  std::optional<Opened> open_relay(const turn::FiveTuple& client, bool ipv6, bool even, bool reserve) override;
  std::optional<Endpoint> claim_reserved(turn::RelayId id) override;
  void close_relay(turn::RelayId id) override;
  void send_to_client(const turn::FiveTuple& client, ByteView bytes) override;
  void send_to_peer(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) override;
  bool may_answer_unproven(const turn::FiveTuple& client) override;
  void on_peer_packet(turn::RelayId relay, const Endpoint& peer, ByteView payload) override;
  bool on_stream_message(const turn::FiveTuple& client, ByteView message) override;
  void on_stream_gone(const turn::FiveTuple& client) override;
  bool stands(const turn::FiveTuple& client) const override;
  bool answer_binding(const turn::FiveTuple& client, ByteView message);
  StreamServer* stream_of(const turn::FiveTuple& client);
  void end_of_turn();
  void arm_timer();

  TurnOptions options_;
  turn::Server server_;
  RandomSource& random_;
  SourceLimiter unproven_;
  std::unique_ptr<StreamServer> tcp_, tls_;
  std::optional<RelayPorts> ports_;
  DatagramSender* sender_ = nullptr;
  std::optional<Instant> timer_at_;
  net::EventLoop::TimerId timer_ = 0;
  std::uint64_t end_of_turn_ = 0;
  mutable std::mutex mutex_;
  net::EventLoop* loop_ = nullptr;  // changed under mutex_
  TurnStats stats_;                 // guarded by mutex_
};

}  // namespace higgs::boson
