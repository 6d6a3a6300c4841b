#include "higgsvpn/login_certificate.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "net/testing/certificate_authority.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

using Wish = net::testing::CertificateAuthority::Wish;

class LoginCertificateTest : public ::testing::Test {
 protected:
  LoginCertificateTest() {
    std::string pattern = ::testing::TempDir() + "higgs-certificate-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~LoginCertificateTest() override { std::filesystem::remove_all(directory_); }

  void write(const net::TlsIdentity& identity, mode_t mode = 0600) {
    EXPECT_TRUE(runtime::write_file_atomic(certificate(), identity.certificate_pem, 0644));
    EXPECT_TRUE(runtime::write_file_atomic(key(), identity.private_key_pem.reveal(), mode));
  }
  std::filesystem::path certificate() const { return directory_ / "alice.crt"; }
  std::filesystem::path key() const { return directory_ / "alice.key"; }
  Outcome<LoginCertificate> read() const { return read_login_certificate(certificate(), key()); }
  std::string fault() const {
    const auto made = read();
    return made ? "none" : made.error().message;
  }

  net::testing::CertificateAuthority ca_;
  std::filesystem::path directory_;
};

TEST_F(LoginCertificateTest, NamesItsUser) {
  const auto identity = ca_.issue();
  write(identity);
  const auto made = read();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->username, "alice");
  EXPECT_EQ(made->identity.certificate_pem, identity.certificate_pem);
  EXPECT_TRUE(made->identity.private_key_pem == identity.private_key_pem);
}

TEST_F(LoginCertificateTest, OneFileMayHoldBoth) {
  const auto identity = ca_.issue();
  const auto both = std::string(identity.private_key_pem.reveal()) + identity.certificate_pem;
  ASSERT_TRUE(runtime::write_file_atomic(key(), both));
  EXPECT_TRUE(read_login_certificate(key(), key()));
}

TEST_F(LoginCertificateTest, AKeyThatOthersMayReadIsRefused) {
  write(ca_.issue(), 0644);
  const auto refused = read();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "others may read the key " + key().string());
  EXPECT_EQ(refused.error().remedy, "chmod 600 " + key().string());
}

TEST_F(LoginCertificateTest, FilesThatCannotBeUsedAreTold) {
  EXPECT_EQ(fault(), "cannot read the certificate " + certificate().string() + ": No such file or directory");
  write(ca_.issue());
  ASSERT_TRUE(runtime::remove_file(key()));
  EXPECT_EQ(fault(), "cannot read the key " + key().string() + ": No such file or directory");
  ASSERT_TRUE(runtime::write_file_atomic(key(), ca_.issue().private_key_pem.reveal()));
  EXPECT_EQ(fault(), key().string() + " is not the key of " + certificate().string());
  ASSERT_TRUE(runtime::write_file_atomic(key(), "nonsense"));
  EXPECT_TRUE(fault().starts_with("cannot use the key " + key().string()));
  ASSERT_TRUE(runtime::write_file_atomic(certificate(), "nonsense"));
  EXPECT_TRUE(fault().starts_with("cannot use the certificate " + certificate().string()));
}

TEST_F(LoginCertificateTest, CertificatesThatNoServerWouldTakeAreNotSent) {
  write(ca_.issue({.ends = -60}));
  EXPECT_EQ(fault(), "the certificate " + certificate().string() + " has expired");
  write(ca_.issue({.names = {}}));
  EXPECT_EQ(fault(), certificate().string() + " does not name one user");
  write(ca_.issue({.names = {"alice", "bob"}}));
  EXPECT_EQ(fault(), certificate().string() + " does not name one user");
}

}  // namespace
}  // namespace higgs::vpn
