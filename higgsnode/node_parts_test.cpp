// Settings, metrics, privacy, registration, networks and the status text: the small pure parts.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "higgsnode/firewall_conflicts.h"
#include "higgsnode/metrics_collector.h"
#include "higgsnode/network_route_manager.h"
#include "higgsnode/privacy_manager.h"
#include "higgsnode/registration.h"
#include "higgsnode/settings.h"
#include "higgsnode/status_text.h"
#include "higgsnode/testing/temporary_directory.h"
#include "runtime/files.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;

TEST(Settings, AWholeFileIsUnderstood) {
  Settings settings;
  config::Schema schema;
  declare(schema, settings);
  const auto problems = schema.load({.file_text = R"(
server = "https://higgs.example:8443"
pin = "sha256/x"
country = "DE"
latitude = 52.5
longitude = 13.4
max_connections = 10
prefix_v4 = "10.99.0.0/16"
heartbeat_interval = "5s"
[egress]
deny = ["192.0.2.0/24"]
deny_ports = [6667]
[privacy]
log_metadata = false
)",
                                     .file_name = "f",
                                     .variable = {}});
  EXPECT_TRUE(problems.empty()) << to_string(problems.front());
  EXPECT_EQ(settings.heartbeat_interval, 5s);
  EXPECT_EQ(settings.egress.deny_ports, std::vector<std::uint16_t>{6667});
}

TEST(Settings, WhatCannotBeIsRefused) {
  const auto problem = [](const std::string& text) {
    Settings settings;
    config::Schema schema;
    declare(schema, settings);
    const auto problems = schema.load({.file_text = text, .file_name = "f", .variable = {}});
    return problems.empty() ? std::string() : problems.front().key;
  };
  const std::string server = "server = 'https://a'\n";
  EXPECT_EQ(problem(""), "server");
  EXPECT_EQ(problem("server = 'http://a'"), "server");
  EXPECT_EQ(problem(server + "country = 'de'"), "country");
  EXPECT_EQ(problem(server + "latitude = 1"), "longitude");
  EXPECT_EQ(problem(server + "region = 'x'"), "country");
  EXPECT_EQ(problem(server + "interface = 'a b'"), "interface");
  EXPECT_EQ(problem(server + "interface = 'a%d%d'"), "interface");
  EXPECT_EQ(problem(server + "interface = 'a%s'"), "interface");
  EXPECT_EQ(problem(server + "prefix_v4 = '10.0.0.0/30'"), "prefix_v4");
  EXPECT_EQ(problem(server + "prefix_v4 = '10.0.0.0/7'"), "prefix_v4");
  EXPECT_EQ(problem(server + "prefix_v4 = '198.51.100.0/24'"), "prefix_v4");
  EXPECT_EQ(problem(server + "prefix_v4 = '100.80.0.0/16'"), "");
  EXPECT_EQ(problem(server + "prefix_v6 = '2001:db8::/64'"), "prefix_v6");
  EXPECT_EQ(problem(server), "");
}

TEST(Metrics, ComeFromDifferences) {
  EXPECT_EQ(parse_cpu_times("intr 1"), std::nullopt);
  EXPECT_EQ(parse_cpu_times("cpu 1 2"), std::nullopt);
  const auto first = parse_cpu_times("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\n");
  const auto second = parse_cpu_times("cpu  150 0 100 750 100 0 0 0 0 0\n");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->busy, 200u);
  EXPECT_EQ(first->total, 1000u);
  const auto memory = parse_memory_usage("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n");
  EXPECT_EQ(memory, 75.0);
  EXPECT_EQ(parse_memory_usage("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), std::nullopt);

  MetricsCollector collector;
  const Instant start{};
  collector.reckon(start, first, memory, {1000, 1000}, 1, 10ms);
  const auto metrics = collector.reckon(start + 2s, second, memory, {2'501'000, 1'000}, 2, 26ms);
  EXPECT_DOUBLE_EQ(metrics.cpu_usage, 50);
  EXPECT_DOUBLE_EQ(metrics.memory_usage, 75);
  EXPECT_DOUBLE_EQ(metrics.bandwidth.up, 10);
  EXPECT_DOUBLE_EQ(metrics.bandwidth.down, 0);
  EXPECT_DOUBLE_EQ(metrics.latency, 26);
  EXPECT_DOUBLE_EQ(metrics.jitter, 1);
  EXPECT_EQ(metrics.active_connections, 2u);
  const auto shrunk = collector.reckon(start + 3s, second, memory, {0, 0}, 0, std::nullopt);
  EXPECT_DOUBLE_EQ(shrunk.bandwidth.up, 0);
  EXPECT_DOUBLE_EQ(shrunk.latency, 26) << "the last known one stands";
}

TEST(Metrics, OfThisHostAreInRange) {
  MetricsCollector collector;
  const auto metrics = collector.collect(Instant{}, {}, 0, std::nullopt);
  EXPECT_GT(metrics.memory_usage, 0);
  EXPECT_LE(metrics.memory_usage, 100);
}

TEST(Privacy, AddressesAreCutToANetwork) {
  const PrivacyManager careful(PrivacySettings{});
  EXPECT_EQ(careful.address(IpAddress::parse("192.0.2.77").value()), "192.0.2.0/24");
  EXPECT_EQ(careful.address(IpAddress::parse("::ffff:192.0.2.77").value()), "192.0.2.0/24");
  EXPECT_EQ(careful.address(IpAddress::parse("2001:db8:1:2::3").value()), "2001:db8:1::/48");
  PrivacySettings open;
  open.anonymize_ips = false;
  EXPECT_EQ(PrivacyManager(open).address(IpAddress::parse("192.0.2.77").value()), "192.0.2.77");
}

TEST(Registration, SaysWhatTheServerWantsToKnow) {
  const testing_support::TemporaryDirectory directory;
  SystemRandom random;
  auto identity = Identity::load_or_create(directory.path(), random).value();
  const auto certificate = identity.certify({}, from_unix_seconds(1'800'000'000)).value();
  Settings settings;
  settings.country = "DE";
  HostNetworks networks;
  networks.primary_v4 = IpAddress::parse("10.2.0.2");
  const auto prefix = IpPrefix::parse("10.99.0.0/16").value();
  const auto request = make_registration({.settings = settings,
                                          .identity = identity,
                                          .networks = networks,
                                          .certificate = certificate,
                                          .tunnel_prefixes = {prefix},
                                          .listen_port = 51820,
                                          .metrics = {}},
                                         std::string(43, 'A'));
  // What is sent is what the server's own decoder takes.
  const auto decoded = api::decode<api::RegisterRequest>(api::encode(request));
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(decoded->node_id, identity.node_id());
  EXPECT_EQ(decoded->tunnel_prefixes, std::vector{prefix});
  EXPECT_EQ(decoded->network_info.local_port, 51820);
  EXPECT_TRUE(
      api::verify_key_certificate(decoded->key_certificate, decoded->node_id, from_unix_seconds(1'800'000'001)));
}

TEST(Networks, OwnOnesWithoutTheTunnelAndWithoutWhatCoversEverything) {
  const auto address = [](const char* text) { return IpAddress::parse(text).value(); };
  const auto prefix = [](const char* text) { return IpPrefix::parse(text).value(); };
  const std::vector<tunnel::InterfaceAddress> addresses = {{"lo", address("127.0.0.1"), 8},
                                                           {"eth0", address("203.0.113.7"), 24},
                                                           {"eth0", address("fe80::1"), 64},
                                                           {"eth0", address("2001:db8::7"), 64},
                                                           {"higgs-node0", address("10.99.0.1"), 32}};
  tunnel::Route fallback, gateway_route, local, tunnel_route, half;
  fallback.prefix = prefix("0.0.0.0/0");
  fallback.ifname = "eth0";
  fallback.gateway = address("203.0.113.1");
  gateway_route.prefix = prefix("198.51.100.0/24");
  gateway_route.ifname = "eth0";
  gateway_route.gateway = address("203.0.113.2");
  local.prefix = prefix("172.31.0.0/16");
  local.ifname = "docker0";
  tunnel_route.prefix = prefix("10.99.0.0/16");
  tunnel_route.ifname = "higgs-node0";
  half.prefix = prefix("128.0.0.0/1");
  half.ifname = "tun7";
  tunnel::Route fallback6;
  fallback6.prefix = prefix("::/0");
  fallback6.ifname = "eth0";
  fallback6.gateway = address("fe80::2");
  tunnel::Route many_gateways, everything6, delegated;
  many_gateways.prefix = prefix("192.0.2.0/25");
  everything6.prefix = prefix("2000::/3");
  everything6.ifname = "eth0";
  everything6.gateway = address("fe80::2");
  delegated.prefix = prefix("2001:db8:77:1200::/60");
  delegated.ifname = "eth0";
  delegated.gateway = address("fe80::3");
  const auto networks = summarize(addresses, {fallback, gateway_route, local, tunnel_route, half, many_gateways},
                                  {fallback6, everything6, delegated}, "higgs-node0");
  EXPECT_EQ(networks.primary_v4, address("203.0.113.7"));
  EXPECT_EQ(networks.primary_v6, address("2001:db8::7"));
  const std::set<IpPrefix> own(networks.own.begin(), networks.own.end());
  EXPECT_EQ(own, (std::set<IpPrefix>{prefix("127.0.0.0/8"), prefix("127.0.0.1/32"), prefix("203.0.113.0/24"),
                                     prefix("203.0.113.7/32"), prefix("fe80::/64"), prefix("fe80::1/128"),
                                     prefix("2001:db8::/64"), prefix("2001:db8::7/128"), prefix("172.31.0.0/16"),
                                     // What lies behind gateways, and these.
                                     prefix("198.51.100.0/24"), prefix("192.0.2.0/25"), prefix("203.0.113.1/32"),
                                     prefix("203.0.113.2/32"), prefix("2001:db8:77:1200::/60"), prefix("fe80::2/128"),
                                     prefix("fe80::3/128"),
                                     // The home's other networks.
                                     prefix("2001:db8::/56")}));
}

TEST(Conflicts, AreForwardChainsThatIptablesDoesNotKeep) {
  const auto* listed =
      "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"
      "table inet firewalld {\n\tchain filter_FORWARD {\n\t\ttype filter hook forward priority filter + 10; policy "
      "accept;\n\t}\n\tchain b {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n"
      "table inet other {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"
      "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
  EXPECT_EQ(forward_tables(listed), (std::vector<std::string>{"inet firewalld", "inet filter"}));
  EXPECT_TRUE(forward_tables("").empty());
  EXPECT_TRUE(find_firewall_conflicts([](const auto&, std::string_view) {
                return tunnel::CommandResult{.found = false, .out = {}, .err = {}};
              }).empty());
}

TEST(StatusText, SaysWhenThePolicyIsNotInForce) {
  nlohmann::json status = {
      {"nodeId", "n"},
      {"uptimeSeconds", 3700},
      {"server", {{"url", "https://a"}, {"registered", false}, {"pending", false}, {"lastError", "no answer"}}},
      {"relay", {{"up", false}, {"url", ""}, {"lastError", ""}}},
      {"tunnel", {{"interface", "higgs-node0"}, {"prefixes", {"10.99.0.0/16"}}}},
      {"egress", {{"inForce", false}}},
      {"maxConnections", 5},
      {"traversal", {{"enabled", false}}},
      {"sessions", {{{"id", "s"}, {"seconds", 5}, {"linked", false}, {"bytesFromClient", 2048}}}}};
  const auto text = status_text(status);
  EXPECT_NE(text.find("NOT IN FORCE"), text.npos);
  EXPECT_NE(text.find("not registered (no answer)"), text.npos);
  EXPECT_NE(text.find("1 h 1 min"), text.npos);
  EXPECT_NE(text.find("2.0 KiB from the client, 0 B to it, waits for the relay"), text.npos) << text;
}

TEST(StatusText, ShowsPathAndPort) {
  const nlohmann::json mapped = {{"external", "198.51.100.1:5000"}, {"protocol", "PCP"}};
  nlohmann::json status = {
      {"nodeId", "n"},
      {"uptimeSeconds", 10},
      {"server", {{"url", "https://a"}, {"registered", true}, {"pending", false}, {"lastError", ""}}},
      {"relay", {{"up", false}, {"url", ""}, {"lastError", "gone"}}},
      {"tunnel", {{"interface", "higgs-node0"}, {"prefixes", {"10.99.0.0/16"}}}},
      {"egress", {{"inForce", true}}},
      {"maxConnections", 5},
      {"traversal",
       {{"enabled", true},
        {"listenPort", 5000},
        {"reflexive", {"203.0.113.2:5000"}},
        {"portMapping", {{"mappings", nlohmann::json::array({mapped})}, {"doubleNat", true}}}}},
      {"sessions",
       {{{"id", "s"},
         {"seconds", 200},
         {"linked", false},
         {"path", "direct-v4"},
         {"pathReason", "better-kind"},
         {"pathSeconds", 180},
         {"roundTripMs", 12.34},
         {"lossPercent", 2.0}}}}};
  const auto text = status_text(status);
  EXPECT_NE(text.find("direct-v4, 12.3 ms, loss 2 %, for 3 min (better-kind)"), text.npos) << text;
  EXPECT_NE(text.find("port 5000, seen as 203.0.113.2:5000, mapped to 198.51.100.1:5000 by PCP, the router is itself"),
            text.npos)
      << text;
}

}  // namespace
}  // namespace higgs::node
