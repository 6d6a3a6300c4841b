#include "tunnel/checksum.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace higgs::tunnel {
namespace {

TEST(Checksum, ExampleOfRfc1071) {
  // RFC 1071 section 3: the sum of these is ddf2 in network order.
  const Bytes bytes = *from_hex("0001f203f4f5f6f7");
  const std::uint16_t sum = checksum_fold(checksum_portable(0, nullptr, bytes));
  ByteArray<2> stored;
  store_checksum(stored.data(), sum);
  EXPECT_EQ(to_hex(stored), "ddf2");
}

TEST(Checksum, FastVersionsAgreeWithThePortableOneAtEveryLengthAndAlignment) {
  SeededRandom random(1);
  Bytes source(2048), target(2048);
  random.fill(source);
  for (std::size_t length = 0; length < 300; ++length) {
    for (std::size_t shift = 0; shift < 4; ++shift) {
      const ByteView from = ByteView(source).subspan(shift, length);
      const auto expected = checksum_fold(checksum_portable(5, nullptr, from));
      EXPECT_EQ(checksum_fold(checksum_add(5, from)), expected);
      target.assign(target.size(), std::byte{0xee});
      EXPECT_EQ(checksum_fold(checksum_copy(5, target.data() + 1, from)), expected);
      EXPECT_TRUE(std::equal(from.begin(), from.end(), target.begin() + 1));
      EXPECT_EQ(target[length + 1], std::byte{0xee});  // nothing behind the end
      target.assign(target.size(), std::byte{0});
      EXPECT_EQ(checksum_fold(checksum_portable(5, target.data(), from)), expected);
      EXPECT_TRUE(std::equal(from.begin(), from.end(), target.begin()));
    }
  }
}

TEST(Checksum, LargestInputDoesNotOverflow) {
  const Bytes ones(65535, std::byte{0xff});
  EXPECT_EQ(checksum_fold(checksum_add(0, ones)), checksum_fold(checksum_portable(0, nullptr, ones)));
  EXPECT_EQ(checksum_fold(checksum_add(0, ByteView(ones).first(65534))), 0xffff);
}

TEST(Checksum, SumsOfEvenPiecesAddUp) {
  SeededRandom random(2);
  Bytes bytes(401);
  random.fill(bytes);
  const ByteView view(bytes);
  EXPECT_EQ(checksum_fold(checksum_add(checksum_add(0, view.first(38)), view.subspan(38))),
            checksum_fold(checksum_add(0, view)));
}

}  // namespace
}  // namespace higgs::tunnel
