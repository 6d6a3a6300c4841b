#include "net/nat_report.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "net/nat_type_monitor.h"

namespace higgs::net {
namespace {

stun::BehaviourReport symmetric() {
  stun::BehaviourReport report;
  report.nat = stun::NatClass::kSymmetric;
  report.mapping = stun::Behaviour::kAddressAndPortDependent;
  report.filtering = stun::Behaviour::kAddressAndPortDependent;
  report.allocation = stun::PortAllocation::kSequential;
  report.port_step = 2;
  report.translated = true;
  report.mapped = Endpoint::parse("198.51.100.7:30000");
  report.server_complete = true;
  return report;
}

TEST(NatReport, JsonIsReadBack) {
  for (const auto nat : {stun::NatClass::kSymmetric, stun::NatClass::kOpen, stun::NatClass::kUdpBlocked}) {
    auto report = symmetric();
    report.nat = nat;
    if (nat == stun::NatClass::kUdpBlocked) report.mapped.reset();
    const auto json = nat_report_json(report);
    const auto read = parse_nat_report(json);
    ASSERT_TRUE(read);
    EXPECT_EQ(nat_report_json(*read), json);
    EXPECT_EQ(read->nat, nat);
  }
  EXPECT_EQ(nat_report_json(symmetric())["natType"], "Symmetric");
  EXPECT_EQ(nat_report_json(symmetric())["mappedAddress"], "198.51.100.7:30000");
}

TEST(NatReport, RubbishIsNone) {
  EXPECT_FALSE(parse_nat_report(nullptr));
  EXPECT_FALSE(parse_nat_report(nlohmann::json::array()));
  EXPECT_FALSE(parse_nat_report(nlohmann::json::parse("{}")));
  auto json = nat_report_json(symmetric());
  json["natType"] = "Weird";
  EXPECT_FALSE(parse_nat_report(json));
  json = nat_report_json(symmetric());
  json["mapping"] = 3;
  EXPECT_FALSE(parse_nat_report(json));
}

TEST(NatReport, TextSaysWhatItMeans) {
  const auto text = nat_report_text(symmetric());
  EXPECT_NE(text.find("symmetric"), std::string::npos);
  EXPECT_NE(text.find("sequential, +2"), std::string::npos);
  EXPECT_NE(text.find("198.51.100.7:30000"), std::string::npos);
  EXPECT_NE(nat_report_text({}).find("one address only"), std::string::npos);
}

TEST(StunServerName, IsParsed) {
  const auto parsed = [](const char* text) { return StunServerName::parse(text); };
  EXPECT_EQ(parsed("stun.example.org"), (StunServerName{"stun.example.org", 3478}));
  EXPECT_EQ(parsed("stun.example.org:19302"), (StunServerName{"stun.example.org", 19302}));
  EXPECT_EQ(parsed("192.0.2.1"), (StunServerName{"192.0.2.1", 3478}));
  EXPECT_EQ(parsed("[2001:db8::1]:5000"), (StunServerName{"2001:db8::1", 5000}));
  EXPECT_EQ(parsed("2001:db8::1"), (StunServerName{"2001:db8::1", 3478}));
  for (const char* bad : {"", ":3478", "host:", "host:0", "host:70000", "host:1x", "ho st", "http://host"})
    EXPECT_FALSE(parsed(bad)) << bad;
  EXPECT_EQ(StunServerName::beside("https://vpn.example.org:8443"), (StunServerName{"vpn.example.org", 3478}));
  EXPECT_EQ(StunServerName::beside("https://[2001:db8::1]:8443"), (StunServerName{"2001:db8::1", 3478}));
}

}  // namespace
}  // namespace higgs::net
