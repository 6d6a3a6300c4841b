#include "crypto/aead_batch.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "crypto/aead_backends.h"

namespace higgs::crypto {
namespace {

class AeadBatchTest : public testing::TestWithParam<AeadBackend> {
 protected:
  void SetUp() override {
    batch_ = make_aead_batch(GetParam());
    if (!batch_) {
      // Missing is an excuse, wrong answers are none.
      ASSERT_EQ(GetParam(), AeadBackend::kIpsecMb);
      ASSERT_FALSE(detail::make_ipsec_mb_batch()) << "it is here and was refused for its answers";
      GTEST_SKIP() << "not on this machine";
    }
    random_.fill(key_.reveal_mutable());
  }
  SeededRandom random_{11};
  AeadKey key_;
  std::unique_ptr<AeadBatch> batch_;
};

TEST_P(AeadBatchTest, AgreesWithTheReferenceForAllLengths) {
  // More packets than a back end keeps in flight at once.
  std::vector<Bytes> buffers;
  std::vector<Bytes> plain;
  std::vector<AeadPacket> packets;
  for (std::uint32_t length = 0; length < 600; ++length) {
    Bytes buffer(length + kAeadTagBytes);
    random_.fill(MutableBytes(buffer).first(length));
    plain.emplace_back(buffer.begin(), buffer.begin() + length);
    buffers.push_back(std::move(buffer));
    packets.push_back({buffers.back().data(), length, false, random_.u64()});
  }
  batch_->seal(key_, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    ASSERT_TRUE(packets[i].valid);
    Bytes expected(plain[i].size() + kAeadTagBytes);
    chacha20poly1305_seal(key_, packets[i].counter, {}, plain[i], expected);
    ASSERT_EQ(buffers[i], expected) << "length " << i;
  }
  batch_->open(key_, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    ASSERT_TRUE(packets[i].valid);
    ASSERT_TRUE(std::equal(plain[i].begin(), plain[i].end(), buffers[i].begin()));
  }
}

TEST_P(AeadBatchTest, EachForgedPacketFailsAloneAndIsWiped) {
  constexpr std::uint32_t kLength = 100;
  std::vector<Bytes> buffers(kLength + kAeadTagBytes, Bytes(kLength + kAeadTagBytes, std::byte{0x55}));
  std::vector<AeadPacket> packets;
  for (auto& buffer : buffers) packets.push_back({buffer.data(), kLength, false, packets.size()});
  batch_->seal(key_, packets);
  for (std::size_t i = 0; i < packets.size(); i += 2) buffers[i][i] ^= std::byte{0x10};  // every other one
  batch_->open(key_, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(packets[i].valid, i % 2 == 1) << i;
    const auto expected = i % 2 == 1 ? std::byte{0x55} : std::byte{0};
    EXPECT_TRUE(std::all_of(buffers[i].begin(), buffers[i].begin() + kLength, [&](auto b) { return b == expected; }));
  }
}

TEST_P(AeadBatchTest, BytesAroundThePacketStayUntouched) {
  for (const std::uint32_t length : {0u, 1u, 15u, 17u, 63u, 200u, 1424u}) {
    Bytes buffer(length + kAeadTagBytes + 64, std::byte{0xa5});
    AeadPacket packet{buffer.data() + 32, length, false, 1};
    batch_->seal(key_, {&packet, 1});
    ASSERT_TRUE(packet.valid);
    batch_->open(key_, {&packet, 1});
    ASSERT_TRUE(packet.valid);
    const auto untouched = [](auto b) { return b == std::byte{0xa5}; };
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.begin() + 32 + length, untouched)) << length;
    EXPECT_TRUE(std::all_of(buffer.end() - 32, buffer.end(), untouched)) << length;
  }
}

TEST_P(AeadBatchTest, TheWrongKeyOpensNothing) {
  Bytes buffer(64 + kAeadTagBytes);
  AeadPacket packet{buffer.data(), 64, false, 5};
  batch_->seal(key_, {&packet, 1});
  AeadKey other = key_;
  other.reveal_mutable()[31] ^= std::byte{1};
  batch_->open(other, {&packet, 1});
  EXPECT_FALSE(packet.valid);
}

INSTANTIATE_TEST_SUITE_P(Backends, AeadBatchTest,
                         testing::Values(AeadBackend::kIpsecMb, AeadBackend::kComposedOpenSsl, AeadBackend::kOpenSsl),
                         [](const auto& parameter) {
                           switch (parameter.param) {
                             case AeadBackend::kIpsecMb:
                               return "IpsecMb";
                             case AeadBackend::kComposedOpenSsl:
                               return "ComposedOpenSsl";
                             default:
                               return "OpenSsl";
                           }
                         });

/// Answers right but for one fault, to see that the check at start would notice.
class FaultyBatch final : public AeadBatch {
 public:
  enum class Fault { kWrongText, kAcceptsAll, kRefusesAll };
  explicit FaultyBatch(Fault fault) : fault_(fault), inner_(make_aead_batch(AeadBackend::kOpenSsl)) {}
  std::string_view name() const noexcept override { return "faulty"; }
  void seal(const AeadKey& key, std::span<AeadPacket> packets) noexcept override {
    inner_->seal(key, packets);
    if (fault_ == Fault::kWrongText) packets.back().data[0] ^= std::byte{1};
  }
  void open(const AeadKey& key, std::span<AeadPacket> packets) noexcept override {
    inner_->open(key, packets);
    for (auto& packet : packets) {
      if (fault_ != Fault::kWrongText) packet.valid = fault_ == Fault::kAcceptsAll;
    }
  }

 private:
  Fault fault_;
  std::unique_ptr<AeadBatch> inner_;
};

TEST(AeadBatchChoice, TheCheckAtStartNoticesEachFault) {
  for (const auto fault :
       {FaultyBatch::Fault::kWrongText, FaultyBatch::Fault::kAcceptsAll, FaultyBatch::Fault::kRefusesAll}) {
    FaultyBatch batch(fault);
    EXPECT_FALSE(gives_known_answers(batch));
  }
}

TEST(AeadBatchChoice, SomeBackendAlwaysWorks) {
  const auto batch = make_best_aead_batch();
  ASSERT_TRUE(batch);
  EXPECT_TRUE(gives_known_answers(*batch));
  EXPECT_EQ(preferred_aead_backends().size(), 3u);
  EXPECT_TRUE(make_aead_batch(AeadBackend::kOpenSsl));
  EXPECT_TRUE(make_aead_batch(AeadBackend::kComposedOpenSsl));
}

}  // namespace
}  // namespace higgs::crypto
