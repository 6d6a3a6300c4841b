// Nonces of the long-term credentials (RFC 8489, section 9.2) that need no memory: the time until which one is good,
// and a MAC of that time and of the client's 5-tuple. Whoever presents one has shown that he receives what is sent
// there.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "turn/turn_server.h"

namespace higgs::turn {

class NonceMint {
 public:
  /// Characters of a nonce.
  static constexpr std::size_t kTextBytes = 20;

  NonceMint(std::chrono::seconds lifetime, RandomSource& random);
  std::string make(Instant now, const FiveTuple& client) const;
  /// One of ours, for this client, and not too old.
  bool good(Instant now, const FiveTuple& client, std::string_view nonce) const;

 private:
  std::string make_for(std::uint32_t second, const FiveTuple& client) const;

  std::chrono::seconds lifetime_;
  SecretBytes<32> key_;
};

}  // namespace higgs::turn
