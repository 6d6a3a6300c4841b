#include "bosonserver/cluster/server_directory.h"

#include <gtest/gtest.h>

#include "bosonserver/cluster/testing/directory_fixture.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;
using Directory = testing::DirectoryFixture;

TEST_F(Directory, ServersFindEachOtherAndForgetWhoFallsSilent) {
  const auto first = entry("a.test"), second = entry("b.test");
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
  b_.refresh(second);
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
  EXPECT_EQ(b_.find(first.id), first);
  EXPECT_EQ(a_.self(), first);
  monotonic_ += kServerSilence + 1s;
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, WithoutPresenceTheStoreTells) {
  const auto first = entry("a.test"), second = entry("b.test");
  presence_.down = true;
  a_.refresh(first);
  b_.refresh(second);
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
  // It comes back empty, and knows only who has spoken since.
  presence_.down = false;
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
  b_.leave();
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, ServersOfAnotherRegionHaveAnotherPresence) {
  const auto first = entry("a.test"), second = entry("b.test"), third = entry("c.test");
  const auto all_say = [&] {
    a_.refresh(first);
    b_.refresh(second);
    far_.refresh(third);
  };
  all_say();
  all_say();
  EXPECT_EQ(listed(a_), (Listed{{"b.test", second}, {"c.test", third}}));
  EXPECT_EQ(listed(b_), (Listed{{"a.test", first}, {"c.test", third}}));
  EXPECT_EQ(far_.others().size(), 2u);

  auto busy = second;
  busy.load = 50;
  busy.draining = true;
  ASSERT_TRUE(presence_.set("server/" + to_string(second.id), encode_pulse(busy.pulse()), kServerSilence));
  a_.refresh(first);
  EXPECT_EQ(a_.find(second.id), busy) << "presence is newer than the store";

  // Without the store the other region is taken to be as it was, and this one is seen as it is.
  *store_away_ = true;
  monotonic_ += kServerSilence + 1s;
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{third});
  monotonic_ += kDirectoryGrace;
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
  *store_away_ = false;
  all_say();
  far_.leave();
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
}

TEST_F(Directory, WhoCanWriteToPresenceMakesNoServerAndChangesNone) {
  const auto first = entry("a.test"), second = entry("b.test"), foreign = entry("evil.test");
  b_.refresh(second);
  a_.refresh(first);
  auto forged = second;
  forged.url = foreign.url;
  forged.pin = foreign.pin;
  forged.relay_workers = 1;
  forged.stun_port = 1;
  const auto plant = [&] {
    EXPECT_TRUE(presence_.set("server/" + to_string(foreign.id), encode_entry(foreign), kServerSilence));
    EXPECT_TRUE(presence_.set("server/" + to_string(second.id), encode_entry(forged), kServerSilence));
    a_.refresh(first);
  };
  plant();
  EXPECT_EQ(a_.others(), std::vector{second});
  *store_away_ = true;
  plant();
  EXPECT_EQ(a_.others(), std::vector{second}) << "it was vouched for before";
  EXPECT_FALSE(a_.lives(foreign.id));
  monotonic_ += kDirectoryGrace + 1s;
  plant();
  EXPECT_TRUE(a_.others().empty()) << "but not for ever";
}

TEST_F(Directory, AServerThatTheStoreDoesNotHearIsVouchedForAWhile) {
  const auto first = entry("a.test"), second = entry("b.test");
  b_.refresh(second);
  // From now on only presence hears it, also while this server begins anew.
  const auto pulse = [&] {
    ASSERT_TRUE(presence_.set("server/" + to_string(second.id), encode_pulse(second.pulse()), kServerSilence));
    a_.refresh(first);
  };
  monotonic_ += kDirectoryGrace - 1s;
  pulse();
  EXPECT_EQ(a_.others(), std::vector{second});
  monotonic_ += 1s;
  pulse();
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, WithoutTheStorePresenceSaysWhoIsGone) {
  const auto first = entry("a.test"), second = entry("b.test"), third = entry("c.test");
  b_.refresh(second);
  far_.refresh(third);
  a_.refresh(first);
  // For a while neither can be asked, and meanwhile B dies; then presence is back, and empty.
  presence_.down = true;
  *store_away_ = true;
  monotonic_ += kServerSilence + 1s;
  a_.refresh(first);
  EXPECT_EQ(a_.others().size(), 2u) << "nobody says otherwise";
  presence_.down = false;
  a_.refresh(first);
  EXPECT_EQ(a_.others().size(), 2u) << "who lives has to have the time to say so";
  monotonic_ += kServerSilence;
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{third}) << "what presence never knew of is another region's";
}

TEST_F(Directory, AServerThatLeavesIsGoneAtOnce) {
  const auto first = entry("a.test");
  a_.refresh(first);
  b_.refresh(entry("b.test"));
  b_.leave();
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, EntriesOfOthersAreReadStrictly) {
  auto good = entry("a.test");
  good.draining = true;
  good.load = 12.5;
  EXPECT_EQ(decode_entry(encode_entry(good)), good);
  EXPECT_EQ(good.shown().host, "a.test");
  EXPECT_EQ(good.shown().port, 8443);
  for (const char* text : {"", "{}", "[]", "nonsense", "{\"id\":1}"}) EXPECT_FALSE(decode_entry(text)) << text;
  auto bad = good;
  bad.url = "";
  EXPECT_FALSE(decode_entry(encode_entry(bad))) << "a server without a name is nobody's way";
  bad = good;
  bad.relay_workers = 0;
  EXPECT_FALSE(decode_entry(encode_entry(bad)));
  bad = good;
  bad.load = 101;
  EXPECT_FALSE(decode_entry(encode_entry(bad)));
  EXPECT_EQ(decode_pulse(encode_pulse(good.pulse())), good.pulse());
  for (const auto* no_pulse : {"", "{}", R"({"load":101,"draining":false})", R"({"load":1})", R"({"draining":true})"})
    EXPECT_FALSE(decode_pulse(no_pulse)) << no_pulse;
  EXPECT_EQ(host_of_origin("https://[2001:db8::1]:443"), "2001:db8::1");
  EXPECT_EQ(port_of_origin("https://[2001:db8::1]:443"), 443);
}

}  // namespace
}  // namespace higgs::boson
