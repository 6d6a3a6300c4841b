#include "tunnel/demultiplex.h"

#include <gtest/gtest.h>

#include "tunnel/transaction_table.h"

namespace higgs::tunnel {
namespace {

Bytes datagram(std::initializer_list<int> first, std::size_t size) {
  Bytes bytes(size);
  std::transform(first.begin(), first.end(), bytes.begin(), [](int value) { return static_cast<std::byte>(value); });
  return bytes;
}

TEST(Demultiplex, WireguardByItsTypeAndThreeZeros) {
  for (int type = 1; type <= 4; ++type) EXPECT_EQ(classify(datagram({type, 0, 0, 0}, 32)), DatagramKind::kWireguard);
  EXPECT_EQ(classify(datagram({0, 0, 0, 0}, 32)), DatagramKind::kOther);
  EXPECT_EQ(classify(datagram({5, 0, 0, 0}, 32)), DatagramKind::kOther);
  for (const auto& bad : {datagram({4, 1, 0, 0}, 32), datagram({4, 0, 1, 0}, 32), datagram({4, 0, 0, 1}, 32)})
    EXPECT_EQ(classify(bad), DatagramKind::kOther);
}

TEST(Demultiplex, StunByItsCookie) {
  EXPECT_EQ(classify(datagram({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20)), DatagramKind::kStun);
  EXPECT_EQ(classify(datagram({1, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20)), DatagramKind::kStun);
  EXPECT_EQ(classify(datagram({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43}, 20)), DatagramKind::kOther);
  EXPECT_EQ(classify(datagram({0x40, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20)), DatagramKind::kOther) << "ChannelData";
}

TEST(Demultiplex, WireguardWithTheCookieAsReceiverIndexStaysWireguard) {
  EXPECT_EQ(classify(datagram({4, 0, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 32)), DatagramKind::kWireguard);
}

TEST(Demultiplex, ShortOnesAreNothing) {
  EXPECT_EQ(classify({}), DatagramKind::kOther);
  EXPECT_EQ(classify(datagram({4, 0, 0}, 3)), DatagramKind::kOther);
  EXPECT_EQ(classify(datagram({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 19)), DatagramKind::kOther);
}

stun::TransactionId id_of(std::uint32_t set, std::uint8_t rest) {
  stun::TransactionId id{};
  std::memcpy(id.data(), &set, sizeof(set));
  id[11] = std::byte{rest};
  return id;
}

TEST(TransactionTable, FindsTheOwner) {
  TransactionTable table;
  EXPECT_FALSE(table.find(id_of(0, 0))) << "a free entry is nobody's";
  table.add(id_of(1, 1), 7);
  table.add(id_of(1, 2), 8);
  table.add(id_of(2, 1), 9);
  EXPECT_EQ(table.find(id_of(1, 1)), 7u);
  EXPECT_EQ(table.find(id_of(1, 2)), 8u);
  EXPECT_EQ(table.find(id_of(2, 1)), 9u);
  EXPECT_FALSE(table.find(id_of(1, 3)));
}

TEST(TransactionTable, TheOldestOfAFullSetGoes) {
  TransactionTable table;
  for (std::uint8_t i = 0; i < 5; ++i) table.add(id_of(3, i), i);
  EXPECT_FALSE(table.find(id_of(3, 0)));
  for (std::uint8_t i = 1; i < 5; ++i) EXPECT_EQ(table.find(id_of(3, i)), i);
}

}  // namespace
}  // namespace higgs::tunnel
