// The Binding requests and responses of connectivity checks (RFC 8445, section 7.1; RFC 8489): built and read.
//
//   request    USERNAME, PRIORITY, ICE-CONTROLLING or ICE-CONTROLLED, [NOMINATION], MESSAGE-INTEGRITY, FINGERPRINT
//   response   XOR-MAPPED-ADDRESS, [NOMINATION], MESSAGE-INTEGRITY, FINGERPRINT
//   conflict   ERROR-CODE 487, MESSAGE-INTEGRITY, FINGERPRINT
//
// NOMINATION is 32 bits: the epoch since which the sender uses the pair (request), or its own path (response).
#pragma once

#include <optional>
#include <string_view>

#include "ice/agent.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace higgs::ice {

inline constexpr unsigned kRoleConflict = 487;  // RFC 8445, section 7.3.1.1

struct CheckRequest {
  std::string_view local_ufrag, remote_ufrag;
  std::uint32_t priority = 0;
  Role role = Role::kControlling;
  std::uint64_t tie_breaker = 0;
  std::uint32_t epoch = 0;  ///< 0: left out
};
Bytes make_request(const stun::TransactionId& transaction, const CheckRequest& request, const stun::IntegrityKey& key);
Bytes make_response(const stun::TransactionId& transaction, const Endpoint& mapped, std::uint32_t epoch,
                    const stun::IntegrityKey& key);
Bytes make_conflict(const stun::TransactionId& transaction, const stun::IntegrityKey& key);

/// What a request says once its integrity is known; views into it.
struct ReceivedCheck {
  std::uint32_t priority = 0;
  std::optional<Role> role;  ///< of the sender
  std::uint64_t tie_breaker = 0;
  std::uint32_t epoch = 0;
};
/// nullopt: an attribute is missing, contradicts another, or must be understood and is not.
std::optional<ReceivedCheck> read_request(const stun::Message& message) noexcept;

/// USERNAME of a request: who it is for and from.
struct Username {
  std::string_view local, remote;
};
std::optional<Username> read_username(const stun::Message& message) noexcept;

}  // namespace higgs::ice
