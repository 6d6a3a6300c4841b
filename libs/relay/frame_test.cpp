#include "relay/frame.h"

#include <gtest/gtest.h>

#include "relay/testing/frames.h"

namespace higgs::relay {
namespace {

using testing::make_message;

FrameError frame_error_of(ByteView message) {
  const auto header = parse_header(message);
  EXPECT_TRUE(header.has_error());
  return static_cast<FrameError>(header.error().value());
}

TEST(Frame, HasTheLayoutOfTheSpecification) {
  EXPECT_EQ(to_hex(make_message(0x01020304, {"abc", "z"})), "1000000201020304000361626300017a");
}

TEST(Frame, BatchIsReadBack) {
  Bytes message = make_message(7, {"first", "2", "third packet"});
  const auto header = parse_header(message);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->channel, 7u);
  EXPECT_EQ(header->packet_count, 3u);
  Batch batch;
  ASSERT_TRUE(parse_batch(message, batch));
  ASSERT_EQ(batch.count, 3u);
  EXPECT_EQ(as_text(batch.packets[0]), "first");
  EXPECT_EQ(as_text(batch.packets[1]), "2");
  EXPECT_EQ(as_text(batch.packets[2]), "third packet");
}

TEST(Frame, ChannelIsRewrittenAndNothingElse) {
  Bytes message = make_message(7, {"abc"});
  rewrite_channel(message, 0xfffffffe);
  EXPECT_EQ(message, make_message(0xfffffffe, {"abc"}));
}

TEST(Frame, BadHeadersAreTold) {
  const Bytes good = make_message(1, {"abc"});
  const auto with = [&](std::size_t at, unsigned value) {
    Bytes message = good;
    message[at] = std::byte(value);
    return message;
  };
  EXPECT_EQ(frame_error_of(ByteView(good).first(7)), FrameError::kTooShort);
  EXPECT_EQ(frame_error_of({}), FrameError::kTooShort);
  EXPECT_EQ(frame_error_of(with(0, 0x20)), FrameError::kBadVersion);
  EXPECT_EQ(frame_error_of(with(0, 0x11)), FrameError::kBadType);
  EXPECT_EQ(frame_error_of(with(1, 1)), FrameError::kBadFlags);
  EXPECT_EQ(frame_error_of(with(3, 0)), FrameError::kBadCount);
  EXPECT_EQ(frame_error_of(with(3, 65)), FrameError::kBadCount);
  EXPECT_EQ(frame_error_of(with(3, 3)), FrameError::kTooShort);
  Bytes oversized = good;
  oversized.resize(kMaxMessageBytes + 1);
  EXPECT_EQ(frame_error_of(oversized), FrameError::kTooLong);
}

TEST(Frame, EveryLengthIsChecked) {
  Batch batch;
  Bytes zero_length = make_message(1, {"abc"});
  zero_length[9] = std::byte{0};
  EXPECT_FALSE(parse_batch(zero_length, batch));
  Bytes past_end = make_message(1, {"abc"});
  past_end[9] = std::byte{4};
  EXPECT_FALSE(parse_batch(past_end, batch));
  Bytes left_over = make_message(1, {"abc"});
  left_over[9] = std::byte{2};
  EXPECT_FALSE(parse_batch(left_over, batch));
  Bytes missing_packet = make_message(1, {"abcdefgh"});
  missing_packet[3] = std::byte{2};
  EXPECT_TRUE(parse_header(missing_packet));
  EXPECT_FALSE(parse_batch(missing_packet, batch));
}

TEST(Frame, LargestPacketAndLargestCountFit) {
  Bytes largest = make_message(1, std::vector<Bytes>{Bytes(kMaxPacketBytes)});
  Batch batch;
  EXPECT_TRUE(parse_batch(largest, batch));
  Bytes most = make_message(1, std::vector<Bytes>(kMaxPackets, Bytes(1)));
  ASSERT_TRUE(parse_batch(most, batch));
  EXPECT_EQ(batch.count, kMaxPackets);
}

TEST(BatchBuilder, RefusesWhatDoesNotFit) {
  Bytes buffer(kMaxMessageBytes + 100);
  BatchBuilder builder(buffer);
  EXPECT_FALSE(builder.append({}));
  EXPECT_FALSE(builder.append(Bytes(kMaxPacketBytes + 1)));
  EXPECT_TRUE(builder.append(Bytes(kMaxPacketBytes)));
  EXPECT_FALSE(builder.append(Bytes(64)));
  builder.clear();
  for (std::size_t i = 0; i < kMaxPackets; ++i) EXPECT_TRUE(builder.append(Bytes(10)));
  EXPECT_FALSE(builder.append(Bytes(10)));
  EXPECT_EQ(builder.finish(3).size(), kHeaderBytes + kMaxPackets * 12);
}

}  // namespace
}  // namespace higgs::relay
