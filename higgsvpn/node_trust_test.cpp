#include "higgsvpn/node_trust.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace higgs::vpn {
namespace {

class NodeTrustTest : public ::testing::Test {
 protected:
  NodeTrustTest() {
    std::string pattern = ::testing::TempDir() + "higgs-trust-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    file_ = directory_ / "nodes.json";
  }
  ~NodeTrustTest() override { std::filesystem::remove_all(directory_); }

  NodeTrust trust() {
    NodeTrust result(file_);
    EXPECT_TRUE(result.load());
    return result;
  }
  api::NodeEndpoint offer(std::uint64_t sequence) {
    api::NodeEndpoint endpoint;
    endpoint.node_id = api::node_id_of(crypto::public_key_of_ed25519(identity_));
    endpoint.wireguard_config.public_key = wireguard_;
    endpoint.wireguard_config.key_certificate =
        api::sign_key_certificate(identity_, wireguard_, sequence, unix_seconds(now_) + 3600, {});
    return endpoint;
  }
  bool accepts(const api::NodeEndpoint& endpoint, std::optional<NodeId> wanted = std::nullopt) {
    return static_cast<bool>(trust().check(endpoint, wanted, now_));
  }

  SeededRandom random_{1};
  const WallTime now_ = from_unix_seconds(1'800'000'000);
  const crypto::Ed25519PrivateKey identity_ = crypto::make_ed25519_key(random_);
  const crypto::PublicKey wireguard_ = crypto::public_key_of(crypto::make_private_key(random_));
  std::filesystem::path directory_, file_;
};

TEST_F(NodeTrustTest, HonestNodeIsAccepted) {
  const auto endpoint = offer(5);
  EXPECT_TRUE(accepts(endpoint));
  EXPECT_TRUE(accepts(endpoint, endpoint.node_id));
  EXPECT_TRUE(accepts(offer(5))) << "the same again";
  EXPECT_TRUE(accepts(offer(6)));
}

TEST_F(NodeTrustTest, AnotherNodeIsRefused) {
  auto endpoint = offer(5);
  endpoint.node_id = NodeId(Uuid::random(random_));
  EXPECT_FALSE(accepts(endpoint)) << "the certificate does not belong to the id";
  EXPECT_FALSE(accepts(offer(5), NodeId(Uuid::random(random_)))) << "not the one asked for";
}

TEST_F(NodeTrustTest, ForgedCertificatesAreRefused) {
  auto endpoint = offer(5);
  endpoint.wireguard_config.key_certificate.signature[3] ^= std::byte{1};
  EXPECT_FALSE(accepts(endpoint));
  endpoint = offer(5);
  endpoint.wireguard_config.key_certificate.sequence = 6;
  EXPECT_FALSE(accepts(endpoint));
  endpoint = offer(5);
  // A server that puts its own key in, with a certificate of its own making.
  const auto servers_identity = crypto::make_ed25519_key(random_);
  const auto servers_key = crypto::public_key_of(crypto::make_private_key(random_));
  endpoint.wireguard_config.public_key = servers_key;
  EXPECT_FALSE(accepts(endpoint)) << "the certificate is for another key";
  endpoint.wireguard_config.key_certificate =
      api::sign_key_certificate(servers_identity, servers_key, 9, unix_seconds(now_) + 3600, {});
  EXPECT_FALSE(accepts(endpoint)) << "signed by another identity";
}

TEST_F(NodeTrustTest, ExpiredIsRefused) {
  const auto endpoint = offer(5);
  auto later = trust();
  EXPECT_FALSE(later.check(endpoint, std::nullopt, now_ + std::chrono::hours(2)));
}

TEST_F(NodeTrustTest, LowerSequenceIsRefusedAlsoAfterARestart) {
  EXPECT_TRUE(accepts(offer(5)));
  EXPECT_FALSE(accepts(offer(4)));
  EXPECT_TRUE(accepts(offer(5)));
}

TEST_F(NodeTrustTest, ServersPresharedKeyIsRefused) {
  auto endpoint = offer(5);
  endpoint.wireguard_config.preshared_key = "AAAA";
  EXPECT_FALSE(accepts(endpoint));
}

TEST_F(NodeTrustTest, DamagedMemoryIsAnError) {
  for (const char* text : {"[]", "{\"x\":1}", "nonsense", ""}) {
    std::ofstream(file_) << text;
    EXPECT_FALSE(NodeTrust(file_).load()) << text;
  }
}

}  // namespace
}  // namespace higgs::vpn
