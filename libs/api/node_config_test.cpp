#include "api/node_config.h"

#include <gtest/gtest.h>

namespace higgs::api {
namespace {

TEST(NodeConfig, NamesEachKeyThatIsNotAnOperators) {
  const auto bad = decode_node_config(R"({"maxConnections":3,"egress":{},"a/b":1})");
  ASSERT_FALSE(bad);
  ASSERT_EQ(bad.error().list.size(), 2u);
  EXPECT_EQ(bad.error().list[0].pointer, "/egress");
  EXPECT_EQ(bad.error().list[1].pointer, "/a~1b");
  EXPECT_FALSE(decode_node_config(R"({"egress":null})")) << "not even to take it back";
}

TEST(NodeConfig, MergesKeyByKeyAndNullTakesBack) {
  const auto standing = decode_node_config(
      R"({"maxConnections":3,"stunServers":[{"host":"a.example","port":1},{"host":"b.example","port":2}]})");
  ASSERT_TRUE(standing) << standing.error().to_string();
  const auto merged =
      merge_node_config(*standing, R"({"stunServers":[{"host":"c.example","port":3}],"logLevel":"warn"})");
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_EQ(encode(*merged), R"({"maxConnections":3,"stunServers":[{"host":"c.example","port":3}],"logLevel":"warn"})");
  const auto back = merge_node_config(*merged, R"({"stunServers":null,"maxConnections":null})");
  ASSERT_TRUE(back);
  EXPECT_EQ(encode(*back), R"({"logLevel":"warn"})");
  EXPECT_FALSE(merge_node_config(*merged, R"({"maxConnections":0})"));
}

}  // namespace
}  // namespace higgs::api
