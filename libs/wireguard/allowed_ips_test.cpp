#include "wireguard/allowed_ips.h"

#include <map>

#include <gtest/gtest.h>

#include "base/random.h"
#include "wireguard/peer.h"

namespace higgs::wireguard {
namespace {

IpPrefix to_prefix(std::string_view text) { return IpPrefix::parse(text).value(); }
IpAddress to_ip(std::string_view text) { return IpAddress::parse(text).value(); }

struct AllowedIpsTest : testing::Test {
  AllowedIps table;
  Peer a{crypto::PublicKey{}};
  Peer b{crypto::PublicKey{}};
  Peer c{crypto::PublicKey{}};
};

TEST_F(AllowedIpsTest, TheLongestPrefixWins) {
  table.insert(to_prefix("0.0.0.0/0"), a);
  table.insert(to_prefix("10.0.0.0/8"), b);
  table.insert(to_prefix("10.1.2.3/32"), c);
  EXPECT_EQ(table.find(to_ip("8.8.8.8")), &a);
  EXPECT_EQ(table.find(to_ip("10.1.2.4")), &b);
  EXPECT_EQ(table.find(to_ip("10.1.2.3")), &c);
  EXPECT_EQ(table.find(to_ip("::1")), nullptr);
}

TEST_F(AllowedIpsTest, FamiliesAreApart) {
  table.insert(to_prefix("::/0"), a);
  EXPECT_EQ(table.find(to_ip("1.2.3.4")), nullptr);
  EXPECT_EQ(table.find(to_ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")), &a);
  table.insert(to_prefix("2001:db8::1/128"), b);
  EXPECT_EQ(table.find(to_ip("2001:db8::1")), &b);
  EXPECT_EQ(table.find(to_ip("2001:db8::2")), &a);
  table.insert(to_prefix("2001:db8:0:0:8000::/65"), c);
  EXPECT_EQ(table.find(to_ip("2001:db8:0:0:8000::1")), &c);
  EXPECT_EQ(table.find(to_ip("2001:db8:0:0:7fff::1")), &a);
}

TEST_F(AllowedIpsTest, APrefixMovesToTheLastThatAskedForIt) {
  EXPECT_EQ(table.insert(to_prefix("10.0.0.0/8"), a), nullptr);
  EXPECT_EQ(table.insert(to_prefix("10.0.0.0/8"), b), &a);
  EXPECT_EQ(table.find(to_ip("10.0.0.1")), &b);
  EXPECT_FALSE(table.remove(to_prefix("10.0.0.0/8"), a)) << "it is not a's any more";
  EXPECT_EQ(table.find(to_ip("10.0.0.1")), &b);
}

TEST_F(AllowedIpsTest, RemovingLeavesNothingBehind) {
  for (const auto* text : {"10.0.0.0/8", "10.128.0.0/9", "10.0.0.0/9", "10.1.0.0/16", "10.1.1.1/32", "0.0.0.0/0"}) {
    table.insert(to_prefix(text), a);
  }
  EXPECT_FALSE(table.remove(to_prefix("10.1.0.0/17"), a));
  for (const auto* text : {"10.0.0.0/8", "10.1.1.1/32", "0.0.0.0/0", "10.128.0.0/9", "10.1.0.0/16", "10.0.0.0/9"}) {
    EXPECT_TRUE(table.remove(to_prefix(text), a)) << text;
    EXPECT_FALSE(table.remove(to_prefix(text), a)) << text;
  }
  EXPECT_EQ(table.node_count(), 0u);
  EXPECT_EQ(table.find(to_ip("10.1.1.1")), nullptr);
}

TEST_F(AllowedIpsTest, AgreesWithAPlainListOnRandomOperations) {
  Peer* const peers[] = {&a, &b, &c};
  for (const bool v4 : {true, false}) {
    SeededRandom random(v4 ? 51 : 52);
    AllowedIps trie;
    std::map<IpPrefix, Peer*> list;
    // Few distinct bits, so that prefixes nest and meet often.
    const auto address = [&] {
      auto bytes = random.array<16>();
      for (std::size_t i = 0; i < 16; ++i) bytes[i] &= i % 5 == 1 ? std::byte{0x83} : std::byte{0};
      ByteArray<4> four{bytes[1], bytes[6], bytes[11], bytes[1]};
      return v4 ? IpAddress::v4(four) : IpAddress::v6(bytes);
    };
    for (int i = 0; i < 4000; ++i) {
      const auto one = IpPrefix::make(address(), static_cast<unsigned>(random.below(v4 ? 33 : 129))).value();
      Peer* const peer = peers[random.below(3)];
      if (random.below(2) == 0) {
        const auto before = list.find(one);
        ASSERT_EQ(trie.insert(one, *peer), before == list.end() ? nullptr : before->second);
        list[one] = peer;
      } else {
        const bool had = list.contains(one) && list[one] == peer;
        ASSERT_EQ(trie.remove(one, *peer), had);
        if (had) list.erase(one);
      }
      const IpAddress sought = address();
      Peer* expected = nullptr;
      int longest = -1;
      for (const auto& [candidate, owner] : list) {
        if (candidate.contains(sought) && static_cast<int>(candidate.length()) > longest) {
          longest = static_cast<int>(candidate.length());
          expected = owner;
        }
      }
      ASSERT_EQ(trie.find(sought), expected);
      ASSERT_LE(trie.node_count(), list.size() * 2);
    }
  }
}

}  // namespace
}  // namespace higgs::wireguard
