#include "api/json.h"

#include <gtest/gtest.h>

#include "api/account.h"
#include "api/node.h"
#include "api/problem.h"
#include "api/routing.h"

namespace higgs::api {
namespace {

RegisterRequest sample_registration() {
  SeededRandom random(1);
  const auto identity = crypto::make_ed25519_key(random);
  RegisterRequest request;
  request.identity_key = crypto::public_key_of_ed25519(identity);
  request.node_id = node_id_of(request.identity_key);
  request.public_key = crypto::public_key_of(crypto::make_private_key(random));
  request.nonce = std::string(43, 'a');
  request.key_certificate = sign_key_certificate(identity, request.public_key, 3, 2'000'000'000, {{25, 465, 587}});
  request.tunnel_prefixes = {*IpPrefix::parse("10.77.0.0/16"), *IpPrefix::parse("fd00:77::/64")};
  request.network_info.ipv4 = *IpAddress::parse("198.51.100.7");
  request.network_info.stun_mapped_address = Endpoint::parse("198.51.100.7:4000");
  request.network_info.local_port = 51820;
  request.capabilities = {100, {50.5, 100}, true, true};
  request.location = Location{"DE", "Berlin", Coordinates{52.5, 13.4}};
  return request;
}

TEST(Json, RegistrationSurvivesARoundTrip) {
  const auto request = sample_registration();
  const auto text = encode(request);
  const auto back = decode<RegisterRequest>(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(encode(*back), text);
  EXPECT_EQ(back->node_id, request.node_id);
  EXPECT_EQ(back->key_certificate, request.key_certificate);
  EXPECT_EQ(back->network_info.stun_mapped_address, request.network_info.stun_mapped_address);
  EXPECT_EQ(back->location->coordinates, request.location->coordinates);
}

TEST(Json, EveryFaultIsNamedWithItsPointer) {
  auto text = encode(sample_registration());
  const auto replace = [&](std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    ASSERT_NE(at, text.npos) << from;
    text.replace(at, from.size(), to);
  };
  replace("\"natType\":\"Unknown\"", "\"natType\":\"Weird\"");
  replace("\"ipv4\":\"198.51.100.7\",", "");
  replace("\"localPort\":51820", "\"localPort\":70000");
  replace("\"routing\":true", "\"routing\":1");
  replace("\"10.77.0.0/16\"", "\"10.77.0.0/99\"");
  const auto result = decode<RegisterRequest>(text);
  ASSERT_FALSE(result);
  std::vector<std::string> pointers;
  for (const auto& error : result.error().list) pointers.push_back(error.pointer);
  EXPECT_EQ(pointers, (std::vector<std::string>{"/tunnelPrefixes/0", "/networkInfo/ipv4", "/networkInfo/natType",
                                                "/networkInfo/localPort", "/capabilities/routing"}));
}

TEST(Json, UnknownFieldsAreIgnoredAndNullablesMayBeAbsent) {
  const auto requirements = decode<RoutingRequest>(
      R"({"clientId":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","new":{"x":[1]},
          "wireguardPublicKey":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
          "requirements":{"maxLatency":null},"clientNetworkInfo":{"natType":"Symmetric"}})");
  ASSERT_TRUE(requirements) << requirements.error().to_string();
  EXPECT_FALSE(requirements->target_node_id);
  EXPECT_FALSE(requirements->requirements.max_latency);
  EXPECT_EQ(requirements->client_network_info.nat_type, NatType::kSymmetric);
}

TEST(Json, HostileTextIsAFaultOfTheBody) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("\xff\xfe"),
        std::string("{\"username\":\"a\",\"password\":\"\xc3\x28\"}"), std::string(60000, '['),
        std::string("{\"username\":\"a\"}x"), std::string("{\"username\":1e999,\"password\":\"12345678\"}")}) {
    const auto result = decode<LoginRequest>(text);
    ASSERT_FALSE(result) << text.substr(0, 40);
    EXPECT_FALSE(result.error().list.empty());
  }
}

TEST(Json, StringsAndListsAreBounded) {
  const auto long_name = decode<LoginRequest>(R"({"username":")" + std::string(65, 'u') + R"(","password":"x"})");
  ASSERT_FALSE(long_name);
  EXPECT_EQ(long_name.error().list.at(0).pointer, "/username");
  EXPECT_FALSE(decode<CreateUserRequest>(R"({"username":"u","password":"short","role":"user"})"));
  EXPECT_FALSE(decode<LoginRequest>(R"({"username":"a\u0000b","password":"x"})"));
}

TEST(Json, ErrorsAreBounded) {
  std::string text = R"({"metrics":{},"status":"online","actionResults":[)";
  for (int i = 0; i < 1000; ++i) text += i == 0 ? "1" : ",1";
  const auto result = decode<HeartbeatRequest>(text + "]}");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().list.size(), kMaxFieldErrors);
}

TEST(Json, MetricsAreGroupedAsDocumented) {
  MetricsReport report;
  report.node_id = sample_registration().node_id;
  report.timestamp = 1'700'000'000;
  report.bytes_sent = 18'000'000'000'000'000'000u;
  const auto text = encode(report);
  EXPECT_NE(text.find(R"("wireguard":{"packets":{"sent":0,"received":0,"errors":0},"bytes":{"sent":18)"), text.npos);
  const auto back = decode<MetricsReport>(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->bytes_sent, report.bytes_sent);
  const auto bad = decode<MetricsReport>(R"({"nodeId":1,"timestamp":1,"metrics":{"network":[],"system":{}}})");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().to_string().find("/metrics/network: is not an object"), std::string::npos);
  EXPECT_NE(bad.error().to_string().find("/metrics/connections: is missing"), std::string::npos);
}

TEST(Json, ProblemCarriesErrorsAndWhatWasRuledOut) {
  auto problem = Problem::make(409, "no-node-fits", "No node fits", "3 nodes were considered");
  problem.errors = {{"/a", "is missing"}};
  problem.ruled_out = {{"country", 2}, {"latency", 1}};
  const auto back = decode<Problem>(encode(problem));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_TRUE(back->is("no-node-fits"));
  EXPECT_EQ(back->errors, problem.errors);
  EXPECT_EQ(back->ruled_out, problem.ruled_out);
}

TEST(Json, PendingRegistrationSaysSo) {
  RegisterResponse response;
  response.session_token = response.relay_token = "t";
  response.pending = true;
  const auto text = encode(response);
  EXPECT_NE(text.find(R"("status":"pending")"), text.npos);
  EXPECT_TRUE(decode<RegisterResponse>(text)->pending);
  response.pending = false;
  EXPECT_FALSE(decode<RegisterResponse>(encode(response))->pending);
}

TEST(Json, RolesAndNamesParse) {
  EXPECT_EQ(parse_role("operator"), Role::kOperator);
  EXPECT_EQ(parse_role("root"), std::nullopt);
  EXPECT_EQ(to_string(NatType::kPortRestricted), "PortRestricted");
}

}  // namespace
}  // namespace higgs::api
