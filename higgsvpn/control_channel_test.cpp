#include "higgsvpn/control_channel.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "higgsvpn/cli/output.h"

namespace higgs::vpn {
namespace {

TEST(ControlChannel, ReportsSurviveTheWay) {
  SeededRandom random(5);
  ConnectionReport report;
  EXPECT_EQ(encode_report(*parse_report(encode_report(report))), encode_report(report));
  report.state = ConnectionMachine::State::kReconnecting;
  report.server = "https://vpn.example.org:8443";
  report.kill_switch = true;
  report.node = NodeId(Uuid::random(random));
  report.session = SessionId(Uuid::random(random));
  report.path = "direct-v4";
  report.path_reason = "better-kind";
  report.path_since = from_unix_seconds(1500);
  report.path_remote = *Endpoint::parse("192.0.2.1:4000");
  report.path_round_trip_ms = 7.5, report.path_loss = 0.25, report.time_to_direct_ms = 340;
  report.path_switches = 5, report.path_fallbacks = 6, report.path_restarts = 7, report.duplicated_packets = 8;
  report.refused_stun = 9;
  report.nat_type = "Symmetric";
  report.ifname = "higgs0";
  report.addresses = {*IpAddress::parse("10.7.0.2"), *IpAddress::parse("fd00::2")};
  report.dns = {*IpAddress::parse("9.9.9.9")};
  report.mtu = 1420;
  report.connected_since = from_unix_seconds(1000);
  report.last_handshake = from_unix_seconds(2000);
  report.sent_bytes = 1, report.received_bytes = 2, report.dropped_packets = 3, report.reconnects = 4;
  report.relay_round_trip_ms = 12.5;
  report.trouble = "the node is away";
  const auto again = parse_report(encode_report(report));
  ASSERT_TRUE(again);
  EXPECT_EQ(encode_report(*again), encode_report(report));
  EXPECT_EQ(again->node, report.node);
  EXPECT_EQ(again->addresses, report.addresses);
  for (const char* bad : {"", "{}", "[]", "{\"state\":1}"}) EXPECT_FALSE(parse_report(bad).has_value()) << bad;
}

TEST(ControlChannel, NobodyThere) {
  std::string pattern = ::testing::TempDir() + "higgs-control-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern.data());
  const StateDirectory state(directory);
  EXPECT_FALSE(ask_report(state).value().has_value());
  EXPECT_EQ(ask_disconnect(state).value(), false);
  std::filesystem::remove_all(directory);
}

TEST(Output, AmountsForPeople) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(5ull << 30), "5.0 GiB");
  EXPECT_EQ(human_duration(std::chrono::seconds(59)), "0:59");
  EXPECT_EQ(human_duration(std::chrono::seconds(3723)), "1:02:03");
  EXPECT_EQ(human_duration(std::chrono::seconds(-5)), "0:00") << "a clock that was put back";
}

TEST(Output, ForeignTextCannotMoveTheCursor) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\x7f"), "a?[2Jb???");
  ConnectionReport report;
  report.trouble = "\x1b]0;title\x07";
  EXPECT_EQ(status_line(report, WallTime()).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace higgs::vpn
