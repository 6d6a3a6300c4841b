// One allocation (RFC 8656, section 3.2): its relayed addresses, and who of the peers may speak through it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/token_bucket.h"
#include "stun/integrity.h"
#include "turn/turn_protocol.h"
#include "turn/turn_server.h"

namespace higgs::turn {

class Allocation {
 public:
  struct Relay {
    RelayId id = 0;
    Endpoint relayed;
    Instant expires;
  };
  struct Channel {
    std::uint16_t number = 0;
    Endpoint peer;
    Instant expires;
  };
  enum class Binding { kDone, kConflict, kFull };

  Allocation(Instant now, const FiveTuple& client, std::string user, stun::IntegrityKey key,
             const ServerLimits& limits);

  const FiveTuple& client() const noexcept { return client_; }
  const std::string& user() const noexcept { return user_; }
  const stun::IntegrityKey& key() const noexcept { return key_; }

  /// By family; at most one of each.
  std::optional<Relay>& relay(bool ipv6) noexcept { return relays_[ipv6 ? 1 : 0]; }
  const std::optional<Relay>& relay(bool ipv6) const noexcept { return relays_[ipv6 ? 1 : 0]; }
  bool empty() const noexcept { return !relays_[0] && !relays_[1]; }
  std::optional<Instant> next_expiry() const noexcept;

  /// Whether a permission stands (section 9). They count by address; ports do not matter.
  bool permitted(Instant now, const IpAddress& peer) const noexcept;
  /// Whether so many more permissions, for addresses without one, would fit. Drops what has expired.
  bool room_for(Instant now, std::size_t permissions);
  /// Installs or renews. False: no room.
  bool permit(Instant now, const IpAddress& peer);

  /// Section 12.2: a number belongs to one peer, and a peer to one number, until the binding expires.
  Binding bind(Instant now, std::uint16_t number, const Endpoint& peer);
  const Channel* channel_of(Instant now, const Endpoint& peer) const noexcept;
  const Channel* channel(Instant now, std::uint16_t number) const noexcept;

  /// False: over the rate of that direction.
  bool take_to_peer(Instant now, std::size_t bytes) noexcept { return !to_peer_ || to_peer_->take(now, double(bytes)); }
  bool take_to_client(Instant now, std::size_t bytes) noexcept {
    return !to_client_ || to_client_->take(now, double(bytes));
  }

  // What the answer to the Allocate request said, for the same answer to the same request.
  stun::TransactionId allocated_by{};
  std::chrono::seconds granted{};
  std::optional<std::uint64_t> reservation;
  struct Missing {
    bool ipv6 = false;
    ErrorNumber error{};
  };
  std::optional<Missing> missing;  ///< the one of two families that could not be had
  std::optional<Instant> armed;    ///< when the server looks at it next

 private:
  struct Permission {
    IpAddress peer;
    Instant expires;
  };
  FiveTuple client_;
  std::string user_;
  stun::IntegrityKey key_;
  const ServerLimits& limits_;
  std::array<std::optional<Relay>, 2> relays_;
  std::vector<Permission> permissions_;
  std::vector<Channel> channels_;
  std::optional<TokenBucket> to_peer_, to_client_;
};

}  // namespace higgs::turn
