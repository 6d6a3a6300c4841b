#include "turn/nonce_mint.h"

#include "base/base64.h"
#include "crypto/hash.h"

namespace higgs::turn {

namespace {
constexpr std::size_t kTimeBytes = 4;
constexpr std::size_t kMacBytes = 11;  ///< 88 bits: guessed online, one try a packet

std::uint32_t second_of(Instant now) noexcept {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
}
}  // namespace

NonceMint::NonceMint(std::chrono::seconds lifetime, RandomSource& random) : lifetime_(lifetime) {
  random.fill(key_.reveal_mutable());
}

std::string NonceMint::make_for(std::uint32_t second, const FiveTuple& client) const {
  ByteWriter text;
  text.be(second);
  text.be(static_cast<std::uint8_t>(client.transport));
  text.be(client.client.port);
  text.bytes(client.client.address.bytes());
  const auto mac = crypto::hmac_sha256(key_.reveal(), text.view());
  ByteArray<kTimeBytes + kMacBytes> nonce;
  store_be(nonce.data(), second);
  std::copy_n(mac.begin(), kMacBytes, nonce.begin() + kTimeBytes);
  return to_base64url(nonce);
}

std::string NonceMint::make(Instant now, const FiveTuple& client) const {
  return make_for(second_of(now) + static_cast<std::uint32_t>(lifetime_.count()), client);
}

bool NonceMint::good(Instant now, const FiveTuple& client, std::string_view nonce) const {
  if (nonce.size() != kTextBytes) return false;
  const auto bytes = from_base64url(nonce);
  if (!bytes || bytes->size() != kTimeBytes + kMacBytes) return false;
  const auto until = load_be<std::uint32_t>(bytes->data());
  return until > second_of(now) && equal_constant_time(as_bytes(make_for(until, client)), as_bytes(nonce));
}

}  // namespace higgs::turn
