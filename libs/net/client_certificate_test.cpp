// Certificates of clients, over real TLS: which a server takes, which end the handshake, and what it is told of them.
#include "net/client_certificate.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <gtest/gtest.h>

#include "net/endpoint_convert.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/testing/certificate_authority.h"
#include "net/testing/coroutine_test.h"
#include "runtime/clock.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::CertificateAuthority;
using testing::run;
using testing::run_until;
using Wish = CertificateAuthority::Wish;

const IpAddress kLoopback = IpAddress::v4(0x7f000001);

class ClientCertificateTest : public ::testing::Test {
 protected:
  ClientCertificateTest() : own_(*make_self_signed({"boson.test"}, 30)) {}

  TlsTrust pinned() const { return {.spki_pins = {*spki_pin_of(own_.certificate_pem)}, .ca_file = std::nullopt}; }
  TlsContext server(const std::optional<TlsClientTrust>& trust) const {
    auto context = *TlsContext::server(own_.certificate_pem, own_.private_key_pem);
    if (trust) {
      EXPECT_TRUE(context.ask_for_certificates(*trust));
    }
    return context;
  }
  TlsClientTrust trust(bool with_list = false) const {
    return {ca_.certificate_pem(), with_list ? std::optional(ca_.crl_pem()) : std::nullopt};
  }

  struct Meeting {
    Result<void> server = TlsError::kWantRead;
    Result<std::size_t> client = TlsError::kWantRead;  ///< of its first read: TLS 1.3 tells it no sooner
    std::optional<ClientCertificate> certificate;
    std::string distrust;
  };
  Meeting meet(const TlsContext& server, const TlsContext& client) {
    tcp::acceptor acceptor(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    tcp::socket near(context_), far(context_);
    near.connect(acceptor.local_endpoint());
    acceptor.accept(far);
    TlsStream at_client(std::move(near), client), at_server(std::move(far), server);
    Meeting meeting;
    int ended = 0;
    auto one = [&]() -> asio::awaitable<void> {
      meeting.server = co_await at_server.accept();
      meeting.certificate = at_server.client_certificate();
      meeting.distrust = at_server.distrust();
      if (meeting.server) co_await at_server.write_all(as_bytes("x"));
      ++ended;
    };
    auto two = [&]() -> asio::awaitable<void> {
      auto connecting = at_client.connect("boson.test");
      const auto connected = co_await std::move(connecting);
      EXPECT_TRUE(connected);
      ByteArray<1> first{};
      meeting.client = co_await at_client.read_some(first);
      ++ended;
    };
    asio::co_spawn(context_, one, asio::detached);
    asio::co_spawn(context_, two, asio::detached);
    run_until(context_, [&] { return ended == 2; });
    return meeting;
  }
  Meeting meet(const TlsClientTrust& trust, const std::optional<TlsIdentity>& identity) {
    return meet(server(trust), *TlsContext::client(pinned(), identity));
  }
  /// The server's reason; "" where it takes the certificate.
  std::string refusal(const TlsClientTrust& trust, const TlsIdentity& identity) {
    const auto meeting = meet(trust, identity);
    if (meeting.server) return "";
    EXPECT_EQ(meeting.server.error(), make_error_code(TlsError::kUntrusted));
    EXPECT_EQ(meeting.client.error(), make_error_code(TlsError::kCertificateRefused));
    EXPECT_FALSE(meeting.certificate);
    return meeting.distrust;
  }

  asio::io_context context_;
  SelfSigned own_;
  CertificateAuthority ca_;
};

TEST_F(ClientCertificateTest, AGoodOneIsSeenByTheServer) {
  const auto identity = ca_.issue();
  const auto meeting = meet(trust(), identity);
  EXPECT_TRUE(meeting.server) << meeting.distrust;
  EXPECT_TRUE(meeting.client);
  ASSERT_TRUE(meeting.certificate);
  EXPECT_EQ(meeting.certificate->common_names, std::vector<std::string>{"alice"});
  EXPECT_EQ(meeting.certificate->fingerprint, read_client_certificate(identity.certificate_pem)->fingerprint);
  const auto left = meeting.certificate->not_after - runtime::now().wall;
  EXPECT_GT(left, std::chrono::hours(23));
  EXPECT_LT(left, std::chrono::hours(25));
}

TEST_F(ClientCertificateTest, NoneIsAsGoodAsBefore) {
  const auto meeting = meet(trust(true), std::nullopt);
  EXPECT_TRUE(meeting.server);
  EXPECT_TRUE(meeting.client);
  EXPECT_FALSE(meeting.certificate);
}

TEST_F(ClientCertificateTest, AServerThatAsksForNoneSeesNone) {
  const auto meeting = meet(server(std::nullopt), *TlsContext::client(pinned(), ca_.issue()));
  EXPECT_TRUE(meeting.server);
  EXPECT_TRUE(meeting.client);
  EXPECT_FALSE(meeting.certificate);
}

TEST_F(ClientCertificateTest, WhatDoesNotVerifyEndsTheHandshake) {
  CertificateAuthority other;
  EXPECT_NE(refusal(trust(), other.issue()), "") << "of another CA, though with the same name";
  EXPECT_EQ(refusal(trust(), ca_.issue({.ends = -60})), "certificate has expired");
  EXPECT_EQ(refusal(trust(), ca_.issue({.begins = 3600})), "certificate is not yet valid");
  const auto own = make_self_signed({"alice"}, 30);
  EXPECT_NE(refusal(trust(), {own->certificate_pem, SecretString(own->private_key_pem)}), "");
}

TEST_F(ClientCertificateTest, OnlyCertificatesForClientsAreTaken) {
  EXPECT_NE(refusal(trust(), ca_.issue({.usage = ""})), "") << "it must say so";
  EXPECT_NE(refusal(trust(), ca_.issue({.usage = "serverAuth"})), "");
  EXPECT_EQ(refusal(trust(), ca_.issue({.usage = "serverAuth,clientAuth"})), "");
}

TEST_F(ClientCertificateTest, RevokedOnesAreRefused) {
  const auto first = ca_.issue(), second = ca_.issue();
  ca_.revoke(first);
  EXPECT_EQ(refusal(trust(), first), "") << "without a list nobody knows";
  EXPECT_EQ(refusal(trust(true), first), "certificate revoked");
  EXPECT_EQ(refusal(trust(true), second), "");
  EXPECT_EQ(refusal({ca_.certificate_pem(), ca_.crl_pem(-60)}, second), "CRL has expired");
}

TEST_F(ClientCertificateTest, EachOfSeveralCasNeedsAList) {
  CertificateAuthority other("other CA");
  const auto both = ca_.certificate_pem() + other.certificate_pem();
  EXPECT_EQ(refusal({both, std::nullopt}, other.issue()), "");
  EXPECT_NE(refusal({both, ca_.crl_pem()}, other.issue()), "") << "a list that is missing revokes nothing";
}

TEST_F(ClientCertificateTest, ATicketBringsTheCertificateBack) {
  const auto at_server = server(trust());
  const auto client = *TlsContext::client(pinned(), ca_.issue());
  for (int i = 0; i < 3; ++i) {
    const auto meeting = meet(at_server, client);
    EXPECT_TRUE(meeting.server && meeting.client);
    ASSERT_TRUE(meeting.certificate) << i;
    EXPECT_EQ(meeting.certificate->common_names, std::vector<std::string>{"alice"});
  }
}

TEST_F(ClientCertificateTest, EveryCommonNameIsRead) {
  const std::string nul("a\0b", 3);
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{}, {"alice", "bob"}, {"\u00e4l"}, std::vector<std::string>{nul}}) {
    const auto meeting = meet(trust(), ca_.issue({.names = names}));
    ASSERT_TRUE(meeting.certificate) << meeting.distrust;
    EXPECT_EQ(meeting.certificate->common_names, names);
  }
}

TEST_F(ClientCertificateTest, FilesThatCannotBeUsedAreTold) {
  auto context = server(std::nullopt);
  const auto told = [&](const std::string& ca, const std::optional<std::string>& crl) {
    return context.ask_for_certificates({ca, crl}).error();
  };
  const auto good = ca_.certificate_pem(), leaf = ca_.issue().certificate_pem;
  auto broken = good;
  broken.replace(broken.size() / 2, 4, "!!!!");
  for (const auto& ca : {std::string(), std::string("nonsense"), leaf, good + leaf, good + broken})
    EXPECT_EQ(told(ca, std::nullopt), make_error_code(TlsError::kBadClientCa)) << ca;
  for (const auto& crl : {std::string(), std::string("nonsense"), good})
    EXPECT_EQ(told(good, crl), make_error_code(TlsError::kBadClientCrl)) << crl;
  EXPECT_FALSE(read_client_certificate("nonsense"));
}

TEST_F(ClientCertificateTest, AnIdentityThatCannotBeUsedIsTold) {
  const auto one = ca_.issue(), other = ca_.issue();
  const auto told = [&](const std::string& certificate, const SecretString& key) {
    return TlsContext::client(pinned(), TlsIdentity{certificate, key}).error();
  };
  EXPECT_EQ(told(one.certificate_pem, other.private_key_pem), make_error_code(TlsError::kKeyMismatch));
  EXPECT_EQ(told("nonsense", one.private_key_pem), make_error_code(TlsError::kBadCertificate));
  EXPECT_EQ(told(one.certificate_pem, SecretString("nonsense")), make_error_code(TlsError::kBadPrivateKey));
}

// --- through HTTP

class HttpClientCertificateTest : public ClientCertificateTest {
 protected:
  void start(const TrustedProxies& proxies = {}) {
    HttpHandlers handlers;
    handlers.request = [this](HttpRequest request) -> asio::awaitable<HttpResponse> {
      seen_ = std::move(request);
      if (meanwhile_) meanwhile_();
      co_return HttpResponse{};
    };
    handlers.has_room_for_request = [this] { return in_parts_ = true; };
    server_.emplace(context_.get_executor(), server(trust(true)), std::move(handlers), HttpServerLimits{}, proxies);
    where_ = *server_->listen({kLoopback, 0});
  }
  void TearDown() override {
    client_.reset();
    auto stopping = server_->stop(std::chrono::milliseconds(0));
    run(context_, std::move(stopping));
  }
  Result<HttpResponse> get(const std::optional<TlsIdentity>& identity, HttpHeaders headers = {}) {
    HttpClientOptions options;
    options.trust = pinned();
    options.identity = identity;
    client_.emplace(context_.get_executor(), options);
    return get_again(std::move(headers));
  }
  Result<HttpResponse> get_again(HttpHeaders headers = {}) {
    auto asking = client_->request("GET", "https://" + where_.to_string() + "/", std::move(headers), "");
    return run(context_, std::move(asking));
  }

  void revoke(const TlsIdentity& identity) {
    ca_.revoke(identity);
    server_->use(server(trust(true)));
  }
  tcp::socket connect() {
    tcp::socket socket(context_);
    socket.connect(to_asio(where_));
    return socket;
  }
  TlsStream connect(const TlsIdentity& identity) {
    TlsStream stream(connect(), *TlsContext::client(pinned(), identity));
    shake_hands(stream);
    return stream;
  }
  void shake_hands(TlsStream& stream) {
    auto connecting = stream.connect("boson.test");
    EXPECT_TRUE(run(context_, std::move(connecting)));
  }
  void send(TlsStream& stream, std::string_view text) {
    auto sending = stream.write_all(as_bytes(text));
    EXPECT_TRUE(run(context_, std::move(sending)));
  }
  /// All that comes until the server closes.
  std::string last_answer(TlsStream& stream) {
    std::string text;
    ByteArray<1024> bytes;
    stream.expires_after(testing::kTestDeadline / 2);
    for (;;) {
      auto reading = stream.read_some(bytes);
      const auto count = run(context_, std::move(reading));
      if (!count) {
        EXPECT_EQ(count.error(), make_error_code(TlsError::kClosed));
        return text;
      }
      text += as_text(ByteView(bytes).first(*count));
    }
  }

  std::optional<HttpServer> server_;
  std::optional<HttpClient> client_;
  Endpoint where_;
  HttpRequest seen_;
  std::function<void()> meanwhile_;  ///< while a request is handled
  bool in_parts_ = false;            ///< the server has read a part of a request
};

TEST_F(HttpClientCertificateTest, EveryRequestOfTheConnectionIsOfItsOwner) {
  start();
  ASSERT_TRUE(get(ca_.issue()));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(seen_.client_certificate);
    EXPECT_EQ(seen_.client_certificate->common_names.front(), "alice");
    EXPECT_FALSE(seen_.behind_tls_proxy);
    ASSERT_TRUE(get_again());
  }
  ASSERT_TRUE(get(std::nullopt));
  EXPECT_FALSE(seen_.client_certificate);
}

TEST_F(HttpClientCertificateTest, OtherTrustKeepsTheIdentity) {
  start();
  ASSERT_TRUE(get(ca_.issue()));
  auto more = pinned();
  more.spki_pins.push_back(*spki_pin_of(make_self_signed({"other.test"}, 30)->certificate_pem));
  client_->set_trust(more);
  ASSERT_TRUE(get_again());
  EXPECT_TRUE(seen_.client_certificate);
}

TEST_F(HttpClientCertificateTest, ARefusalIsToldAsOne) {
  const auto identity = ca_.issue();
  ca_.revoke(identity);
  start();
  EXPECT_EQ(get(identity).error(), make_error_code(TlsError::kCertificateRefused));
  EXPECT_EQ(get(TlsIdentity{identity.certificate_pem, ca_.issue().private_key_pem}).error(),
            make_error_code(TlsError::kKeyMismatch));
  EXPECT_EQ(server_->stats().requests, 0u);
}

TEST_F(HttpClientCertificateTest, AProxyThatEndsTlsHasNoClientsCertificate) {
  start({.networks = {*IpPrefix::parse("127.0.0.0/8")}, .header = TrustedProxies::Header::kForwardedFor});
  HttpHeaders forwarded;
  forwarded.set("X-Forwarded-For", "192.0.2.7");
  for (const auto& headers : {forwarded, HttpHeaders{}}) {
    ASSERT_TRUE(get(ca_.issue(), headers));
    EXPECT_FALSE(seen_.client_certificate);
    EXPECT_TRUE(seen_.behind_tls_proxy);
  }
}

TEST_F(HttpClientCertificateTest, AKeptConnectionDoesNotOutliveItsCertificate) {
  start();
  const auto alice = ca_.issue();
  ASSERT_TRUE(get(alice));
  revoke(alice);
  EXPECT_EQ(get_again().error(), make_error_code(TlsError::kCertificateRefused));
  EXPECT_EQ(server_->stats().requests, 1u);
}

TEST_F(HttpClientCertificateTest, OneThatIsStillGoodIsShownAgain) {
  start();
  ASSERT_TRUE(get(ca_.issue()));
  revoke(ca_.issue());
  ASSERT_TRUE(get_again());
  EXPECT_TRUE(seen_.client_certificate);
  EXPECT_EQ(server_->stats().accepted, 2u);
}

TEST_F(HttpClientCertificateTest, ConnectionsWithoutOneGoOn) {
  start();
  ASSERT_TRUE(get(std::nullopt));
  revoke(ca_.issue());
  ASSERT_TRUE(get_again());
  EXPECT_EQ(server_->stats().accepted, 1u);
}

TEST_F(HttpClientCertificateTest, ARequestThatIsReadMeanwhileHasNone) {
  start();
  const auto alice = ca_.issue();
  auto stream = connect(alice);
  send(stream, "GET / HTTP/1.1\r\nHost: boson.test\r\n");
  run_until(context_, [this] { return in_parts_; });
  revoke(alice);
  send(stream, "\r\n");
  const auto answer = last_answer(stream);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
  EXPECT_FALSE(seen_.client_certificate);
}

TEST_F(HttpClientCertificateTest, ARequestThatIsAnsweredMeanwhileIsTheLast) {
  start();
  const auto alice = ca_.issue();
  meanwhile_ = [&] { revoke(alice); };
  auto stream = connect(alice);
  send(stream, "GET / HTTP/1.1\r\nHost: boson.test\r\n\r\nGET / HTTP/1.1\r\nHost: boson.test\r\n\r\n");
  const auto answer = last_answer(stream);
  EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
  EXPECT_EQ(server_->stats().requests, 1u);
}

TEST_F(HttpClientCertificateTest, AHandshakeThatBeganBeforeCountsAsBefore) {
  start();
  const auto alice = ca_.issue();
  TlsStream stream(connect(), *TlsContext::client(pinned(), alice));
  run_until(context_, [this] { return server_->stats().open == 1; });
  revoke(alice);
  shake_hands(stream);
  send(stream, "GET / HTTP/1.1\r\nHost: boson.test\r\n\r\n");
  const auto answer = last_answer(stream);
  EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
  EXPECT_FALSE(seen_.client_certificate);
}

}  // namespace
}  // namespace higgs::net
