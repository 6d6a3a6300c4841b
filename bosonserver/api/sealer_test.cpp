#include "bosonserver/api/sealer.h"

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

TEST(Sealer, OnlyKeyAndContextOpen) {
  SeededRandom random(7);
  const auto raw = random.array<32>();
  const Sealer sealer(SealingKey(raw), random), stranger(SealingKey(random.array<32>()), random);
  const std::string plain = "twenty bytes of this";
  auto sealed = sealer.seal("totp:a", as_bytes(plain));
  EXPECT_NE(sealed, sealer.seal("totp:a", as_bytes(plain))) << "a nonce of its own each time";

  ByteArray<20> out{};
  ASSERT_TRUE(sealer.open("totp:a", sealed, out));
  EXPECT_EQ(as_text(out), plain);
  EXPECT_FALSE(sealer.open("totp:b", sealed, out)) << "another user's";
  EXPECT_FALSE(stranger.open("totp:a", sealed, out));
  EXPECT_FALSE(sealer.open("totp:a", ByteView(sealed).first(sealed.size() - 1), out));
  EXPECT_FALSE(sealer.open("totp:a", {}, out));
  sealed.back() ^= std::byte{1};
  EXPECT_FALSE(sealer.open("totp:a", sealed, out));
}

}  // namespace
}  // namespace higgs::boson
