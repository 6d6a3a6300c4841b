#include "higgsvpn/account.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace higgs::vpn {
namespace {

TEST(ServerOrigin, TakesWhatPeopleType) {
  EXPECT_EQ(server_origin("https://vpn.example.org:8443"), "https://vpn.example.org:8443");
  EXPECT_EQ(server_origin("https://vpn.example.org:8443/"), "https://vpn.example.org:8443");
  EXPECT_EQ(server_origin("vpn.example.org"), "https://vpn.example.org");
  EXPECT_EQ(server_origin("192.0.2.1:8443"), "https://192.0.2.1:8443");
  EXPECT_EQ(server_origin("https://[2001:db8::1]:8443"), "https://[2001:db8::1]:8443");
  for (const char* bad : {"", "http://vpn.example.org", "https://", "https://a b", "https://user:secret@host",
                          "https://host/path", "https://host?x=1", "ftp://host"}) {
    EXPECT_EQ(server_origin(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(host_of("https://[2001:db8::1]:8443"), "2001:db8::1");
  EXPECT_EQ(host_of("https://vpn.example.org:8443"), "vpn.example.org");
}

class AccountTest : public ::testing::Test {
 protected:
  AccountTest() {
    std::string pattern = ::testing::TempDir() + "higgs-account-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~AccountTest() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(AccountTest, IsKeptPrivately) {
  const StateDirectory state(directory_);
  EXPECT_EQ(load_account(state).value().has_value(), false);
  Account account;
  account.server = "https://vpn.example.org:8443";
  account.trust.spki_pins = {"sha256/AAAA"};
  account.username = "alice";
  api::RelayServer other;
  other.id = "b";
  other.host = "b.example.org";
  other.port = 8443;
  other.pin = "sha256/BBBB";
  account.take({"access", "Bearer", 100, "refresh", 200, {other}});
  account.known_hosts["vpn.example.org"] = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  ASSERT_TRUE(save_account(state, account));
  struct stat info {};
  ASSERT_EQ(::stat(state.account().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  const auto again = load_account(state);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->server, account.server);
  EXPECT_EQ((*again)->trust.spki_pins, account.trust.spki_pins);
  EXPECT_EQ((*again)->trust.ca_file, std::nullopt);
  ASSERT_EQ((*again)->relay_servers.size(), 1u);
  EXPECT_EQ((*again)->relay_servers.front().origin(), "https://b.example.org:8443");
  EXPECT_EQ((*again)->trust_in_all().spki_pins, (std::vector<std::string>{"sha256/AAAA", "sha256/BBBB"}));
  EXPECT_EQ((*again)->refresh_token.reveal(), "refresh");
  EXPECT_EQ((*again)->access_expires_at, 100);
  EXPECT_EQ((*again)->known_hosts, account.known_hosts);
  ASSERT_TRUE(remove_account(state));
  EXPECT_EQ(load_account(state).value().has_value(), false);
}

TEST_F(AccountTest, DamageIsAnErrorAndNoLogin) {
  const StateDirectory state(directory_);
  for (const char* text : {"", "{}", "[]", "{\"server\":1}"}) {
    std::ofstream(state.account()) << text;
    EXPECT_FALSE(load_account(state)) << text;
  }
}

TEST_F(AccountTest, SessionsToEndAreRemembered) {
  const StateDirectory state(directory_);
  EXPECT_TRUE(state.sessions().empty());
  SeededRandom random(3);
  const std::vector<SessionId> ids{SessionId(Uuid::random(random)), SessionId(Uuid::random(random))};
  ASSERT_TRUE(state.remember_sessions(ids));
  EXPECT_EQ(state.sessions(), ids);
  ASSERT_TRUE(state.remember_sessions({}));
  EXPECT_TRUE(state.sessions().empty());
}

}  // namespace
}  // namespace higgs::vpn
