#include "wireguard/handshake.h"

#include <gtest/gtest.h>

#include "wireguard/cookies.h"

namespace higgs::wireguard {
namespace {

/// Gives the bytes it was made with.
class ScriptedRandom final : public RandomSource {
 public:
  explicit ScriptedRandom(std::byte value) : value_(value) {}
  void fill(MutableBytes out) noexcept override { std::fill(out.begin(), out.end(), value_); }

 private:
  std::byte value_;
};

LocalIdentity identity_of(unsigned value) {
  ScriptedRandom random(static_cast<std::byte>(value));
  LocalIdentity identity;
  identity.private_key = crypto::make_private_key(random);
  identity.public_key = crypto::public_key_of(identity.private_key);
  return identity;
}

RemoteIdentity remote_of(const LocalIdentity& local, const LocalIdentity& remote, const SecretBytes<32>& psk) {
  return {remote.public_key, psk, crypto::x25519(local.private_key, remote.public_key)};
}

SecretBytes<32> counting_key() {
  SecretBytes<32> key;
  for (std::size_t i = 0; i < 32; ++i) key.reveal_mutable()[i] = static_cast<std::byte>(i);
  return key;
}

struct Handshake : ::testing::Test {
  LocalIdentity initiator = identity_of(0x11);
  LocalIdentity responder = identity_of(0x22);
  RemoteIdentity to_responder = remote_of(initiator, responder, counting_key());
  RemoteIdentity to_initiator = remote_of(responder, initiator, counting_key());
  Tai64n timestamp;
  ByteArray<kInitiationBytes> initiation{};
  ByteArray<kResponseBytes> response{};

  std::optional<InitiatorState> initiate() {
    from_hex("400000005a5b5c5d05000000", timestamp.bytes);
    ScriptedRandom random(std::byte{0x33});
    return write_initiation(initiator, to_responder, 0x01020304, timestamp, random, initiation);
  }
  std::optional<TransportKeys> respond() {
    const auto view = parse_initiation(initiation);
    auto reader = InitiationReader::begin(responder, *view);
    if (!reader || !reader->finish(to_initiator, *view)) return std::nullopt;
    ScriptedRandom random(std::byte{0x44});
    return reader->write_response(to_initiator, 0xa1a2a3a4, view->sender, random, response);
  }
};

TEST_F(Handshake, ConstantsAreThoseOfEveryWireGuard) {
  const SymmetricState state = initial_state();
  EXPECT_EQ(to_hex(state.chaining_key.reveal()), "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
  EXPECT_EQ(to_hex(state.hash), "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
}

// Both messages and both keys as a Python program computes them from the paper, with hashlib and cryptography.
TEST_F(Handshake, MessagesAndKeysAgreeWithAnIndependentImplementation) {
  const auto state = initiate();
  ASSERT_TRUE(state);
  EXPECT_EQ(to_hex(ByteView(initiation).first(116)),
            "01000000040302017b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b1481e498317da959fba46669572"
            "516a5e6c021bfa620bb6c56ca0082e1feae14988c2c64d024c617734a263f76a008df04d0f94badb1eff39fe4c269553c1a467d61"
            "e139bada02178a4cc56a52");
  const auto responder_keys = respond();
  ASSERT_TRUE(responder_keys);
  EXPECT_EQ(to_hex(ByteView(response).first(60)),
            "02000000a4a3a2a104030201ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b27167f9383b236126"
            "806a904b8de905e");
  const auto initiator_keys = read_response(initiator, to_responder, *state, *parse_response(response));
  ASSERT_TRUE(initiator_keys);
  EXPECT_EQ(to_hex(initiator_keys->send.reveal()), "870ea0fffff57deb751f6fc7b30b0d26e672da21a0220f4869266c9df64e8ffc");
  EXPECT_EQ(to_hex(initiator_keys->receive.reveal()),
            "4dc2b0020d17e7ceb0d34eb369c5da695190a92fd30eee6d12db56f49a9f7aae");
  EXPECT_TRUE(initiator_keys->send == responder_keys->receive);
  EXPECT_TRUE(initiator_keys->receive == responder_keys->send);
}

TEST_F(Handshake, Mac1AgreesWithAnIndependentImplementation) {
  ASSERT_TRUE(initiate());
  CookieJar jar(responder.public_key);
  jar.stamp(Instant{}, initiation);
  EXPECT_EQ(to_hex(mac1_of(initiation)), "98e36750c5127d06d7ead01f88e67158");
}

TEST_F(Handshake, ResponderLearnsWhoAndWhen) {
  ASSERT_TRUE(initiate());
  const auto view = parse_initiation(initiation);
  auto reader = InitiationReader::begin(responder, *view);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->initiator(), initiator.public_key);
  EXPECT_EQ(reader->finish(to_initiator, *view), timestamp);
}

TEST_F(Handshake, EachChangedByteOfAnInitiationIsNoticed) {
  ASSERT_TRUE(initiate());
  for (std::size_t i = 8; i < 116; ++i) {
    initiation[i] ^= std::byte{1};
    const auto view = parse_initiation(initiation);
    auto reader = InitiationReader::begin(responder, *view);
    EXPECT_FALSE(reader && reader->finish(to_initiator, *view)) << i;
    initiation[i] ^= std::byte{1};
  }
}

TEST_F(Handshake, EachChangedByteOfAResponseIsNoticedAndTheTrueOneStillWorks) {
  const auto state = initiate();
  ASSERT_TRUE(respond());
  for (std::size_t i = 12; i < 60; ++i) {
    // The top bit of a Curve25519 coordinate is ignored by the curve but not by the hash.
    response[i] ^= std::byte{0x80};
    EXPECT_FALSE(read_response(initiator, to_responder, *state, *parse_response(response))) << i;
    response[i] ^= std::byte{0x80};
  }
  EXPECT_TRUE(read_response(initiator, to_responder, *state, *parse_response(response)));
}

TEST_F(Handshake, AnotherPresharedKeyFails) {
  const auto state = initiate();
  to_initiator.preshared_key = SecretBytes<32>();
  ASSERT_TRUE(respond());
  EXPECT_FALSE(read_response(initiator, to_responder, *state, *parse_response(response)));
}

TEST_F(Handshake, MeantForAnotherIsRefused) {
  ASSERT_TRUE(initiate());
  EXPECT_FALSE(InitiationReader::begin(identity_of(0x77), *parse_initiation(initiation)));
}

TEST_F(Handshake, PretendingToBeAnotherPeerFails) {
  // Mallory knows the initiator's public key and the responder's, and puts the former into her own initiation.
  LocalIdentity mallory = identity_of(0x66);
  mallory.public_key = initiator.public_key;
  const RemoteIdentity target = remote_of(mallory, responder, counting_key());
  ScriptedRandom random(std::byte{0x33});
  ASSERT_TRUE(write_initiation(mallory, target, 1, timestamp, random, initiation));
  const auto view = parse_initiation(initiation);
  auto reader = InitiationReader::begin(responder, *view);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->initiator(), initiator.public_key);
  EXPECT_FALSE(reader->finish(to_initiator, *view));
}

TEST_F(Handshake, LowOrderKeysNeverComplete) {
  const crypto::PublicKey zero;
  EXPECT_FALSE(crypto::x25519(initiator.private_key, zero));
  to_responder.static_shared.reset();
  EXPECT_FALSE(initiate());

  to_responder = remote_of(initiator, responder, counting_key());
  ASSERT_TRUE(initiate());
  std::fill_n(initiation.begin() + 8, 32, std::byte{0});
  EXPECT_FALSE(InitiationReader::begin(responder, *parse_initiation(initiation)));

  const auto state = initiate();
  ASSERT_TRUE(respond());
  std::fill_n(response.begin() + 12, 32, std::byte{0});
  EXPECT_FALSE(read_response(initiator, to_responder, *state, *parse_response(response)));
}

}  // namespace
}  // namespace higgs::wireguard
