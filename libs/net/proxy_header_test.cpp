#include "net/proxy_header.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace higgs::net {
namespace {

using HeaderState = ProxyHeaderReader::State;

const std::string kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};

std::string v2(char command, char family, std::string_view rest) {
  return kSignature + command + family + static_cast<char>(rest.size() >> 8) + static_cast<char>(rest.size() & 0xff) +
         std::string(rest);
}
const std::string kTcp4{"\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb", 12};

struct Outcome {
  HeaderState state = HeaderState::kReading;
  std::size_t taken = 0;
  std::optional<Endpoint> source;
};

/// In pieces of at most `piece` bytes, with something behind the header that must be left alone.
Outcome read(std::string header, std::size_t piece = 4096) {
  header += "\x16\x03\x01 what follows";
  ByteView rest = as_bytes(header);
  ProxyHeaderReader reader;
  Outcome outcome;
  while (reader.wanted() > 0 && !rest.empty()) {
    const auto count = std::min({rest.size(), reader.wanted(), piece});
    reader.put(rest.first(count));
    rest = rest.subspan(count);
    outcome.taken += count;
  }
  outcome.state = reader.state();
  outcome.source = reader.source();
  return outcome;
}

TEST(ProxyHeader, SaysWhoseTheConnectionIsAndLeavesTheRestAlone) {
  const std::pair<std::string, std::string> headers[] = {
      {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324"},
      {"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "[2001:db8::1]:56324"},
      {v2(0x21, 0x11, kTcp4), "192.0.2.1:56324"},
      {v2(0x21, 0x11, kTcp4 + std::string("\x01\x00\x02h2", 5)), "192.0.2.1:56324"},
      {v2(0x21, 0x21, std::string(15, '\0') + "\x01" + std::string(16, '\0') + std::string("\x00\x50\x01\xbb", 4)),
       "[::1]:80"},
  };
  for (const auto& [header, source] : headers) {
    for (const std::size_t piece : {1u, 7u, 4096u}) {
      const auto outcome = read(header, piece);
      EXPECT_EQ(outcome.state, HeaderState::kComplete) << source;
      EXPECT_EQ(outcome.taken, header.size()) << source;
      ASSERT_TRUE(outcome.source) << source;
      EXPECT_EQ(outcome.source->to_string(), source);
    }
  }
}

TEST(ProxyHeader, AProxysOwnConnectionHasNoOtherSource) {
  for (const auto& header :
       {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), v2(0x20, 0x00, ""),
        v2(0x20, 0x11, kTcp4), v2(0x21, 0x00, "abc"), v2(0x21, 0x31, std::string(216, 'u')), v2(0x21, 0x12, kTcp4)}) {
    const auto outcome = read(header);
    EXPECT_EQ(outcome.state, HeaderState::kComplete) << header;
    EXPECT_EQ(outcome.taken, header.size());
    EXPECT_FALSE(outcome.source);
  }
}

TEST(ProxyHeader, WhatIsNoneEndsAtOnce) {
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00", 13);
  for (const auto& bad :
       {hello, std::string("GET / HTTP/1.1\r\n"), std::string("PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n"),
        std::string("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
        std::string("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"),
        std::string("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n"),
        std::string("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"),
        std::string("PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n"),
        std::string("PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n"), std::string("PROXY   \r\n      "),
        std::string("PROXY TCP4 ") + std::string(200, 'a'), v2(0x22, 0x11, kTcp4), v2(0x11, 0x11, kTcp4),
        v2(0x21, 0x11, kTcp4.substr(1)), v2(0x21, 0x21, kTcp4),
        v2(0x21, 0x11, std::string(ProxyHeaderReader::kMostHeaderBytes, 'x'))}) {
    const auto outcome = read(bad);
    EXPECT_EQ(outcome.state, HeaderState::kMalformed) << bad.substr(0, 60);
    EXPECT_FALSE(outcome.source);
    EXPECT_LE(outcome.taken, 107u);
  }
}

TEST(ProxyHeader, APartIsWaitedFor) {
  for (const auto& whole : {std::string("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"), v2(0x21, 0x11, kTcp4)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      ProxyHeaderReader reader;
      for (std::size_t i = 0; i < size; ++i) reader.put(as_bytes(whole).subspan(i, 1));
      EXPECT_EQ(reader.state(), HeaderState::kReading);
      EXPECT_GT(reader.wanted(), 0u);
      EXPECT_LE(size + reader.wanted(), whole.size());
    }
  }
}

}  // namespace
}  // namespace higgs::net
