// Certificates, keys and revocation lists that change while the server serves.
#include <fstream>
#include <vector>

#include "bosonserver/cluster/server_entry.h"
#include "bosonserver/server/state_files.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "net/endpoint_convert.h"
#include "net/testing/certificate_authority.h"

namespace higgs::boson::testing {
namespace {

namespace asio = boost::asio;

class Reload : public ServerFixture {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    auto path = settings_.state_dir / name;
    std::ofstream(path) << text;
    return path;
  }
  void write_own(const net::SelfSigned& made) {
    settings_.certificate = write("own.crt", made.certificate_pem);
    settings_.private_key = write("own.key", made.private_key_pem);
  }
  void write_list() { settings_.client_crl = write("clients.crl", ca_.crl_pem()); }
  net::HttpClient client_with(const std::string& pin, const std::optional<net::TlsIdentity>& identity = std::nullopt) {
    net::HttpClientOptions options;
    options.trust.spki_pins = {pin};
    options.identity = identity;
    return net::HttpClient(io_.get_executor(), options);
  }
  Result<void> ask(net::HttpClient& client) {
    auto asking = client.request("GET", origin() + "/healthz", {}, "");
    const auto answer = net::testing::run(io_, std::move(asking));
    if (!answer) return answer.error();
    return {};
  }
  /// The status, or why there is none.
  std::string login(net::HttpClient& client) {
    net::HttpHeaders headers;
    headers.set("Content-Type", "application/json");
    auto asking = client.request("POST", origin() + "/api/v1/auth/certificate", std::move(headers), "{}");
    const auto answer = net::testing::run(io_, std::move(asking));
    return answer ? outcome(*answer) : answer.error().message();
  }
  Result<void> ask_once(const std::string& pin, const std::optional<net::TlsIdentity>& identity = std::nullopt) {
    auto client = client_with(pin, identity);
    return ask(client);
  }
  template <class F>
  static void refused(F act, const std::vector<std::string>& told) {
    try {
      act();
      ADD_FAILURE() << "it was taken: " << told.front();
    } catch (const std::runtime_error& error) {
      for (const auto& part : told) EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
  /// Whether the listener there has the key of that pin.
  bool shows(const Endpoint& where, const std::string& pin) {
    asio::ip::tcp::socket socket(io_);
    socket.connect(net::to_asio(where));
    const auto context = *net::TlsContext::client({.spki_pins = {pin}, .ca_file = std::nullopt});
    net::TlsStream stream(std::move(socket), context);
    stream.expires_after(net::testing::kTestDeadline);
    auto connecting = stream.connect("boson.test");
    return net::testing::run(io_, std::move(connecting)).has_value();
  }
  Endpoint turn_tls_endpoint() {
    TestNode node(random_);
    EXPECT_EQ(outcome(register_node(node)), "200");
    const auto answer = request_route(token_of(add_user("alice", api::Role::kUser)), routing_request());
    for (const auto& turn : decoded<api::RoutingResponse>(answer).selected_route.turn)
      if (turn.urls.starts_with("turns:")) return *Endpoint::parse(turn.urls.substr(6, turn.urls.find('?') - 6));
    throw std::runtime_error("no TURN over TLS");
  }

  net::testing::CertificateAuthority ca_;
};

TEST_F(Reload, AListIsReadAgain) {
  settings_.client_ca = write("ca.pem", ca_.certificate_pem());
  write_list();
  start();
  const auto alice = ca_.issue(), bob = ca_.issue();
  auto standing = client_with(server_->pin(), alice);
  ASSERT_TRUE(ask(standing));
  ca_.revoke(alice);
  write_list();
  EXPECT_TRUE(ask_once(server_->pin(), alice)) << "until it is told";
  server_->reload();
  EXPECT_EQ(ask_once(server_->pin(), alice).error(), make_error_code(net::TlsError::kCertificateRefused));
  EXPECT_TRUE(ask_once(server_->pin(), bob));
  EXPECT_EQ(ask(standing).error(), make_error_code(net::TlsError::kCertificateRefused))
      << "neither its connection nor its ticket is a way round the list";
}

TEST_F(Reload, ACaThatIsGoneOpensNothingToThoseThatStand) {
  net::testing::CertificateAuthority next("next CA");
  settings_.client_ca = write("ca.pem", ca_.certificate_pem() + next.certificate_pem());
  start();
  add_user("alice", api::Role::kUser);
  auto old = client_with(server_->pin(), ca_.issue()), renewed = client_with(server_->pin(), next.issue());
  for (auto* client : {&old, &renewed}) EXPECT_EQ(login(*client), "200");
  write("ca.pem", next.certificate_pem());
  server_->reload();
  EXPECT_EQ(login(old), make_error_code(net::TlsError::kCertificateRefused).message());
  EXPECT_EQ(login(renewed), "200") << "on a connection of its own making";
}

TEST_F(Reload, ANewKeyIsShownByEveryListenerAndToldToTheOthers) {
  const auto first = *net::make_self_signed({"boson.test"}, 30), second = *net::make_self_signed({"boson.test"}, 30);
  const auto old_pin = *net::spki_pin_of(first.certificate_pem), new_pin = *net::spki_pin_of(second.certificate_pem);
  write_own(first);
  start();
  const auto turn = turn_tls_endpoint();
  auto standing = client_with(old_pin);
  ASSERT_TRUE(ask(standing));
  EXPECT_TRUE(shows(turn, old_pin));
  write_own(second);
  server_->reload();
  EXPECT_EQ(server_->pin(), new_pin);
  EXPECT_TRUE(ask(standing));
  EXPECT_TRUE(ask_once(new_pin));
  EXPECT_FALSE(ask_once(old_pin));
  // TURN's and the cluster's threads do it a moment later.
  net::testing::run_until(io_, [&] { return shows(turn, new_pin); });
  net::testing::run_until(io_, [&] {
    const auto servers = services().store.servers(0);
    return servers && servers->size() == 1 && decode_entry(servers->front().entry_json)->pin == new_pin;
  });
}

TEST_F(Reload, WhatCannotBeUsedChangesNothing) {
  settings_.client_ca = write("ca.pem", ca_.certificate_pem());
  write_list();
  const auto first = *net::make_self_signed({"boson.test"}, 30), second = *net::make_self_signed({"boson.test"}, 30);
  write_own(first);
  start();
  const auto pin = server_->pin();
  const auto alice = ca_.issue();
  const auto refuses = [&](const std::string& why) {
    refused([&] { server_->reload(); }, {why});
    EXPECT_EQ(server_->pin(), pin);
    EXPECT_TRUE(ask_once(pin, alice)) << why;
  };
  write_own({second.certificate_pem, first.private_key_pem});
  refuses("is not that of the certificate");
  std::filesystem::remove(*settings_.private_key);
  refuses("own.key");
  write_own(second);
  write("clients.crl", "nonsense");
  refuses("tls.client_crl");
  write_list();
  server_->reload();
  EXPECT_NE(server_->pin(), pin);
}

TEST_F(Reload, AServerThatServesMakesNoOtherKey) {
  start();
  const auto pin = server_->pin();
  const auto certificate = settings_.state_dir / "server.crt", key = settings_.state_dir / "server.key";
  const auto reload = [&] { server_->reload(); };
  std::filesystem::rename(key, settings_.state_dir / "kept");
  refused(reload, {"server.key is not there"});
  EXPECT_FALSE(std::filesystem::exists(key));
  std::filesystem::remove(certificate);
  refused(reload, {"server.crt", "server.key"});
  EXPECT_FALSE(std::filesystem::exists(certificate));
  std::filesystem::rename(settings_.state_dir / "kept", key);
  refused(reload, {"server.crt is not there"});
  EXPECT_FALSE(std::filesystem::exists(certificate));
  EXPECT_EQ(server_->pin(), pin);
  EXPECT_TRUE(ask_once(pin)) << "it goes on with what it has";
}

TEST_F(Reload, AStartMakesAKeyOnlyWhereNeitherFileIsThere) {
  const auto certificate = settings_.state_dir / "server.crt", key = settings_.state_dir / "server.key";
  const auto pin = load_or_make_certificate(settings_).pin;
  EXPECT_EQ(load_or_make_certificate(settings_).pin, pin);
  const auto start = [&] { load_or_make_certificate(settings_); };
  std::filesystem::rename(key, settings_.state_dir / "kept");
  refused(start, {key.string() + " is not there", certificate.string(), "put it back", "remove"});
  std::filesystem::rename(settings_.state_dir / "kept", key);
  EXPECT_EQ(load_or_make_certificate(settings_).pin, pin) << "nothing was written over";
  std::filesystem::remove(certificate);
  refused(start, {certificate.string() + " is not there", key.string(), "put it back", "remove"});
  std::filesystem::remove(key);
  EXPECT_NE(load_or_make_certificate(settings_).pin, pin);
}

TEST_F(Reload, FilesThatTheSettingsNameAreNeverMade) {
  write_own(*net::make_self_signed({"boson.test"}, 30));
  const auto start = [&] { load_or_make_certificate(settings_); };
  std::filesystem::remove(*settings_.certificate);
  refused(start, {"own.crt is not there", "own.key", "tls.certificate"});
  std::filesystem::remove(*settings_.private_key);
  refused(start, {"own.crt", "own.key", "tls.certificate"});
  EXPECT_FALSE(std::filesystem::exists(*settings_.certificate));
  EXPECT_FALSE(std::filesystem::exists(settings_.state_dir / "server.crt"));
}

}  // namespace
}  // namespace higgs::boson::testing
