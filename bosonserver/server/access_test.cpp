// Every endpoint with every kind of caller: the endpoint table is walked, so a new row is tested as soon as it stands.
#include "bosonserver/api/endpoint.h"
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

class AccessTest : public ServerFixture {
 protected:
  AccessTest() {
    start();
    for (const auto role : {api::Role::kUser, api::Role::kOperator, api::Role::kAdmin}) {
      users_.push_back(add_user(std::string(api::to_string(role)), role));
      tokens_.push_back(token_of(users_.back()));
    }
    // So that the walk may delete and disable admins without running into the rule of the last one.
    add_user("spare", api::Role::kAdmin);
    node_ = node_token(services(), NodeId(Uuid::random(random_)), now()).text;
    relay_ = session_token(services(), SessionId(Uuid::random(random_)), unix_seconds(now().wall) + 600, now()).text;
  }

  std::string expired(jwt::Audience audience, const std::string& subject, std::string_view role) {
    const auto seconds = unix_seconds(now().wall);
    return services().keys.sign({std::string(kIssuer), subject, audience, std::string(role), seconds - 1000,
                                 seconds - 1000, seconds - 100, "id", ""});
  }
  std::string foreign(jwt::Audience audience, const std::string& subject, std::string_view role) {
    const auto seconds = unix_seconds(now().wall);
    const jwt::Signer signer("foreign", crypto::make_ed25519_key(random_));
    return signer.sign(
        {std::string(kIssuer), subject, audience, std::string(role), seconds, seconds, seconds + 100, "id", ""});
  }
  /// Right in everything but its signature.
  static std::string tampered(std::string token) {
    const auto at = token.rfind('.') + 1;
    token[at] = token[at] == 'A' ? 'B' : 'A';
    return token;
  }

  unsigned status(const ApiEndpoint& endpoint, const std::string& token) {
    std::string path(endpoint.path);
    if (const auto at = path.find("{id}"); at != path.npos) path.replace(at, 4, "00000000-0000-4000-8000-000000000000");
    return call(std::string(endpoint.method), path, token, endpoint.takes_body ? "{}" : "").status;
  }
  static bool is_refusal(unsigned status) { return status == 401 || status == 403; }

  std::vector<UserRecord> users_;
  std::vector<std::string> tokens_;  ///< user, operator, admin
  std::string node_, relay_;
};

TEST_F(AccessTest, EndpointsForUsers) {
  unsigned walked = 0;
  for (const auto& endpoint : endpoints()) {
    if (endpoint.access != Access::kUser) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    ++walked;
    const auto admin = to_string(users_[2].id);
    for (const auto& token :
         {std::string(), std::string("nonsense"), node_, relay_, expired(jwt::Audience::kApi, admin, "admin"),
          foreign(jwt::Audience::kApi, admin, "admin"), tampered(tokens_[2]),
          expired(jwt::Audience::kServer, admin, "admin")})
      EXPECT_EQ(status(endpoint, token), 401u);
    for (std::size_t role = 0; role < tokens_.size(); ++role) {
      const auto answered = status(endpoint, tokens_[role]);
      if (static_cast<api::Role>(role) < endpoint.least_role) {
        EXPECT_EQ(answered, 403u) << "role " << role;
      } else {
        EXPECT_FALSE(is_refusal(answered)) << "role " << role << ": " << answered;
        EXPECT_LT(answered, 500u);
      }
    }
  }
  EXPECT_GE(walked, 15u);
}

TEST_F(AccessTest, EndpointsForNodes) {
  for (const auto& endpoint : endpoints()) {
    if (endpoint.access != Access::kNode) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    const auto node = to_string(NodeId(Uuid::random(random_)));
    for (const auto& token :
         {std::string(), tokens_[0], tokens_[2], relay_, expired(jwt::Audience::kNode, node, kNodeRole),
          foreign(jwt::Audience::kNode, node, kNodeRole), tampered(node_)})
      EXPECT_EQ(status(endpoint, token), 401u);
    EXPECT_NE(status(endpoint, node_), 401u);
  }
}

TEST_F(AccessTest, TheRelayWantsARelayToken) {
  const auto id = to_string(SessionId(Uuid::random(random_)));
  for (const auto& token :
       {std::string(), std::string("nonsense"), tokens_[2], node_, expired(jwt::Audience::kRelay, id, kClientRole),
        foreign(jwt::Audience::kRelay, id, kClientRole), tampered(relay_)})
    EXPECT_EQ(open_link(id, token), 401u);
  EXPECT_EQ(open_link(id, relay_), 403u) << "another's token";
  EXPECT_EQ(call("GET", "/relay/" + id, relay_).status, 426u);
}

TEST_F(AccessTest, PublicEndpointsWantNoToken) {
  for (const auto& endpoint : endpoints()) {
    if (endpoint.access != Access::kPublic || endpoint.listener != Listener::kMain) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    EXPECT_FALSE(is_refusal(status(endpoint, "")));
  }
}

TEST_F(AccessTest, ANodesTokenOfAnotherRoleIsNoUsers) {
  const auto seconds = unix_seconds(now().wall);
  const auto odd = services().keys.sign({std::string(kIssuer), to_string(users_[2].id), jwt::Audience::kApi, "node",
                                         seconds, seconds, seconds + 100, "id", ""});
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", odd)), "403 forbidden");
}

TEST_F(AccessTest, ADisabledDemotedOrDeletedUserIsStoppedAtOnce) {
  auto admin = users_[2];
  EXPECT_EQ(call("GET", "/api/v1/users", tokens_[2]).status, 200u);
  admin.role = api::Role::kUser;
  ASSERT_TRUE(services().store.update_user(admin, false, 1));
  EXPECT_EQ(call("GET", "/api/v1/users", tokens_[2]).status, 403u);
  admin.disabled = true;
  ASSERT_TRUE(services().store.update_user(admin, false, 1));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens_[2]).status, 401u);
  ASSERT_TRUE(services().store.remove_user(users_[0].id));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens_[0]).status, 401u);
}

}  // namespace
}  // namespace higgs::boson::testing
