#include "net/tls_stream.h"

#include <filesystem>
#include <fstream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "net/testing/coroutine_test.h"
#include "net/tls_client_state.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::run;
using testing::run_until;

struct Sockets {
  explicit Sockets(asio::io_context& context) : client(context), server(context) {
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    client.connect(acceptor.local_endpoint());
    acceptor.accept(server);
  }
  tcp::socket client, server;
};

struct BothEnds {
  Result<void> client = TlsError::kWantRead;
  Result<void> server = TlsError::kWantRead;
};

class TlsStreamTest : public ::testing::Test {
 protected:
  static SelfSigned make(const std::vector<std::string>& names = {"boson.test", "127.0.0.1"}, unsigned days = 30) {
    auto made = make_self_signed(names, days);
    EXPECT_TRUE(made);
    return *made;
  }
  static TlsContext server_of(const SelfSigned& made) {
    auto context = TlsContext::server(made.certificate_pem, made.private_key_pem);
    EXPECT_TRUE(context);
    return *context;
  }
  static TlsContext pinned_to(const SelfSigned& made) {
    auto context = TlsContext::client({.spki_pins = {*spki_pin_of(made.certificate_pem)}, .ca_file = std::nullopt});
    EXPECT_TRUE(context);
    return *context;
  }
  TlsContext trusting(const SelfSigned& made) {
    file_ = std::filesystem::temp_directory_path() / ("higgs-ca-" + std::to_string(::getpid()) + ".pem");
    std::ofstream(file_) << made.certificate_pem;
    auto context = TlsContext::client({.spki_pins = {}, .ca_file = file_});
    EXPECT_TRUE(context);
    return *context;
  }
  void TearDown() override {
    if (!file_.empty()) std::filesystem::remove(file_);
  }

  /// Both ends of a handshake; the streams stay for more.
  BothEnds shake(const TlsContext& server, const TlsContext& client, const std::string& host) {
    Sockets sockets(context_);
    server_.emplace(std::move(sockets.server), server);
    client_.emplace(std::move(sockets.client), client);
    BothEnds outcome;
    int ended = 0;
    auto one = [&]() -> asio::awaitable<void> {
      outcome.server = co_await server_->accept();
      ++ended;
    };
    auto two = [&]() -> asio::awaitable<void> {
      auto connecting = client_->connect(host);
      outcome.client = co_await std::move(connecting);
      if (!outcome.client) client_->abort();
      ++ended;
    };
    asio::co_spawn(context_, one, asio::detached);
    asio::co_spawn(context_, two, asio::detached);
    run_until(context_, [&] { return ended == 2; });
    return outcome;
  }

  std::string transfer(TlsStream& from, TlsStream& to, const std::string& text) {
    std::string received;
    bool ended = false;
    auto sending = [&]() -> asio::awaitable<void> {
      const auto sent = co_await from.write_all(as_bytes(text));
      EXPECT_TRUE(sent);
    };
    auto receiving = [&]() -> asio::awaitable<void> {
      Bytes buffer(5000);
      while (received.size() < text.size()) {
        const auto count = co_await to.read_some(buffer);
        EXPECT_TRUE(count);
        if (!count) break;
        received.append(as_text(ByteView(buffer).first(*count)));
      }
      ended = true;
    };
    asio::co_spawn(context_, sending, asio::detached);
    asio::co_spawn(context_, receiving, asio::detached);
    run_until(context_, [&] { return ended; });
    return received;
  }

  asio::io_context context_;
  std::optional<TlsStream> server_, client_;
  std::filesystem::path file_;
};

TEST_F(TlsStreamTest, PinAcceptsThatKeyWhateverNameAndDate) {
  const auto made = make({"somebody.else"}, 0);  // expired at once, and of another name
  const auto outcome = shake(server_of(made), pinned_to(made), "boson.test");
  EXPECT_TRUE(outcome.client) << outcome.client.error().message();
  EXPECT_TRUE(outcome.server);
  EXPECT_EQ(transfer(*client_, *server_, "hello"), "hello");
  EXPECT_EQ(transfer(*server_, *client_, std::string(300'000, 'x')), std::string(300'000, 'x'));
}

TEST_F(TlsStreamTest, PinRefusesAnotherKeyEvenWithTheSameName) {
  const auto outcome = shake(server_of(make()), pinned_to(make()), "boson.test");
  EXPECT_EQ(outcome.client.error(), make_error_code(TlsError::kUntrusted));
  EXPECT_FALSE(outcome.server);
}

TEST_F(TlsStreamTest, CaFileChecksNameAndDates) {
  const auto made = make();
  EXPECT_TRUE(shake(server_of(made), trusting(made), "boson.test").client);
  EXPECT_TRUE(shake(server_of(made), trusting(made), "127.0.0.1").client);
  EXPECT_EQ(shake(server_of(made), trusting(made), "other.test").client.error(), make_error_code(TlsError::kUntrusted));
  EXPECT_EQ(shake(server_of(made), trusting(made), "127.0.0.2").client.error(), make_error_code(TlsError::kUntrusted));
  const auto expired = make({"boson.test"}, 0);
  EXPECT_EQ(shake(server_of(expired), trusting(expired), "boson.test").client.error(),
            make_error_code(TlsError::kUntrusted));
}

TEST_F(TlsStreamTest, SystemStoreRefusesSelfSigned) {
  const auto client = TlsContext::client({});
  ASSERT_TRUE(client);
  EXPECT_EQ(shake(server_of(make()), *client, "boson.test").client.error(), make_error_code(TlsError::kUntrusted));
}

TEST_F(TlsStreamTest, SpeaksTls13WithAes128AndTheOtherSideCannotGoLower) {
  const auto made = make();
  ASSERT_TRUE(shake(server_of(made), pinned_to(made), "boson.test").client);
  const TlsSocket socket = client_->release();
  auto old_client = pinned_to(made);
  SSL_CTX_set_min_proto_version(old_client.native(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(old_client.native(), TLS1_2_VERSION);
  const auto outcome = shake(server_of(made), old_client, "boson.test");
  EXPECT_EQ(outcome.client.error(), make_error_code(TlsError::kHandshakeFailed));
  EXPECT_FALSE(outcome.server);
}

TEST_F(TlsStreamTest, SecondSessionIsResumedWithinOneContextOnly) {
  const auto made = make();
  const auto server = server_of(made);
  const auto client = pinned_to(made);
  ASSERT_TRUE(shake(server, client, "boson.test").client);
  transfer(*server_, *client_, "ticket comes with this");
  auto* state = client_state(client.native());
  auto ticket = state->tickets.take("boson.test");
  ASSERT_TRUE(ticket);
  state->tickets.keep("boson.test", std::move(ticket));
  ASSERT_TRUE(shake(server, client, "boson.test").client);
  EXPECT_EQ(transfer(*client_, *server_, "again"), "again");
  transfer(*server_, *client_, "next ticket");
  // A restarted server has other ticket keys: the ticket is worthless, the connection is not.
  ASSERT_TRUE(shake(server_of(made), client, "boson.test").client);
  // Nor does a ticket open a server with another key.
  transfer(*server_, *client_, "next ticket");
  EXPECT_EQ(shake(server_of(make()), client, "boson.test").client.error(), make_error_code(TlsError::kUntrusted));
}

TEST_F(TlsStreamTest, ServersOfEveryUsualKeyType) {
  const struct {
    const char* type;
    const char* parameter;
  } kinds[] = {{"RSA", "2048"}, {"EC", "P-384"}, {"ED25519", ""}};
  for (const auto& kind : kinds) {
    EVP_PKEY* key = std::string_view(kind.type) == "RSA"  ? EVP_RSA_gen(2048u)
                    : std::string_view(kind.type) == "EC" ? EVP_EC_gen("P-384")
                                                          : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    ASSERT_NE(key, nullptr) << kind.type;
    const SslPtr<EVP_PKEY> owned(key);
    const SslPtr<X509> certificate(X509_new());
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key);
    ASSERT_NE(X509_sign(certificate.get(), key, std::string_view(kind.type) == "ED25519" ? nullptr : EVP_sha256()), 0);
    const SslPtr<BIO> a(BIO_new(BIO_s_mem())), b(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(a.get(), certificate.get());
    PEM_write_bio_PrivateKey(b.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    const auto text = [](BIO* bio) {
      char* data = nullptr;
      const long size = BIO_get_mem_data(bio, &data);
      return std::string(data, static_cast<std::size_t>(size));
    };
    const SelfSigned made{text(a.get()), text(b.get())};
    EXPECT_TRUE(shake(server_of(made), pinned_to(made), "boson.test").client) << kind.type;
  }
}

TEST_F(TlsStreamTest, BadKeysAndPinsAreRefused) {
  const auto one = make();
  const auto other = make();
  EXPECT_FALSE(TlsContext::server(one.certificate_pem, other.private_key_pem));
  EXPECT_FALSE(TlsContext::server("nonsense", one.private_key_pem));
  EXPECT_FALSE(TlsContext::server(one.certificate_pem, ""));
  const std::string pin = *spki_pin_of(one.certificate_pem);
  EXPECT_TRUE(pin.starts_with("sha256/"));
  for (const std::string& bad : {std::string(), pin.substr(7), pin + "=", "sha1/" + pin.substr(7), pin.substr(0, 20)})
    EXPECT_FALSE(TlsContext::client({.spki_pins = {bad}, .ca_file = std::nullopt})) << bad;
  EXPECT_FALSE(TlsContext::client({.spki_pins = {}, .ca_file = "/nonexistent/ca.pem"}));
  EXPECT_FALSE(spki_pin_of(std::string("nonsense")));
  EXPECT_FALSE(make_self_signed({}, 30));
  EXPECT_FALSE(make_self_signed({"a.test,IP:10.0.0.1"}, 30));
}

TEST_F(TlsStreamTest, SilentPeerEndsTheHandshakeInTime) {
  Sockets sockets(context_);
  TlsStream server(std::move(sockets.server), server_of(make()));
  server.expires_after(milliseconds(30));
  auto accepting = server.accept();
  const auto result = run(context_, std::move(accepting));
  EXPECT_EQ(result.error(), make_error_code(TlsError::kTimedOut));
}

TEST_F(TlsStreamTest, NonsenseInsteadOfAHandshakeIsAnError) {
  Sockets sockets(context_);
  TlsStream server(std::move(sockets.server), server_of(make()));
  asio::write(sockets.client, asio::buffer(std::string("GET / HTTP/1.1\r\n\r\n")));
  auto accepting = server.accept();
  EXPECT_EQ(run(context_, std::move(accepting)).error(), make_error_code(TlsError::kHandshakeFailed));
}

TEST_F(TlsStreamTest, ExpiryEndsAReadAndIsTakenBackByTheNext) {
  const auto made = make();
  ASSERT_TRUE(shake(server_of(made), pinned_to(made), "boson.test").client);
  Bytes buffer(100);
  server_->expires_after(std::chrono::hours(1));
  server_->expires_after(milliseconds(20));  // earlier than what was set before
  auto reading = server_->read_some(buffer);
  EXPECT_EQ(run(context_, std::move(reading)).error(), make_error_code(TlsError::kTimedOut));
  auto again = server_->read_some(buffer);
  EXPECT_EQ(run(context_, std::move(again)).error(), make_error_code(TlsError::kTimedOut));
  server_->expires_never();
  EXPECT_EQ(transfer(*client_, *server_, "late"), "late");
}

TEST_F(TlsStreamTest, CloseIsSeenByTheOtherSide) {
  const auto made = make();
  ASSERT_TRUE(shake(server_of(made), pinned_to(made), "boson.test").client);
  transfer(*server_, *client_, "x");
  EXPECT_TRUE(client_->quiet());
  server_->shutdown();
  run_until(context_, [&] { return !client_->quiet(); });
  Bytes buffer(100);
  auto reading = client_->read_some(buffer);
  EXPECT_EQ(run(context_, std::move(reading)).error(), make_error_code(TlsError::kClosed));
  // Without a word: the same, and no signal kills the program that writes into it.
  client_->abort();
  auto writing = server_->write_all(Bytes(1'000'000));
  EXPECT_FALSE(run(context_, std::move(writing)));
}

TEST_F(TlsStreamTest, ReleasedSocketGoesOnByRawCallsAndChangesItsKey) {
  const auto made = make();
  ASSERT_TRUE(shake(server_of(made), pinned_to(made), "boson.test").client);
  TlsSocket socket = server_->release();
  socket.set_records_per_key(4);
  std::string sent, received;
  bool ended = false;
  auto receiving = [&]() -> asio::awaitable<void> {
    Bytes buffer(20000);
    while (received.size() < 1'000'000) {
      const auto count = co_await client_->read_some(buffer);
      EXPECT_TRUE(count);
      if (!count) break;
      received.append(as_text(ByteView(buffer).first(*count)));
    }
    ended = true;
  };
  asio::co_spawn(context_, receiving, asio::detached);
  for (std::size_t i = 0; i < 1'000'000; ++i) sent += static_cast<char>('a' + i % 26 + i / 16384 % 3);
  ByteView rest = as_bytes(sent);
  run_until(context_, [&] {
    if (rest.empty()) return ended;
    const auto count = socket.write(rest);
    if (count)
      rest = rest.subspan(*count);
    else
      EXPECT_EQ(count.error(), make_error_code(TlsError::kWantWrite));
    return ended;
  });
  EXPECT_TRUE(received == sent);
  EXPECT_GE(socket.key_updates(), 10u);
}

}  // namespace
}  // namespace higgs::net
