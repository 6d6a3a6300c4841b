#include "wireguard/cookies.h"

#include "wireguard/constants.h"

namespace higgs::wireguard {
namespace {

// Section 5.4: "Label-Mac1: the UTF-8 string literal mac1----", "Label-Cookie: … cookie--".
constexpr std::string_view kMac1Label = "mac1----";
constexpr std::string_view kCookieLabel = "cookie--";

SecretBytes<32> labelled_key(std::string_view label, const crypto::PublicKey& key) {
  return SecretBytes<32>(crypto::blake2s({as_bytes(label), key.bytes}));
}

}  // namespace

void CookieChecker::set_own_key(const crypto::PublicKey& key) {
  mac1_key_ = labelled_key(kMac1Label, key);
  reply_key_ = labelled_key(kCookieLabel, key);
}

bool CookieChecker::mac1_valid(ByteView message) const {
  return equal_constant_time(crypto::blake2s_mac16(mac1_key_.reveal(), before_mac1(message)), mac1_of(message));
}

bool CookieChecker::mac2_valid(Instant now, const PeerAddress& from, ByteView message) const {
  if (!secret_made_ || now - *secret_made_ >= kCookieSecretLifetime) return false;
  const auto cookie = cookie_of(from);
  return equal_constant_time(crypto::blake2s_mac16(cookie, before_mac2(message)), mac2_of(message));
}

void CookieChecker::write_reply(Instant now, const PeerAddress& from, ByteView message, std::uint32_t receiver,
                                RandomSource& random, FixedBytes<kCookieReplyBytes> reply) {
  if (!secret_made_ || now - *secret_made_ >= kCookieSecretLifetime) {
    random.fill(secret_.reveal_mutable());
    secret_made_ = now;
  }
  const auto nonce = random.array<24>();
  store_le(reply.data(), static_cast<std::uint32_t>(MessageType::kCookieReply));
  store_le(reply.data() + 4, receiver);
  std::copy(nonce.begin(), nonce.end(), reply.data() + 8);
  crypto::xchacha20poly1305_seal(reply_key_, nonce, mac1_of(message), cookie_of(from), reply.subspan(32));
}

// Section 5.4.7: τ := Mac(Rm, the sender's address and port). A path that is no UDP address is its own address.
crypto::Blake2sMac CookieChecker::cookie_of(const PeerAddress& from) const {
  ByteArray<8 + 16 + 2> address{};
  store_be(address.data(), from.path);
  std::size_t size = 8;
  if (from.path == 0) {
    const ByteView ip = from.endpoint.address.bytes();
    std::copy(ip.begin(), ip.end(), address.begin() + 8);
    store_be(address.data() + 8 + ip.size(), from.endpoint.port);
    size += ip.size() + 2;
  }
  return crypto::blake2s_mac16(secret_.reveal(), ByteView(address).first(size));
}

CookieJar::CookieJar(const crypto::PublicKey& peer)
    : mac1_key_(labelled_key(kMac1Label, peer)), reply_key_(labelled_key(kCookieLabel, peer)) {}

void CookieJar::stamp(Instant now, MutableBytes message) {
  last_mac1_ = crypto::blake2s_mac16(mac1_key_.reveal(), before_mac1(message));
  std::copy(last_mac1_->begin(), last_mac1_->end(), message.end() - 2 * kMacBytes);
  crypto::Blake2sMac mac2{};
  if (cookie_received_ && now - *cookie_received_ < kCookieSecretLifetime - kCookieLatency) {
    mac2 = crypto::blake2s_mac16(cookie_.reveal(), before_mac2(message));
  }
  std::copy(mac2.begin(), mac2.end(), message.end() - kMacBytes);
}

bool CookieJar::accept(Instant now, const CookieReplyView& reply) {
  if (!last_mac1_) return false;
  crypto::XChaChaNonce nonce;
  std::copy(reply.nonce.begin(), reply.nonce.end(), nonce.begin());
  SecretBytes<16> cookie;
  if (!crypto::xchacha20poly1305_open(reply_key_, nonce, *last_mac1_, reply.sealed_cookie, cookie.reveal_mutable())) {
    return false;
  }
  cookie_ = cookie;
  cookie_received_ = now;
  last_mac1_.reset();
  return true;
}

}  // namespace higgs::wireguard
