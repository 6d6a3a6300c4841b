#include "net/websocket_frame.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "net/websocket_reader.h"

namespace higgs::net {
namespace {

const MaskKey kKey = {std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

Bytes hex(std::string_view text) { return *from_hex(text); }

/// A frame as a sender may, or may not, write it.
Bytes frame(int first_byte, ByteView payload, bool masked) {
  Bytes out(kFrameHeaderBytes);
  out.resize(write_frame_header(out.data(), WebSocketOpcode::kBinary, payload.size(),
                                masked ? std::optional(kKey) : std::nullopt));
  out[0] = static_cast<std::byte>(first_byte);
  const std::size_t header = out.size();
  out.insert(out.end(), payload.begin(), payload.end());
  if (masked) apply_mask(MutableBytes(out).subspan(header), kKey);
  return out;
}
Bytes frame(int first_byte, std::string_view payload, bool masked) {
  return frame(first_byte, as_bytes(payload), masked);
}

TEST(WebSocketFrame, ExamplesOfTheRfc) {
  // RFC 6455, 5.7.
  WebSocketReader at_client(false, {}), at_server(true, {});
  Bytes hello = hex("810548656c6c6f");
  EXPECT_EQ(as_text(at_client.next(hello).payload), "Hello");
  Bytes masked = hex("818537fa213d7f9f4d5158");
  auto item = at_server.next(masked);
  EXPECT_EQ(item.event, WebSocketReader::Event::kText);
  EXPECT_EQ(as_text(item.payload), "Hello");
  EXPECT_EQ(item.used, masked.size());
  Bytes first = hex("010348656c");
  Bytes second = hex("80026c6f");
  EXPECT_EQ(at_client.next(first).event, WebSocketReader::Event::kSkipped);
  EXPECT_EQ(as_text(at_client.next(second).payload), "Hello");
  Bytes ping = hex("890548656c6c6f");
  EXPECT_EQ(at_client.next(ping).event, WebSocketReader::Event::kPing);
}

TEST(WebSocketFrame, HeadersOfEveryLengthComeBack) {
  for (const std::uint64_t size : {0ULL, 1ULL, 125ULL, 126ULL, 65535ULL, 65536ULL, 0x7fffffffffffffffULL}) {
    for (const bool masked : {false, true}) {
      Bytes out(kFrameHeaderBytes);
      const std::size_t used = write_frame_header(out.data(), WebSocketOpcode::kBinary, static_cast<std::size_t>(size),
                                                  masked ? std::optional(kKey) : std::nullopt);
      for (std::size_t i = 0; i < used; ++i)
        EXPECT_FALSE(parse_frame_header(ByteView(out).first(i), masked).value().has_value());
      const auto header = parse_frame_header(ByteView(out).first(used), masked);
      ASSERT_TRUE(header && *header);
      EXPECT_EQ((*header)->payload_bytes, size);
      EXPECT_EQ((*header)->header_bytes, used);
      EXPECT_TRUE((*header)->final);
      EXPECT_EQ((*header)->mask.has_value(), masked);
      EXPECT_FALSE(parse_frame_header(out, !masked)) << "masking is not optional";
    }
  }
}

TEST(WebSocketFrame, MaskingIsTheSameWhateverTheSlices) {
  SeededRandom random(1);
  Bytes plain(1000);
  random.fill(plain);
  Bytes expected = plain;
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] ^= kKey[i % 4];
  for (const std::size_t slice : {1U, 3U, 4U, 31U, 32U, 33U, 100U, 1000U}) {
    Bytes bytes = plain;
    Bytes copy(plain.size());
    for (std::size_t at = 0; at < bytes.size(); at += slice) {
      const std::size_t count = std::min(slice, bytes.size() - at);
      apply_mask(MutableBytes(bytes).subspan(at, count), kKey, at);
      copy_masked(copy.data() + at, ByteView(plain).subspan(at, count), kKey, at);
    }
    EXPECT_EQ(bytes, expected) << slice;
    EXPECT_EQ(copy, expected) << slice;
  }
}

TEST(WebSocketFrame, Utf8) {
  for (const char* good : {"", "plain", "h\xc3\xa9", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
                           "\xf4\x8f\xbf\xbf", "12345678\xc2\x80"})
    EXPECT_TRUE(is_utf8(as_bytes(good))) << good;
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "1234567\xe2\x82(12345"})
    EXPECT_FALSE(is_utf8(as_bytes(bad))) << bad;
}

TEST(WebSocketFrame, CloseCodesAndReasons) {
  for (const int good : {1000, 1001, 1003, 1007, 1011, 3000, 4001, 4999})
    EXPECT_TRUE(is_close_code(static_cast<std::uint16_t>(good)));
  for (const int bad : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535})
    EXPECT_FALSE(is_close_code(static_cast<std::uint16_t>(bad)));
  EXPECT_EQ(fitting_reason("short"), "short");
  EXPECT_EQ(fitting_reason(std::string(122, 'x') + "\xc3\xa9").size(), 122u);
  EXPECT_EQ(fitting_reason(std::string(121, 'x') + "\xc3\xa9").size(), 123u);
}

struct Fault {
  const char* what;
  Bytes bytes;
  int code;
};

TEST(WebSocketReader, FaultsOfAPeer) {
  const std::string big(70'000, 'x');
  const Fault faults[] = {
      {"reserved bit", frame(0xc2, "x", true), 1002},
      {"unknown opcode", frame(0x83, "x", true), 1002},
      {"unknown control opcode", frame(0x8b, "x", true), 1002},
      {"not masked", frame(0x82, "x", false), 1002},
      {"continuation of nothing", frame(0x80, "x", true), 1002},
      {"fragmented ping", frame(0x09, "x", true), 1002},
      {"long ping", frame(0x89, std::string(126, 'x'), true), 1002},
      {"close of one byte", frame(0x88, "x", true), 1002},
      {"close code that may not be sent", frame(0x88, hex("03ed"), true), 1002},
      {"close reason not UTF-8", frame(0x88, hex("03e8ff"), true), 1007},
      {"text not UTF-8", frame(0x81, "\xff", true), 1007},
      {"text too large", frame(0x81, std::string(16 * 1024 + 1, 'x'), true), 1009},
      {"binary too large", frame(0x82, big, true), 1009},
      {"length not minimal (16)", hex("82fe007d00000000"), 1002},
      {"length not minimal (64)", hex("82ff000000000000ffff00000000"), 1002},
      {"length with its top bit", hex("82ff800000000000000000000000"), 1002},
      {"a large length alone, nothing of it sent", hex("82ff000000010000000000000000"), 1009},
  };
  for (const auto& fault : faults) {
    WebSocketReader reader(true, {});
    Bytes bytes = fault.bytes;
    const auto item = reader.next(bytes);
    EXPECT_EQ(item.event, WebSocketReader::Event::kFault) << fault.what;
    EXPECT_EQ(item.code, fault.code) << fault.what;
    EXPECT_EQ(reader.next(bytes).event, WebSocketReader::Event::kFault) << "it stays so: " << fault.what;
  }
}

TEST(WebSocketReader, FragmentsAreBoundedTogetherAndControlMayComeBetween) {
  WebSocketReader reader(true, {.message_bytes = 1000, .text_bytes = 100});
  Bytes first = frame(0x02, std::string(600, 'a'), true);
  EXPECT_EQ(reader.next(first).event, WebSocketReader::Event::kSkipped);
  Bytes ping = frame(0x89, "p", true);
  EXPECT_EQ(reader.next(ping).event, WebSocketReader::Event::kPing);
  Bytes last = frame(0x80, std::string(400, 'b'), true);
  const auto whole = reader.next(last);
  EXPECT_EQ(whole.event, WebSocketReader::Event::kBinary);
  EXPECT_EQ(as_text(whole.payload), std::string(600, 'a') + std::string(400, 'b'));
  Bytes again = frame(0x82, "next", true);
  EXPECT_EQ(as_text(reader.next(again).payload), "next");

  first = frame(0x02, std::string(600, 'a'), true);
  EXPECT_EQ(reader.next(first).event, WebSocketReader::Event::kSkipped);
  last = frame(0x80, std::string(401, 'b'), true);
  EXPECT_EQ(reader.next(last).code, 1009);

  WebSocketReader text(true, {.message_bytes = 1000, .text_bytes = 100});
  first = frame(0x01, "\xe2\x82", true);  // a character cut in two by fragments is no fault
  EXPECT_EQ(text.next(first).event, WebSocketReader::Event::kSkipped);
  last = frame(0x80, "\xac", true);
  EXPECT_EQ(text.next(last).event, WebSocketReader::Event::kText);
  first = frame(0x01, std::string(60, 'x'), true);
  EXPECT_EQ(text.next(first).event, WebSocketReader::Event::kSkipped);
  last = frame(0x80, std::string(60, 'x'), true);
  EXPECT_EQ(text.next(last).code, 1009);

  WebSocketReader interleaved(true, {});
  first = frame(0x02, "a", true);
  EXPECT_EQ(interleaved.next(first).event, WebSocketReader::Event::kSkipped);
  first = frame(0x82, "b", true);
  EXPECT_EQ(interleaved.next(first).code, 1002);
}

TEST(WebSocketReader, SaysHowMuchItWants) {
  WebSocketReader reader(false, {});
  Bytes bytes = frame(0x82, std::string(300, 'x'), false);
  EXPECT_EQ(reader.next(MutableBytes(bytes).first(1)).event, WebSocketReader::Event::kNeedMore);
  EXPECT_EQ(reader.wanted(), 2u);
  EXPECT_EQ(reader.next(MutableBytes(bytes).first(4)).event, WebSocketReader::Event::kNeedMore);
  EXPECT_EQ(reader.wanted(), 304u);
  EXPECT_EQ(reader.next(bytes).payload.size(), 300u);
}

}  // namespace
}  // namespace higgs::net
