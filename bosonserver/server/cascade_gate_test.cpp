// Who may open a link between servers.
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

class CascadeGate : public ServerFixture {
 protected:
  CascadeGate() { start(); }

  /// As the server `peer` would make it for the server `target`.
  std::string token(ServerId peer, ServerId target, jwt::Audience audience = jwt::Audience::kServer,
                    std::string_view role = kServerRole, std::int64_t seconds = 60) {
    jwt::Claims claims;
    claims.issuer = kIssuer;
    claims.subject = to_string(peer);
    claims.audience = audience;
    claims.role = role;
    claims.issued_at = claims.not_before = unix_seconds(now().wall) + std::min<std::int64_t>(seconds, 0);
    claims.expires_at = unix_seconds(now().wall) + seconds;
    claims.id = "1";
    claims.family = to_string(target);
    return services().keys.sign(claims);
  }
  unsigned open(const std::string& token, const std::string& query = "?worker=0&from=0",
                const std::string& protocol = "higgs-cascade.1") {
    return open_socket("/cascade/" + to_string(peer_) + query, token, protocol);
  }

  const ServerId peer_{Uuid::random(random_)}, stranger_{Uuid::random(random_)};
  ServerId self() { return services().server_id; }
};

TEST_F(CascadeGate, AServerOfTheClusterIsLetIn) {
  EXPECT_EQ(open(token(peer_, self())), 101u);
  EXPECT_EQ(open(server_token(services(), self(), now()).text), 403u) << "of another server than the path says";
}

TEST_F(CascadeGate, NobodyElseIs) {
  EXPECT_EQ(open(""), 401u);
  EXPECT_EQ(open("nonsense"), 401u);
  EXPECT_EQ(open(token(stranger_, self())), 403u);
  EXPECT_EQ(open(token(peer_, stranger_)), 403u) << "what a peer was given for itself opens no other server";
  EXPECT_EQ(open(token(peer_, self(), jwt::Audience::kRelay)), 401u);
  EXPECT_EQ(open(token(peer_, self(), jwt::Audience::kServer, kNodeRole)), 403u);
  EXPECT_EQ(open(token(peer_, self(), jwt::Audience::kServer, kServerRole, -100)), 401u);
  const jwt::Signer foreign("foreign", crypto::make_ed25519_key(random_));
  EXPECT_EQ(open(foreign.sign(jwt::read_unverified(token(peer_, self())).value())), 401u);
}

TEST_F(CascadeGate, WorkersAreNamedAndThere) {
  const auto good = token(peer_, self());
  for (const char* query : {"", "?worker=0", "?from=0", "?worker=x&from=0", "?worker=-1&from=0", "?worker=0&from=0x"})
    EXPECT_EQ(open(good, query), 400u) << query;
  EXPECT_EQ(open(good, "?worker=7&from=0"), 404u);
  EXPECT_EQ(open(good, "?worker=0&from=0", "higgs-relay.1"), 400u);
}

TEST_F(CascadeGate, ItIsNoWayToARelayLink) { EXPECT_EQ(open_link(to_string(peer_), token(peer_, self())), 401u); }

}  // namespace
}  // namespace higgs::boson::testing
