// Logging in with a client certificate, through a whole server over real TLS.
#include <fstream>

#include "bosonserver/api/second_factor.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "crypto/password_hash.h"
#include "net/testing/certificate_authority.h"

namespace higgs::boson::testing {
namespace {

using net::testing::CertificateAuthority;

class CertificateApi : public ServerFixture {
 protected:
  CertificateApi() { settings_.client_ca = write("ca.pem", ca_.certificate_pem()); }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    auto path = settings_.state_dir / name;
    std::ofstream(path) << text;
    return path;
  }
  UserRecord add_alice() {
    return add_user("alice", api::Role::kUser, crypto::hash_password(SecretString("correct horse"), random_));
  }
  /// Calls go on connections of this client from now on.
  void be(const std::optional<net::TlsIdentity>& identity) {
    net::HttpClientOptions options;
    options.trust.spki_pins = {server_->pin()};
    options.identity = identity;
    client_ = std::make_unique<net::HttpClient>(io_.get_executor(), options);
  }
  net::HttpResponse log_in(const std::optional<std::string>& code = std::nullopt, net::HttpHeaders headers = {}) {
    api::CertificateLoginRequest body;
    if (code) body.totp = SecretString(*code);
    return call("POST", "/api/v1/auth/certificate", {}, api::encode(body), std::move(headers));
  }
  net::HttpResponse log_in_as(const net::TlsIdentity& identity) {
    be(identity);
    return log_in();
  }
  static std::string proof(const net::TlsIdentity& identity) {
    return "certificate:" + to_hex(net::read_client_certificate(identity.certificate_pem)->fingerprint);
  }
  /// The last entry about certificates: "actor | object | outcome".
  std::string last_audit() {
    for (const auto& entry : *services().store.audit(std::nullopt, 100))
      if (entry.action == "auth.certificate") return entry.actor + " | " + entry.object + " | " + entry.outcome;
    return "";
  }
  std::string detail(const net::HttpResponse& response) { return decoded<api::Problem>(response).detail; }

  CertificateAuthority ca_;
};

TEST_F(CertificateApi, ACertificateStandsForTheName_AndThePassword) {
  start();
  const auto alice = ca_.issue();
  add_alice();
  const auto tokens = decoded<api::TokenResponse>(log_in_as(alice));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens.access_token).status, 200u);
  EXPECT_EQ(call("GET", "/api/v1/users", tokens.access_token).status, 403u);
  EXPECT_EQ(last_audit(), "user:alice | user:alice " + proof(alice) + " | ok");
  be(std::nullopt);
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens.access_token).status, 200u) << "the tokens are as any";
}

TEST_F(CertificateApi, ItsLoginIsAsOthers) {
  start();
  const auto alice = add_alice();
  const auto refresh = [&](const std::string& token) {
    return call("POST", "/api/v1/auth/refresh", {}, api::encode(api::RefreshRequest{SecretString(token)}));
  };
  const auto first = decoded<api::TokenResponse>(log_in_as(ca_.issue()));
  const auto second = decoded<api::TokenResponse>(refresh(first.refresh_token));
  EXPECT_EQ(outcome(refresh(first.refresh_token)), "401 bad-refresh-token");
  EXPECT_EQ(outcome(refresh(second.refresh_token)), "401 bad-refresh-token") << "the family has ended";
  const auto third = decoded<api::TokenResponse>(log_in());
  ASSERT_TRUE(services().store.change_password(alice.id, alice.password_hash, "other", true, unix_seconds(now().wall)));
  EXPECT_EQ(call("GET", "/api/v1/nodes", third.access_token).status, 401u) << "a new password ends it, too";
}

TEST_F(CertificateApi, NoneIsNotEnough) {
  start();
  add_alice();
  be(std::nullopt);
  EXPECT_EQ(outcome(log_in()), "401 certificate-required");
  EXPECT_EQ(call("GET", "/healthz").status, 200u);
  EXPECT_EQ(call("POST", "/api/v1/auth/login", {}, R"({"username":"alice","password":"correct horse"})").status, 200u);
}

TEST_F(CertificateApi, WithoutTheSettingNobodyIsAsked) {
  settings_.client_ca.reset();
  start();
  add_alice();
  EXPECT_EQ(outcome(log_in_as(ca_.issue())), "401 certificate-required");
}

TEST_F(CertificateApi, WhatDoesNotVerifyDoesNotEvenConnect) {
  const auto revoked = ca_.issue();
  ca_.revoke(revoked);
  settings_.client_crl = write("crl.pem", ca_.crl_pem());
  start();
  add_alice();
  CertificateAuthority other;
  EXPECT_THROW(log_in_as(revoked), std::runtime_error);
  EXPECT_THROW(log_in_as(other.issue()), std::runtime_error);
  EXPECT_THROW(log_in_as(ca_.issue({.ends = -60})), std::runtime_error);
  EXPECT_THROW(log_in_as(ca_.issue({.usage = "serverAuth"})), std::runtime_error);
  EXPECT_EQ(last_audit(), "");
  EXPECT_EQ(log_in_as(ca_.issue()).status, 200u);
}

TEST_F(CertificateApi, UnknownAndDisabledUsersAreRefusedByName) {
  start();
  const auto mallory = ca_.issue({.names = {"mallory"}}), alice = ca_.issue();
  const auto record = add_alice();
  const auto unknown = log_in_as(mallory);
  EXPECT_EQ(outcome(unknown), "401 certificate-refused");
  EXPECT_EQ(detail(unknown), "there is no user of its name");
  EXPECT_EQ(last_audit(), "anonymous | user:mallory " + proof(mallory) + " | denied: unknown");
  ASSERT_TRUE(services().store.change_user(record.id, {.disabled = true}, 1));
  const auto disabled = log_in_as(alice);
  EXPECT_EQ(outcome(disabled), "401 certificate-refused");
  EXPECT_EQ(detail(disabled), "the account is disabled");
  EXPECT_EQ(last_audit(), "anonymous | user:alice " + proof(alice) + " | denied: disabled");
}

TEST_F(CertificateApi, TheSubjectNamesExactlyOneUser) {
  start();
  add_alice();
  add_user("bob", api::Role::kAdmin);
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{}, {"alice", "bob"}, {"bob", "alice"}, {"a lice"}, {std::string("alice\0", 6)}}) {
    const auto identity = ca_.issue({.names = names});
    EXPECT_EQ(outcome(log_in_as(identity)), "401 certificate-refused");
    EXPECT_EQ(last_audit(), "anonymous | " + proof(identity) + " | denied: it names no user");
  }
}

TEST_F(CertificateApi, ACodeIsWantedAsWell) {
  start();
  const auto alice = add_alice();
  const auto token = token_of(alice);
  ASSERT_EQ(call("POST", "/api/v1/auth/totp/enrol", token, R"({"password":"correct horse"})").status, 200u);
  const auto secret = open_totp_secret(services(), alice.id, services().store.totp(alice.id)->sealed);
  const auto code = [&](std::int64_t offset) {
    return totp_code(secret, totp_step(unix_seconds(now().wall)) + offset);
  };
  const auto recovery =
      decoded<api::RecoveryCodes>(call("POST", "/api/v1/auth/totp/confirm", token, R"({"totp":")" + code(0) + R"("})"));
  EXPECT_EQ(outcome(log_in_as(ca_.issue())), "401 totp-required");
  EXPECT_TRUE(last_audit().ends_with("| code missing"));
  EXPECT_EQ(outcome(log_in(code(0))), "401 totp-required") << "it confirmed";
  EXPECT_TRUE(last_audit().ends_with("| code denied"));
  EXPECT_EQ(log_in(code(1)).status, 200u);
  EXPECT_EQ(outcome(log_in(code(1))), "401 totp-required") << "once";
  EXPECT_EQ(log_in(std::string(recovery.recovery_codes.front().reveal())).status, 200u);
}

TEST_F(CertificateApi, WrongCodesLockTheAccount) {
  settings_.api.lockout.free_failures = 2;
  start();
  const auto alice = add_alice();
  const auto token = token_of(alice);
  ASSERT_EQ(call("POST", "/api/v1/auth/totp/enrol", token, R"({"password":"correct horse"})").status, 200u);
  const auto secret = open_totp_secret(services(), alice.id, services().store.totp(alice.id)->sealed);
  const auto now_code = totp_code(secret, totp_step(unix_seconds(now().wall)));
  ASSERT_EQ(call("POST", "/api/v1/auth/totp/confirm", token, R"({"totp":")" + now_code + R"("})").status, 200u);
  be(ca_.issue());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(log_in("not-a-code")), "401 totp-required");
  EXPECT_EQ(outcome(log_in("not-a-code")), "429 locked");
  EXPECT_TRUE(last_audit().ends_with("| locked"));
  EXPECT_EQ(outcome(call("POST", "/api/v1/auth/login", {}, R"({"username":"alice","password":"correct horse"})")),
            "429 locked");
}

TEST_F(CertificateApi, AConnectionDoesNotOutliveItsCertificate) {
  start();
  add_alice();
  EXPECT_EQ(log_in_as(ca_.issue()).status, 200u);
  pass(std::chrono::hours(25));
  const auto late = log_in();
  EXPECT_EQ(outcome(late), "401 certificate-refused");
  EXPECT_EQ(detail(late), "it has expired");
}

TEST_F(CertificateApi, AProxysCertificateIsNobodys) {
  settings_.proxies = {.networks = {*IpPrefix::parse("127.0.0.0/8")},
                       .header = net::TrustedProxies::Header::kForwardedFor};
  start();
  add_alice();
  be(ca_.issue());
  net::HttpHeaders forwarded;
  forwarded.set("X-Forwarded-For", "192.0.2.7");
  EXPECT_EQ(outcome(log_in(std::nullopt, forwarded)), "403 certificate-behind-proxy");
  EXPECT_EQ(outcome(log_in()), "403 certificate-behind-proxy");
}

TEST_F(CertificateApi, FilesThatCannotBeUsedEndTheStart) {
  const auto fault = [this]() -> std::string {
    try {
      start();
    } catch (const std::runtime_error& error) {
      server_.reset();
      return error.what();
    }
    return "none";
  };
  const auto good = settings_.client_ca;
  settings_.client_ca = settings_.state_dir / "missing.pem";
  EXPECT_EQ(fault(), "cannot use tls.client_ca, " + settings_.client_ca->string() + ": No such file or directory");
  settings_.client_ca = write("leaf.pem", ca_.issue().certificate_pem);
  EXPECT_TRUE(fault().starts_with("cannot use tls.client_ca, " + settings_.client_ca->string()));
  settings_.client_ca = good;
  settings_.client_crl = good;
  EXPECT_TRUE(fault().starts_with("cannot use tls.client_crl, " + good->string()));
}

}  // namespace
}  // namespace higgs::boson::testing
