#include "bosonserver/cache/redis_url.h"

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

ErrorCode error_of(std::string_view text) {
  const auto url = RedisUrl::parse(text);
  return url ? ErrorCode() : url.error();
}

TEST(RedisUrl, SaysWhereRedisIs) {
  auto url = RedisUrl::parse("redis://Cache.Example.org");
  ASSERT_TRUE(url);
  EXPECT_FALSE(url->tls);
  EXPECT_EQ(url->host, "cache.example.org");
  EXPECT_EQ(url->port, 6379);
  EXPECT_EQ(url->database, 0u);
  EXPECT_TRUE(url->user.empty());
  EXPECT_TRUE(url->password.empty());

  url = RedisUrl::parse("rediss://higgs:p%40ss@[2001:db8::1]:7000/3");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "2001:db8::1");
  EXPECT_EQ(url->port, 7000);
  EXPECT_EQ(url->database, 3u);
  EXPECT_EQ(url->user, "higgs");
  EXPECT_EQ(url->password.reveal(), "p@ss");

  url = RedisUrl::parse("redis://:secret@127.0.0.1/");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->user.empty());
  EXPECT_EQ(url->password.reveal(), "secret");
}

TEST(RedisUrl, WhatWouldBeIgnoredIsAnError) {
  EXPECT_EQ(error_of("memory"), RedisUrlError::kScheme);
  EXPECT_EQ(error_of("http://a"), RedisUrlError::kScheme);
  EXPECT_EQ(error_of(""), RedisUrlError::kScheme);
  EXPECT_EQ(error_of("redis:a"), RedisUrlError::kHost);
  EXPECT_EQ(error_of("redis://"), RedisUrlError::kHost);
  EXPECT_EQ(error_of("redis://a%20b"), RedisUrlError::kHost);
  EXPECT_EQ(error_of("redis://a:0"), RedisUrlError::kPort);
  EXPECT_EQ(error_of("redis://a:65536"), RedisUrlError::kPort);
  EXPECT_EQ(error_of("redis://a:x"), RedisUrlError::kPort);
  EXPECT_EQ(error_of("redis://a/x"), RedisUrlError::kDatabase);
  EXPECT_EQ(error_of("redis://a/1/2"), RedisUrlError::kDatabase);
  EXPECT_EQ(error_of("redis://a/-1"), RedisUrlError::kDatabase);
  EXPECT_EQ(error_of("redis://a/10000"), RedisUrlError::kDatabase);
  EXPECT_EQ(error_of("redis://a?x=1"), RedisUrlError::kSyntax);
  EXPECT_EQ(error_of("redis://a#x"), RedisUrlError::kSyntax);
  EXPECT_EQ(error_of("redis://a b"), RedisUrlError::kSyntax);
  EXPECT_EQ(error_of("redis://u:a%0d%0ab@h"), RedisUrlError::kSyntax);
  EXPECT_EQ(error_of("redis://" + std::string(RedisUrl::kMaxBytes, 'a')), RedisUrlError::kTooLong);
}

TEST(RedisUrl, NobodyIsShownThePassword) {
  const auto url = RedisUrl::parse("rediss://higgs:topsecret@[::1]/2");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->to_string(), "rediss://higgs:(hidden)@[::1]:6379/2");
  EXPECT_EQ(RedisUrl::parse("redis://h:7000")->to_string(), "redis://h:7000/0");
  for (const auto* bad : {"redis://u:topsecret@h/x", "redis://u:topsecret@h:0", "redis://u:topsecret@h?q", "topsecret"})
    EXPECT_EQ(error_of(bad).message().find("topsecret"), std::string::npos);
}

}  // namespace
}  // namespace higgs::boson
