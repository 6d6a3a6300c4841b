// The inside of a Server; sources: turn_server.cpp (dispatch, time, what stands), server_auth.cpp (who asks, and the
// answers), server_allocate.cpp, server_requests.cpp (the other requests), server_data.cpp (what is relayed).
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "stun/message.h"
#include "turn/allocation.h"
#include "turn/nonce_mint.h"
#include "turn/turn_protocol.h"
#include "turn/turn_server.h"

namespace higgs::turn {

class Server::Impl {
 public:
  Impl(Options options, Authority& authority, ServerOutput& output, RandomSource& random);

  bool on_client(Now now, const FiveTuple& from, ByteView message);
  void on_peer(Instant now, RelayId relay, const Endpoint& peer, ByteView payload);
  void on_client_gone(const FiveTuple& client);
  void revoke(std::string_view username);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::size_t allocations() const noexcept { return allocations_.size(); }
  bool stands(const FiveTuple& client) const noexcept { return allocations_.contains(client); }
  const ServerCounters& counters() const noexcept { return counters_; }

 private:
  struct Request {
    Now now;
    const FiveTuple& from;
    ByteView bytes;
    const stun::Message& message;
    Allocation* allocation;  ///< of that 5-tuple; null: none
  };
  /// Who asks, beyond doubt.
  struct Caller {
    std::string user;
    stun::IntegrityKey key;
    bool sha256 = false;  ///< how the request was protected, and so the answer
  };
  /// What an Allocate request asks for.
  struct Wanted {
    bool ipv4 = true, ipv6 = false;  ///< both: with ADDITIONAL-ADDRESS-FAMILY
    bool even = false, reserve = false;
    std::optional<std::uint64_t> token;
  };
  /// The port behind an even one (RFC 8656, section 7.2), until somebody comes with the token.
  struct Reservation {
    std::uint64_t token = 0;
    RelayId relay = 0;
    std::string user;
    Instant expires;
  };
  struct TupleHash {
    std::size_t operator()(const FiveTuple& tuple) const noexcept;
  };

  // turn_server.cpp
  Allocation* find(const FiveTuple& tuple);
  void handle_request(const Request& request);
  void arm(Allocation& allocation);
  void close_relay(Allocation& allocation, bool ipv6);
  void remove(Allocation& allocation);
  void drop_reservation(const Reservation& reservation);
  void leave(const std::string& user);

  // server_auth.cpp
  std::optional<Caller> authenticate(const Request& request);
  std::optional<stun::IntegrityKey> key_of(const Request& request, std::string_view user);
  void answer_unproven(const Request& request, ErrorNumber error);
  bool refuse_unknown(const Request& request, const Caller& caller);
  stun::MessageBuilder success(const Request& request);
  void finish(const Request& request, const Caller& caller, stun::MessageBuilder& builder);
  void fail(const Request& request, const Caller& caller, ErrorNumber error);
  void count(ErrorNumber error);

  // server_allocate.cpp
  void allocate(const Request& request, const Caller& caller);
  std::optional<ErrorNumber> read_wanted(const stun::Message& message, Wanted& wanted) const;
  std::optional<ErrorNumber> check_quota(const std::string& user, const Wanted& wanted) const;
  std::optional<ErrorNumber> open(Instant now, Allocation& allocation, const Wanted& wanted);
  std::optional<ErrorNumber> open_family(Instant now, Allocation& allocation, bool ipv6, const Wanted& wanted);
  std::optional<ErrorNumber> claim(Instant now, Allocation& allocation, std::uint64_t token);
  void answer_allocate(const Request& request, const Caller& caller, const Allocation& allocation);
  std::chrono::seconds lifetime_of(const stun::Message& message) const;

  // server_requests.cpp
  void refresh(const Request& request, const Caller& caller);
  void create_permission(const Request& request, const Caller& caller);
  void bind_channel(const Request& request, const Caller& caller);
  std::optional<ErrorNumber> refresh_now(const Request& request, std::chrono::seconds& granted);
  std::optional<ErrorNumber> permit_now(const Request& request);
  std::optional<ErrorNumber> bind_now(const Request& request);
  std::optional<ErrorNumber> check_peer(const Allocation& allocation, const Endpoint& peer);

  // server_data.cpp
  void on_channel_data(Instant now, const FiveTuple& from, ByteView message);
  void on_send(Instant now, const FiveTuple& from, const stun::Message& message);
  void relay_to_peer(Instant now, Allocation& allocation, const Endpoint& peer, ByteView data, bool dont_fragment);
  ByteView as_channel_data(const Allocation& allocation, std::uint16_t channel, ByteView data);
  ByteView as_indication(const Endpoint& peer, ByteView data);

  const Options options_;
  Authority& authority_;
  ServerOutput& output_;
  RandomSource& random_;
  const NonceMint nonces_;
  ServerCounters counters_;
  std::unordered_map<FiveTuple, std::unique_ptr<Allocation>, TupleHash> allocations_;
  std::unordered_map<RelayId, Allocation*> relays_;
  std::unordered_map<std::string, std::size_t> users_;  ///< allocations and reservations
  std::deque<Reservation> reservations_;                ///< oldest first
  std::set<std::pair<Instant, Allocation*>> expiries_;
  stun::TransactionId next_indication_{};
  ByteArray<68 * 1024> scratch_;  ///< what is being sent
};

}  // namespace higgs::turn
