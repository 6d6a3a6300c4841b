// TURN as the API and the relay see it: who may use it, how, and towards whom. Thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/random.h"
#include "bosonserver/api/turn_control.h"
#include "bosonserver/server/settings.h"
#include "bosonserver/turn/turn_service.h"
#include "bosonserver/turn/turn_sessions.h"

namespace higgs::boson {

class TurnDesk final : public TurnControl {
 public:
  /// Throws std::runtime_error where the secret cannot be read or made. Nothing is offered before start().
  TurnDesk(const ServerSettings& settings, RandomSource& random);
  ~TurnDesk() override;

  bool enabled() const noexcept { return sessions_.has_value(); }
  /// Binds the listeners; null if TURN is not enabled. Throws std::runtime_error where an address cannot be bound.
  /// stun_port() must follow before a request is served.
  TurnService* start(const net::TlsContext& tls, RandomSource& random);
  /// For the connections that come from now on.
  void use(const net::TlsContext& tls);
  void stun_port(std::uint16_t port) { udp_port_ = port; }
  void stop();
  TurnSessions::Counters session_counters() const {
    return sessions_ ? sessions_->counters() : TurnSessions::Counters{};
  }
  const TurnService* service() const noexcept { return service_.get(); }
  TurnSessions* sessions() noexcept { return sessions_ ? &*sessions_ : nullptr; }

  std::vector<api::TurnServer> admit(SessionId session, const std::vector<IpAddress>& node_addresses,
                                     std::int64_t expires_at, std::string_view host, WallTime now) override;
  void renew_session(SessionId session, std::int64_t expires_at) override;
  void close_session(SessionId session) override;

 private:
  const ServerSettings& settings_;
  std::optional<TurnSessions> sessions_;
  std::unique_ptr<TurnService> service_;
  std::uint16_t udp_port_ = 0;
};

}  // namespace higgs::boson
