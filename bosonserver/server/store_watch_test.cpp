// Two servers on one PostgreSQL, without Redis: what is decided at one takes effect at the other at once.
#include <fstream>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/base64.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "bosonserver/store/testing/postgres_server.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// A second, and time for a loaded machine. What is not told is not noticed at all.
constexpr auto kSoon = 5s;

class PostgresClusterTest : public ServerFixture {
 protected:
  PostgresClusterTest() {
    settings_.store = database_.url();
    settings_.sealing_key_file = settings_.state_dir / "shared.key";
    std::ofstream(*settings_.sealing_key_file) << to_base64(random_.array<32>()) << '\n';
    std::filesystem::permissions(*settings_.sealing_key_file, std::filesystem::perms::owner_read);
  }
  ~PostgresClusterTest() override {
    client_.reset();
    other_client_.reset();
    other_.reset();
    server_.reset();
  }

  void start_both() {
    start();
    auto settings = settings_;
    settings.state_dir = settings_.state_dir / "other";
    other_ = std::make_unique<BosonServer>(settings);
    other_->start();
    net::HttpClientOptions options;
    options.trust.spki_pins = {other_->pin()};
    other_client_ = std::make_unique<net::HttpClient>(io_.get_executor(), options);
    admin_ = token_of(add_user("root", api::Role::kAdmin));
  }
  std::optional<net::UpgradedSocket> link_at_other(const std::string& id, const std::string& token) {
    net::HttpHeaders headers;
    headers.set("Authorization", "Bearer " + token);
    auto running = other_client_->upgrade("wss://" + other_->api_endpoint().to_string() + "/relay/" + id, headers,
                                          "higgs-relay.1");
    auto link = net::testing::run(io_, std::move(running));
    if (!link) return std::nullopt;
    return std::move(*link);
  }
  bool linked_at_other(NodeId node) { return other_->services().relay.node_link_up(node); }
  unsigned status_at_other(const std::string& path, const std::string& token) {
    net::HttpHeaders headers;
    headers.set("Authorization", "Bearer " + token);
    auto running = other_client_->request("GET", "https://" + other_->api_endpoint().to_string() + path, headers, {});
    return net::testing::run(io_, std::move(running))->status;
  }
  /// As Prometheus reads it.
  bool other_shows(const std::string& line) {
    boost::asio::ip::tcp::socket socket(io_);
    const auto where = other_->metrics_endpoint();
    socket.connect({boost::asio::ip::make_address(where.address.to_string()), where.port});
    boost::asio::write(
        socket, boost::asio::buffer(std::string("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")));
    std::string answer;
    boost::system::error_code error;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
    return answer.find("\n" + line + "\n") != std::string::npos;
  }
  TestNode linked_node() {
    TestNode node(random_);
    EXPECT_EQ(register_node(node).status, 200u);
    links_.push_back(link_at_other(to_string(node.id()), node.relay_token));
    EXPECT_TRUE(links_.back());
    net::testing::run_until(io_, [&] { return linked_at_other(node.id()); });
    return node;
  }

  TestDatabase database_;
  std::unique_ptr<BosonServer> other_;
  std::unique_ptr<net::HttpClient> other_client_;
  std::vector<std::optional<net::UpgradedSocket>> links_;
  std::string admin_;
};

TEST_F(PostgresClusterTest, ABanClosesTheNodesLinkAtTheOtherServer) {
  start_both();
  const auto node = linked_node();
  const auto begin = Clock::now();
  ASSERT_EQ(call("POST", "/api/v1/admin/nodes/" + to_string(node.id()) + "/ban", admin_).status, 200u);
  net::testing::run_until(io_, [&] { return !linked_at_other(node.id()); });
  RecordProperty("ban_ms", static_cast<int>((Clock::now() - begin) / 1ms));
  EXPECT_LT(Clock::now() - begin, kSoon);
}

TEST_F(PostgresClusterTest, AnEndedSessionLeavesTheOtherServer) {
  start_both();
  const auto node = linked_node();
  const auto user = token_of(add_user("alice", api::Role::kUser));
  auto answer = request_route(user, routing_request());
  ASSERT_EQ(answer.status, 200u) << answer.body;
  const auto route = decoded<api::RoutingResponse>(answer).selected_route;
  links_.push_back(link_at_other(to_string(route.session_id), route.session_token));
  ASSERT_TRUE(links_.back());
  net::testing::run_until(io_, [&] { return other_shows("higgs_relay_sessions 1"); });
  const auto begin = Clock::now();
  ASSERT_EQ(call("DELETE", "/api/v1/sessions/" + to_string(route.session_id), user).status, 204u);
  net::testing::run_until(io_, [&] { return other_shows("higgs_relay_sessions 0"); });
  EXPECT_LT(Clock::now() - begin, kSoon);
}

TEST_F(PostgresClusterTest, ANewSigningKeyIsKnownToTheOtherServerAtOnce) {
  start_both();
  EXPECT_EQ(status_at_other("/api/v1/nodes", admin_), 200u) << "they share their keys";
  ASSERT_TRUE(services().keys.refresh(now().wall + settings_.api.key_rotation));
  const auto token = token_of(add_user("second", api::Role::kAdmin));
  net::testing::run_until(io_, [&] { return status_at_other("/api/v1/nodes", token) == 200; });
}

TEST_F(PostgresClusterTest, WhatWasMissedInAGapIsMadeUpFor) {
  start_both();
  const auto node = linked_node();
  // Decided while nobody listened.
  database_.execute("UPDATE nodes SET admission = 'banned'");
  database_.execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = "
      "'bosonserver'");
  net::testing::run_until(io_, [&] { return !linked_at_other(node.id()); });
}

TEST_F(PostgresClusterTest, AServerWithAnotherSealingKeyDoesNotStart) {
  start();
  auto settings = settings_;
  settings.state_dir = settings_.state_dir / "other";
  settings.sealing_key_file.reset();
  EXPECT_THROW(BosonServer{settings}, std::runtime_error);
  std::filesystem::permissions(*settings_.sealing_key_file, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  settings.sealing_key_file = settings_.sealing_key_file;
  settings.state_dir = settings_.state_dir / "third";
  EXPECT_THROW(BosonServer{settings}, std::runtime_error) << "anybody may read it";
}

}  // namespace
}  // namespace higgs::boson::testing
