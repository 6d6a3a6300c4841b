#include "net/http_target.h"

#include <gtest/gtest.h>

namespace higgs::net {
namespace {

TEST(HttpTarget, DecodesAndRefuses) {
  EXPECT_EQ(percent_decode("a%2Fb+c", false), "a/b+c");
  EXPECT_EQ(percent_decode("a%2fb+c", true), "a/b c");
  for (const char* bad : {"%", "%4", "%4g", "%0a", "%7f", "\n"}) EXPECT_FALSE(percent_decode(bad, false)) << bad;
  EXPECT_EQ(percent_encode("a b/\xc3\xa9~"), "a%20b%2F%C3%A9~");
  for (const char* bad : {"", "x", "*", "/ ", "/#x", "/?a=%", "/\x80"}) EXPECT_FALSE(parse_target(bad)) << bad;
  const auto target = parse_target("/?&&a=1&b&=c&d==");
  ASSERT_TRUE(target);
  const std::vector<std::pair<std::string, std::string>> query = {{"a", "1"}, {"b", ""}, {"", "c"}, {"d", "="}};
  EXPECT_EQ(target->query, query);
}

TEST(HttpTarget, ParametersHaveALimit) {
  std::string text = "/?";
  for (std::size_t i = 0; i < kQueryParameters; ++i) text += "a=1&";
  EXPECT_TRUE(parse_target(text));
  EXPECT_FALSE(parse_target(text + "b=2"));
}

TEST(HttpUrl, Parses) {
  const auto url = parse_url("HTTPS://Boson.Test:8443/relay/x?y=1#z");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "boson.test");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/relay/x?y=1");
  EXPECT_EQ(url->authority, "boson.test:8443");
  EXPECT_EQ(parse_url("wss://[::1]")->host, "::1");
  EXPECT_EQ(parse_url("wss://[::1]")->authority, "[::1]");
  EXPECT_EQ(parse_url("wss://[::1]:443")->authority, "[::1]");
  EXPECT_EQ(parse_url("wss://[::1]:444?q")->target, "/?q");
  EXPECT_EQ(parse_url("http://h")->port, 80);
}

TEST(HttpUrl, Refuses) {
  for (const char* bad :
       {"", "https", "https:/x", "ftp://h/", "https://", "https:///x", "https://u@h/", "https://u:p@h/", "https://h:0/",
        "https://h:70000/", "https://h:8x/", "https://[::1", "https://[1.2.3.4]/", "https://[::1]x/", "https://h /",
        "https://h/\r\nX: y", "https://::1/", "https://h%41/"})
    EXPECT_FALSE(parse_url(bad)) << bad;
}

}  // namespace
}  // namespace higgs::net
