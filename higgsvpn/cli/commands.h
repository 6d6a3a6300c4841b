// The commands of higgsvpn: each takes what was parsed and returns the exit status.
#pragma once

#include <optional>
#include <string>

#include "higgsvpn/api_client.h"
#include "higgsvpn/cli/settings.h"

namespace higgs::vpn {

struct LoginArguments {
  std::string server;
  std::optional<std::string> user;  ///< not needed with a certificate, which names the user
  std::optional<std::string> pin, ca, password_file;
  std::optional<std::string> certificate, key;  ///< files; both or none
  std::optional<std::string> totp, totp_file;   ///< a one-time code, or where it stands
};
int login(const Settings& settings, const LoginArguments& arguments, bool json);
int logout(const Settings& settings, bool json);
int list_nodes(const Settings& settings, const NodeFilter& filter, bool json);
int connect(const Settings& settings, bool detach, bool json);
int disconnect(const Settings& settings, bool json);
int show_status(const Settings& settings, bool json);
int show_stats(const Settings& settings, bool json);
/// Asks `stun`, else the server that the last connect asked, else the one beside the server that we are logged in to.
int diagnose_nat(const Settings& settings, const std::optional<std::string>& stun, bool json);

}  // namespace higgs::vpn
