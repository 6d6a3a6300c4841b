#include "bosonserver/cache/redis_reply.h"

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

using namespace std::string_literals;
using ReplyKind = RedisReply::Kind;

Result<std::optional<RedisReply>> read_one(std::string_view text, RedisReplyLimits limits = {}) {
  RedisReplyReader reader(limits);
  reader.put(as_bytes(text));
  return reader.next();
}

TEST(RedisReply, CommandsAreWrittenAsTheyMustBe) {
  EXPECT_EQ(encode_command({"SET", "a\0\r\n"s, ""}), "*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n"s);
}

TEST(RedisReply, EveryKindIsReadHoweverItIsCut) {
  const std::string stream =
      "+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n$4\r\na\r\nb\r\n*3\r\n:1\r\n*1\r\n$1\r\nx\r\n*-1\r\n*0\r\n";
  for (std::size_t step : {std::size_t{1}, std::size_t{3}, stream.size()}) {
    RedisReplyReader reader;
    std::vector<RedisReply> replies;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      reader.put(as_bytes(std::string_view(stream).substr(at, step)));
      for (;;) {
        auto reply = reader.next();
        ASSERT_TRUE(reply);
        if (!*reply) break;
        replies.push_back(std::move(**reply));
      }
    }
    ASSERT_EQ(replies.size(), 7u) << step;
    EXPECT_TRUE(is_status(replies[0]) && replies[0].text == "OK");
    EXPECT_TRUE(replies[1].kind == ReplyKind::kError && replies[1].text == "ERR no");
    EXPECT_TRUE(is_integer(replies[2]) && replies[2].integer == -7);
    EXPECT_EQ(replies[3].kind, ReplyKind::kNil);
    EXPECT_TRUE(is_text_or_nil(replies[4]) && replies[4].text == "a\r\nb");
    ASSERT_EQ(replies[5].elements.size(), 3u);
    EXPECT_EQ(replies[5].elements[1].elements.at(0).text, "x");
    EXPECT_EQ(replies[5].elements[2].kind, ReplyKind::kNil);
    EXPECT_FALSE(is_list(replies[5]));
    EXPECT_TRUE(is_list(replies[6]));
  }
}

TEST(RedisReply, GarbageIsAnErrorAndStaysOne) {
  for (const auto* bad :
       {"HTTP/1.1 400 Bad Request\r\n", ":x\r\n", "$-2\r\n", "$x\r\n", "*-2\r\n", ":99999999999999999999\r\n"}) {
    RedisReplyReader reader;
    reader.put(as_bytes(bad));
    EXPECT_EQ(reader.next().error(), RedisError::kProtocol) << bad;
    reader.put(as_bytes("+OK\r\n"));
    EXPECT_EQ(reader.next().error(), RedisError::kProtocol) << bad;
  }
  std::string deep;
  for (int i = 0; i < 5'000; ++i) deep += "*1\r\n";
  EXPECT_FALSE(read_one(deep));
}

TEST(RedisReply, NoReplyIsLargerThanItsLimit) {
  const RedisReplyLimits limits{.bytes = 2'000};
  EXPECT_TRUE(read_one("$1000\r\n" + std::string(1'000, 'x') + "\r\n", limits));
  EXPECT_EQ(read_one("$1995\r\n" + std::string(1'995, 'x') + "\r\n", limits).error(), RedisError::kTooLarge);
  EXPECT_EQ(read_one("$100000\r\n" + std::string(3'000, 'x'), limits).error(), RedisError::kTooLarge);
  EXPECT_EQ(read_one("+" + std::string(3'000, 'x'), limits).error(), RedisError::kTooLarge);
  std::string many = "*1000\r\n";
  for (int i = 0; i < 1'000; ++i) many += ":1\r\n";
  EXPECT_EQ(read_one(many, limits).error(), RedisError::kTooLarge);
}

TEST(RedisReply, AClaimedSizeReservesNothing) {
  // What an array of this size would take is more than there is.
  auto reply = read_one("*2147483647\r\n:1\r\n");
  ASSERT_TRUE(reply);
  EXPECT_FALSE(*reply);
  reply = read_one("$9223372036854775807\r\nx");
  ASSERT_TRUE(reply);
  EXPECT_FALSE(*reply);
}

TEST(RedisReply, TheLimitIsOfEachReplyAnew) {
  RedisReplyReader reader({.bytes = 500});
  for (int i = 0; i < 20; ++i) {
    reader.put(as_bytes("$100\r\n" + std::string(100, 'x') + "\r\n"));
    const auto reply = reader.next();
    ASSERT_TRUE(reply && *reply);
  }
}

}  // namespace
}  // namespace higgs::boson
