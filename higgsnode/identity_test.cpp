#include "higgsnode/identity.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "api/registration_signature.h"
#include "higgsnode/testing/temporary_directory.h"
#include "higgsnode/tunnel_prefixes.h"
#include "runtime/files.h"

namespace higgs::node {
namespace {

using testing_support::TemporaryDirectory;

const WallTime kNow = from_unix_seconds(1'800'000'000);

unsigned mode_of(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777u : 0;
}

TEST(Identity, IsMadeOnceAndKeptPrivately) {
  const TemporaryDirectory directory;
  SystemRandom random;
  const auto first = Identity::load_or_create(directory.path(), random).value();
  EXPECT_EQ(mode_of(directory.path() / "identity.key"), 0600u);
  EXPECT_EQ(mode_of(directory.path() / "wireguard.key"), 0600u);
  const auto second = Identity::load_or_create(directory.path(), random).value();
  EXPECT_EQ(first.node_id(), second.node_id());
  EXPECT_EQ(first.wireguard_public_key(), second.wireguard_public_key());
  EXPECT_EQ(first.node_id(), api::node_id_of(first.identity_key()));
  EXPECT_EQ(crypto::public_key_of(first.wireguard_key()), first.wireguard_public_key());
}

TEST(Identity, TheCertificateSequenceOnlyGrowsAlsoOverRestarts) {
  const TemporaryDirectory directory;
  SystemRandom random;
  auto identity = Identity::load_or_create(directory.path(), random).value();
  const auto one = identity.certify({}, kNow).value();
  const auto two = identity.certify({}, kNow).value();
  EXPECT_LT(one.sequence, two.sequence);
  auto restarted = Identity::load_or_create(directory.path(), random).value();
  const auto three = restarted.certify({}, kNow).value();
  EXPECT_LT(two.sequence, three.sequence);
  EXPECT_TRUE(api::verify_key_certificate(three, restarted.node_id(), kNow));
  EXPECT_FALSE(api::verify_key_certificate(three, restarted.node_id(), kNow + Identity::kCertificateLifetime * 2));
}

TEST(Identity, ADamagedOrOpenKeyFileIsRefusedAndNeverOverwritten) {
  const TemporaryDirectory directory;
  SystemRandom random;
  ASSERT_TRUE(runtime::write_file_atomic(directory.path() / "identity.key", "not a key\n"));
  EXPECT_EQ(Identity::load_or_create(directory.path(), random).error(), IdentityError::kBadKeyFile);
  EXPECT_EQ(runtime::read_file(directory.path() / "identity.key").value(), "not a key\n");
  std::filesystem::remove(directory.path() / "identity.key");
  ASSERT_TRUE(Identity::load_or_create(directory.path(), random));
  std::filesystem::permissions(directory.path() / "wireguard.key", std::filesystem::perms(0640));
  EXPECT_EQ(Identity::load_or_create(directory.path(), random).error(), IdentityError::kOpenToOthers);
  std::filesystem::permissions(directory.path() / "wireguard.key", std::filesystem::perms(0600));
  ASSERT_TRUE(runtime::write_file_atomic(directory.path() / "certificate-sequence", "many\n"));
  EXPECT_EQ(Identity::load_or_create(directory.path(), random).error(), IdentityError::kBadSequenceFile);
}

TEST(Identity, SignsRegistrationsThatVerify) {
  const TemporaryDirectory directory;
  SystemRandom random;
  const auto identity = Identity::load_or_create(directory.path(), random).value();
  const std::string nonce(api::kNonceCharacters, 'A');
  const auto header = identity.sign_registration("https://a:1", nonce, "{}");
  EXPECT_TRUE(api::verify_registration(identity.identity_key(), header, "https://a:1", nonce, "{}"));
  EXPECT_FALSE(api::verify_registration(identity.identity_key(), header, "https://b:1", nonce, "{}"));
}

IpPrefix prefix(const char* text) { return IpPrefix::parse(text).value(); }

TEST(TunnelPrefixes, AreKeptUnlessTheyAreInTheWay) {
  SeededRandom random(1);
  const auto chosen = choose_prefixes({}, {}, {}, {prefix("10.2.0.0/24")}, true, random);
  EXPECT_TRUE(prefix("10.0.0.0/8").contains(chosen.v4.address()));
  EXPECT_EQ(chosen.v4.length(), 16u);
  EXPECT_TRUE(prefix("fd00::/8").contains(chosen.v6->address()));
  EXPECT_EQ(choose_prefixes(chosen, {}, {}, {prefix("10.2.0.0/24")}, true, random), chosen);
  const auto moved = choose_prefixes(chosen, {}, {}, {chosen.v4}, true, random);
  EXPECT_FALSE(overlap(moved.v4, chosen.v4));
  EXPECT_EQ(moved.v6, chosen.v6);
  EXPECT_EQ(choose_prefixes(chosen, {}, {}, {}, false, random).v6, std::nullopt);
}

TEST(TunnelPrefixes, AHostWithAllOfTenSlashEightGetsSharedSpace) {
  SeededRandom random(2);
  const auto chosen = choose_prefixes({}, {}, {}, {prefix("10.0.0.0/8")}, true, random);
  EXPECT_TRUE(prefix("100.64.0.0/10").contains(chosen.v4.address()));
}

TEST(TunnelPrefixes, ConfiguredOnesWin) {
  SeededRandom random(3);
  const auto chosen =
      choose_prefixes({}, prefix("10.99.0.0/16"), prefix("fd99::/64"), {prefix("10.0.0.0/8")}, true, random);
  EXPECT_EQ(chosen.v4, prefix("10.99.0.0/16"));
  EXPECT_EQ(chosen.v6, prefix("fd99::/64"));
  EXPECT_EQ(chosen.own_addresses(), (std::vector{prefix("10.99.0.1/32"), prefix("fd99::1/128")}));
}

TEST(TunnelPrefixes, AreReadAsTheyWereWritten) {
  const TemporaryDirectory directory;
  EXPECT_EQ(load_prefixes(directory.path()).value(), std::nullopt);
  const TunnelPrefixes prefixes{prefix("10.99.0.0/16"), prefix("fd99::/64")};
  ASSERT_TRUE(save_prefixes(directory.path(), prefixes));
  EXPECT_EQ(load_prefixes(directory.path()).value(), prefixes);
}

}  // namespace
}  // namespace higgs::node
