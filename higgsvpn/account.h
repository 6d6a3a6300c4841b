// Who the user is and where: the servers, the proof of their certificates, and the tokens. One file, mode 0600.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/account.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/secret.h"
#include "higgsvpn/state_directory.h"
#include "net/tls_stream.h"

namespace higgs::vpn {

struct Account {
  std::string server;  ///< origin: https://host:port, without a slash at the end
  net::TlsTrust trust;
  std::string username;
  SecretString access_token;
  std::int64_t access_expires_at = 0;
  SecretString refresh_token;
  std::int64_t refresh_expires_at = 0;
  /// What a server said last of the others, which take the same tokens.
  std::vector<api::RelayServer> relay_servers;
  /// Addresses of the servers' names, so that they are found while DNS is closed.
  std::map<std::string, std::vector<IpAddress>> known_hosts;

  void take(const api::TokenResponse& tokens);
  /// Trust for all of the servers: where pins decide, those of the others too.
  net::TlsTrust trust_in_all() const;
};

/// "https://host[:port]" of what a user types ("host", "host:8443", a URL); nullopt if it is none.
std::optional<std::string> server_origin(const std::string& typed);
/// Host part of an origin, without brackets.
std::string host_of(const std::string& origin);

/// nullopt: nobody is logged in. A damaged file is an error.
Result<std::optional<Account>> load_account(const StateDirectory& state);
Result<void> save_account(const StateDirectory& state, const Account& account);
Result<void> remove_account(const StateDirectory& state);

}  // namespace higgs::vpn
