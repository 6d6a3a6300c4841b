#include "tools/higgs-wg/uapi.h"

#include <gtest/gtest.h>

namespace higgs::wg {
namespace {

const std::string kKeyA(64, 'a'), kKeyB(64, 'b'), kZero(64, '0');

std::optional<SetRequest> set(const std::string& lines) {
  auto request = parse_request("set=1\n" + lines);
  if (!request || !request->set) return std::nullopt;
  return std::move(request->set);
}

TEST(Uapi, GetTakesNoLines) {
  const auto request = parse_request("get=1\n");
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->set);
  EXPECT_FALSE(parse_request("get=1\nlisten_port=1\n"));
  for (const char* bad : {"", "\n", "get", "get=2\n", "set=2\n", "set=\n", "put=1\n", "=\n"})
    EXPECT_FALSE(parse_request(bad)) << bad;
}

TEST(Uapi, EveryKeyOfASetRequest) {
  const auto request =
      set("private_key=" + kKeyA + "\nlisten_port=51820\nfwmark=51820\nreplace_peers=true\npublic_key=" + kKeyB +
          "\nupdate_only=true\npreshared_key=" + kKeyA +
          "\nendpoint=[2001:db8::1]:443\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\n"
          "allowed_ip=10.0.0.0/8\nallowed_ip=::/0\nprotocol_version=1\npublic_key=" +
          kKeyA + "\nremove=true\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(to_hex(request->private_key->reveal()), kKeyA);
  EXPECT_EQ(request->listen_port, 51820);
  EXPECT_EQ(request->fwmark, 51820u);
  EXPECT_TRUE(request->replace_peers);
  ASSERT_EQ(request->peers.size(), 2u);
  const PeerChange& peer = request->peers[0];
  EXPECT_EQ(to_hex(peer.config.public_key.bytes), kKeyB);
  EXPECT_TRUE(peer.update_only);
  EXPECT_FALSE(peer.remove);
  EXPECT_EQ(to_hex(peer.config.preshared_key->reveal()), kKeyA);
  EXPECT_EQ(peer.config.address->endpoint.to_string(), "[2001:db8::1]:443");
  EXPECT_EQ(peer.config.persistent_keepalive, std::chrono::seconds(25));
  EXPECT_TRUE(peer.config.replace_allowed_ips);
  ASSERT_EQ(peer.config.allowed_ips.size(), 2u);
  EXPECT_EQ(peer.config.allowed_ips[1].to_string(), "::/0");
  EXPECT_TRUE(request->peers[1].remove);
}

TEST(Uapi, LinkLocalEndpointsHaveAZone) {
  const auto endpoint_of = [](const std::string& text) {
    const auto request = set("public_key=" + kKeyB + "\nendpoint=" + text + "\n");
    return request ? request->peers[0].config.address->endpoint.to_string() : "none";
  };
  EXPECT_EQ(endpoint_of("[fe80::1%7]:443"), "[fe80::1%7]:443");
  EXPECT_EQ(endpoint_of("[fe80::1%lo]:443"), "[fe80::1%1]:443");
  EXPECT_EQ(endpoint_of("[fe80::1]:443"), "[fe80::1]:443");
}

TEST(Uapi, EmptySetChangesNothing) {
  const auto request = set("");
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->private_key || request->listen_port || request->fwmark || request->replace_peers);
  EXPECT_TRUE(request->peers.empty());
}

TEST(Uapi, EmptyFwmarkRemovesIt) { EXPECT_EQ(set("fwmark=\n")->fwmark, 0u); }

TEST(Uapi, AllowedIpIsRemovedWithAMinus) {
  auto request = set("public_key=" + kKeyA + "\nallowed_ip=-10.0.0.0/8\nallowed_ip=10.1.0.0/16\n");
  ASSERT_TRUE(request);
  ASSERT_EQ(request->peers.size(), 1u);
  EXPECT_EQ(request->peers[0].config.remove_allowed_ips.at(0).to_string(), "10.0.0.0/8");
  // Added, then removed: two steps, and the second makes no new peer.
  request = set("public_key=" + kKeyA + "\nallowed_ip=10.0.0.0/8\nallowed_ip=-10.0.0.0/8\nallowed_ip=-10.1.0.0/16\n");
  ASSERT_TRUE(request);
  ASSERT_EQ(request->peers.size(), 2u);
  EXPECT_TRUE(request->peers[1].update_only);
  EXPECT_EQ(request->peers[1].config.remove_allowed_ips.size(), 2u);
}

TEST(Uapi, BadLinesRefuseTheWholeRequest) {
  const std::string peer = "public_key=" + kKeyA + "\n";
  const std::string own_key = "private_key=" + kKeyA + "\n", long_key = "preshared_key=" + kKeyA + "ff\n";
  for (const std::string& bad : std::vector<std::string>{"private_key=abc\n",
                                                         "private_key=" + std::string(64, 'g') + "\n",
                                                         "private_key=" + kKeyA + "0\n",
                                                         "listen_port=65536\n",
                                                         "listen_port=-1\n",
                                                         "listen_port= 1\n",
                                                         "listen_port=\n",
                                                         "listen_port=1x\n",
                                                         "fwmark=4294967296\n",
                                                         "fwmark=0x1\n",
                                                         "replace_peers=false\n",
                                                         "remove=true\n",
                                                         "endpoint=1.2.3.4:5\n",
                                                         "public_key=\n",
                                                         "nonsense\n",
                                                         "nonsense=1\n",
                                                         peer + "listen_port=1\n",
                                                         peer + own_key,
                                                         peer + "endpoint=1.2.3.4\n",
                                                         peer + "endpoint=[2001:db8::1%1]:5\n",
                                                         peer + "endpoint=[fe80::1%no-such-interface]:5\n",
                                                         peer + "endpoint=[fe80::1%]:5\n",
                                                         peer + "endpoint=[fe80::1]%1:5\n",
                                                         peer + "endpoint=fe80::1%1:5\n",
                                                         peer + "endpoint=example.com:1\n",
                                                         peer + "endpoint=1.2.3.4:65536\n",
                                                         peer + "persistent_keepalive_interval=65536\n",
                                                         peer + "persistent_keepalive_interval=off\n",
                                                         peer + "allowed_ip=10.0.0.0/33\n",
                                                         peer + "allowed_ip=\n",
                                                         peer + "allowed_ip=--10.0.0.0/8\n",
                                                         peer + "protocol_version=2\n",
                                                         peer + "update_only=1\n",
                                                         peer + long_key,
                                                         std::string("listen_port=1\0\n", 15)})
    EXPECT_FALSE(set(bad)) << bad;
}

TEST(Uapi, StateIsWrittenAsWgReadsIt) {
  DeviceState state;
  EXPECT_EQ(format_state(state), "");
  state.private_key.reveal_mutable()[0] = std::byte{0xab};
  state.listen_port = 7;
  state.fwmark = 9;
  wireguard::PeerStatus peer;
  peer.public_key.bytes[31] = std::byte{1};
  peer.address = wireguard::PeerAddress{0, *Endpoint::parse("1.2.3.4:5")};
  peer.last_handshake = WallTime(std::chrono::nanoseconds(5'000'000'006));
  peer.sent_bytes = 11;
  peer.received_bytes = 12;
  peer.persistent_keepalive = std::chrono::seconds(25);
  peer.allowed_ips = {*IpPrefix::parse("10.0.0.0/8")};
  state.peers.push_back(peer);
  const std::string key(62, '0');
  EXPECT_EQ(format_state(state), "private_key=ab" + key + "\nlisten_port=7\nfwmark=9\npublic_key=" + key +
                                     "01\npreshared_key=" + kZero +
                                     "\nprotocol_version=1\nendpoint=1.2.3.4:5\nlast_handshake_time_sec=5\n"
                                     "last_handshake_time_nsec=6\ntx_bytes=11\nrx_bytes=12\n"
                                     "persistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\n");
}

TEST(Uapi, PeerBehindARelayHasNoEndpoint) {
  DeviceState state;
  state.peers.emplace_back().address = wireguard::PeerAddress{7, {}};
  EXPECT_EQ(format_state(state).find("endpoint"), std::string::npos);
}

TEST(Uapi, ErrnoIsNegative) {
  EXPECT_EQ(format_errno(0), "errno=0\n\n");
  EXPECT_EQ(format_errno(22), "errno=-22\n\n");
}

}  // namespace
}  // namespace higgs::wg
