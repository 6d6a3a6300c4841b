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
    const auto ended = Uuid::random(random_).to_string();
    const auto seconds = unix_seconds(now().wall);
    EXPECT_TRUE(
        services().store.add_refresh_family(ended, users_[2].id, digest_of_secret(ended), seconds, seconds + 60));
    EXPECT_TRUE(services().store.revoke_refresh_family(digest_of_secret(ended), seconds));
    ended_ = access_token(services(), users_[2], ended, now()).text;
    // So that the walk may delete and disable admins without running into the rule of the last one.
    add_user("spare", api::Role::kAdmin);
    node_ = node_token(services(), NodeId(Uuid::random(random_)), node_tokens_end(services(), now()), now()).text;
    relay_ = session_token(services(), SessionId(Uuid::random(random_)), unix_seconds(now().wall) + 600, now()).text;
  }

  /// Right in everything but its signature, or but the character there.
  static std::string tampered(std::string token) {
    const auto at = token.rfind('.') + 1;
    return tampered(std::move(token), at);
  }
  static std::string tampered(std::string token, std::size_t at) {
    token[at] = token[at] == 'A' ? 'B' : 'A';
    return token;
  }
  /// What differs from a good token in one thing each, and what is no token at all.
  std::vector<std::string> bad_tokens(const std::string& good) {
    const auto claims = jwt::read_unverified(good).value();
    auto expired = claims;
    expired.expires_at = unix_seconds(now().wall) - jwt::kClockSkew.count();
    expired.issued_at = expired.not_before = expired.expires_at - 100;
    const jwt::Signer foreign("foreign", crypto::make_ed25519_key(random_));
    std::vector<std::string> bad{
        "", "nonsense", "hk_nonsense", services().keys.sign(expired), foreign.sign(claims), tampered(good)};
    for (const auto audience :
         {jwt::Audience::kApi, jwt::Audience::kNode, jwt::Audience::kRelay, jwt::Audience::kServer}) {
      auto other = claims;
      other.audience = audience;
      if (audience != claims.audience) bad.push_back(services().keys.sign(other));
    }
    return bad;
  }
  std::string api_key(const UserRecord& user, api::Role role, std::optional<std::int64_t> expires_at = std::nullopt) {
    auto text = std::string(kApiKeyPrefix) + random_secret(random_);
    const auto id = Uuid::random(random_).to_string();
    EXPECT_TRUE(services().store.add_api_key({id, user.id, id, digest_of_secret(text), role, 1, expires_at, {}}));
    return text;
  }

  unsigned status(const ApiEndpoint& endpoint, const std::string& token) {
    std::string path(endpoint.path);
    for (auto at = path.find('{'); at != path.npos; at = path.find('{'))
      path.replace(at, path.find('}') - at + 1, "00000000-0000-4000-8000-000000000000");
    return call(std::string(endpoint.method), path, token, endpoint.takes_body ? "{}" : "").status;
  }
  static bool is_refusal(unsigned status) { return status == 401 || status == 403; }

  std::vector<UserRecord> users_;
  std::vector<std::string> tokens_;  ///< user, operator, admin
  std::string node_, relay_;
  std::string ended_;  ///< an admin's, of a login that was ended
};

TEST_F(AccessTest, EndpointsForUsers) {
  unsigned walked = 0;
  for (const auto& endpoint : endpoints()) {
    if (endpoint.access != Access::kUser && endpoint.access != Access::kPerson) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    ++walked;
    std::vector<std::string> bad{node_, relay_, ended_};
    for (const auto& good : tokens_) {
      const auto more = bad_tokens(good);
      bad.insert(bad.end(), more.begin(), more.end());
    }
    for (const auto& token : bad) EXPECT_EQ(status(endpoint, token), 401u) << token;
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
  EXPECT_GE(walked, 25u);
}

TEST_F(AccessTest, ApiKeysOpenWhatTokensDoButForWhatWantsALogin) {
  const std::vector<std::string> keys{api_key(users_[0], api::Role::kUser), api_key(users_[1], api::Role::kOperator),
                                      api_key(users_[2], api::Role::kAdmin)};
  const auto lesser = api_key(users_[2], api::Role::kUser), old = api_key(users_[2], api::Role::kAdmin, 1);
  for (const auto& endpoint : endpoints()) {
    const bool upgrade = endpoint.access == Access::kRelay || endpoint.access == Access::kServer;
    if (endpoint.access == Access::kPublic || endpoint.access == Access::kCertificate || upgrade) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    EXPECT_EQ(status(endpoint, old), 401u) << "expired";
    EXPECT_EQ(status(endpoint, tampered(keys[2], kApiKeyPrefix.size())), 401u);
    for (std::size_t role = 0; role < keys.size(); ++role) {
      const auto answered = status(endpoint, keys[role]);
      if (endpoint.access == Access::kNode) {
        EXPECT_EQ(answered, 401u);
      } else if (endpoint.access == Access::kPerson || static_cast<api::Role>(role) < endpoint.least_role) {
        EXPECT_EQ(answered, 403u) << "role " << role;
      } else {
        EXPECT_FALSE(is_refusal(answered)) << "role " << role << ": " << answered;
      }
    }
    if (endpoint.access == Access::kUser && endpoint.least_role > api::Role::kUser) {
      EXPECT_EQ(status(endpoint, lesser), 403u) << "an admin's key with the role of a user";
    }
  }
}

TEST_F(AccessTest, EndpointsForNodes) {
  for (const auto& endpoint : endpoints()) {
    if (endpoint.access != Access::kNode) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    auto bad = bad_tokens(node_);
    bad.insert(bad.end(), {tokens_[0], tokens_[2], relay_});
    for (const auto& token : bad) EXPECT_EQ(status(endpoint, token), 401u) << token;
    EXPECT_NE(status(endpoint, node_), 401u);
  }
}

TEST_F(AccessTest, TheRelayWantsARelayToken) {
  const auto own = jwt::read_unverified(relay_)->subject;
  auto bad = bad_tokens(relay_);
  bad.insert(bad.end(), {tokens_[2], node_, api_key(users_[2], api::Role::kAdmin)});
  for (const auto& token : bad) EXPECT_EQ(open_link(own, token), 401u) << token;
  const auto id = to_string(SessionId(Uuid::random(random_)));
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

TEST_F(AccessTest, NoTokenStandsForACertificate) {
  unsigned walked = 0;
  for (const auto& endpoint : endpoints()) {
    if (endpoint.access != Access::kCertificate) continue;
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    ++walked;
    auto tokens = tokens_;
    tokens.insert(tokens.end(), {"", node_, relay_, api_key(users_[2], api::Role::kAdmin)});
    for (const auto& token : tokens) EXPECT_EQ(status(endpoint, token), 401u) << token;
  }
  EXPECT_EQ(walked, 1u);
}

TEST_F(AccessTest, ANodesTokenOfAnotherRoleIsNoUsers) {
  const auto seconds = unix_seconds(now().wall);
  const auto odd = services().keys.sign({std::string(kIssuer), to_string(users_[2].id), jwt::Audience::kApi, "node",
                                         seconds, seconds, seconds + 100, "id", ""});
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", odd)), "403 forbidden");
}

TEST_F(AccessTest, ADisabledDemotedOrDeletedUserIsStoppedAtOnce) {
  const auto admin = users_[2];
  add_user("root", api::Role::kAdmin);
  EXPECT_EQ(call("GET", "/api/v1/users", tokens_[2]).status, 200u);
  ASSERT_TRUE(services().store.change_user(admin.id, {.role = api::Role::kUser}, 1));
  EXPECT_EQ(call("GET", "/api/v1/users", tokens_[2]).status, 403u);
  ASSERT_TRUE(services().store.change_user(admin.id, {.disabled = true}, 1));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens_[2]).status, 401u);
  ASSERT_TRUE(services().store.remove_user(users_[0].id, 1));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens_[0]).status, 401u);
}

}  // namespace
}  // namespace higgs::boson::testing
