#include "higgsvpn/cli/command_line.h"

#include <cstdio>
#include <filesystem>

#include <CLI/CLI.hpp>

#include "base/version.h"
#include "higgsvpn/cli/commands.h"
#include "higgsvpn/cli/output.h"
#include "higgsvpn/cli/settings.h"
#include "runtime/config_loader.h"

namespace higgs::vpn {
namespace {

constexpr const char* kExamples = R"(
Examples:
  higgsvpn login --server https://vpn.example.org:8443 --pin sha256/… --user alice
  higgsvpn nodes --country DE
  higgsvpn connect                       # the best node, until Ctrl-C
  higgsvpn connect --country DE --detach
  higgsvpn status --json | jq .path
  higgsvpn disconnect

Exit codes: 0 well, 1 failure, 2 usage, 3 not logged in or refused, 4 no node fits, 5 server unreachable,
6 missing privileges.)";

constexpr const char* kLoginExamples = R"(
Examples:
  higgsvpn login --server https://vpn.example.org:8443 --user alice
  higgsvpn login --server https://192.0.2.1:8443 --pin sha256/… --user alice --password-file ~/.vpn-password
  pass show vpn | higgsvpn login --server vpn.example.org:8443 --user alice --password-file -
  higgsvpn login --server vpn.example.org:8443 --user alice --password-file ~/.vpn-password --totp 123456
  higgsvpn login --server vpn.example.org:8443 --certificate alice.crt --key alice.key
Without --password-file: HIGGS_PASSWORD, or a question on the terminal. --pin: what `bosonserver pin` prints.
Where the account wants a one-time code: --totp, --totp-file, or a question on the terminal; a recovery code will do.
A certificate stands for the password, and its CN for the user name; it and its key are read for this login only.)";
constexpr const char* kLogoutExamples =
    "\nExample:\n  higgsvpn logout           # ends the login on the server and here";
constexpr const char* kNodesExamples = R"(
Examples:
  higgsvpn nodes
  higgsvpn nodes --country DE --min-bandwidth 50
  higgsvpn nodes --json | jq -r '.[].nodeId')";
constexpr const char* kConnectExamples = R"(
Examples:
  higgsvpn connect                                  # the best node; stays until Ctrl-C or `higgsvpn disconnect`
  higgsvpn connect --country DE --detach            # returns when the tunnel carries packets
  higgsvpn connect --node 5f0c8d1e-… --dns 9.9.9.9
  higgsvpn connect --path relay                     # the node does not learn this machine's address
  higgsvpn connect --allow-lan                      # printers and shares of the local network stay reachable
  higgsvpn connect --json                           # one JSON object a line
The kill switch stands until `disconnect`, also when this program is killed. Every option is also a key of the
configuration file (_ for -) and a variable HIGGS_….)";
constexpr const char* kDisconnectExamples = R"(
Example:
  higgsvpn disconnect       # ends a running connect, or cleans up after one that was killed; always safe)";
constexpr const char* kStatusExamples = R"(
Examples:
  higgsvpn status
  higgsvpn status --json | jq -r .state             # connecting, connected, reconnecting or disconnected)";
constexpr const char* kStatsExamples =
    "\nExamples:\n  higgsvpn stats\n  watch -n1 higgsvpn stats\n  higgsvpn stats --json | jq .throughputMbps";
constexpr const char* kDiagnoseExamples = R"(
Examples:
  higgsvpn diagnose nat                             # asks the STUN server that connect uses
  higgsvpn diagnose nat --stun stun.example.org:3478
  higgsvpn diagnose nat --json | jq -r .natType
Exit codes: 0 the type is known, 1 it is not or UDP is blocked, 2 nobody to ask.)";

/// Every command of the program and where its arguments go.
struct CommandLine {
  CLI::App app{"higgsvpn: reach the internet through volunteers' nodes, and never past the tunnel."};
  Settings settings;
  config::Schema schema;
  std::optional<std::filesystem::path> config, state_dir;
  bool json = false, detach = false, print_config = false;
  LoginArguments login;
  NodeFilter filter;
  std::optional<std::string> stun;
  CLI::App *login_command, *logout_command, *nodes_command, *connect_command, *disconnect_command, *status_command,
      *stats_command, *diagnose_command, *nat_command, *check_command;

  CommandLine();
  CLI::App* add(const char* name, const char* what, const char* examples) { return add_to(app, name, what, examples); }
  CLI::App* add_to(CLI::App& parent, const char* name, const char* what, const char* examples);
  int run();
};

CLI::App* CommandLine::add_to(CLI::App& parent, const char* name, const char* what, const char* examples) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->footer(examples);
  command->add_option("--state-dir", state_dir, "where login, journal and control socket are")
      ->envname("HIGGS_STATE_DIR");
  command->add_option("--config", config, "configuration file (TOML)");
  command->add_flag("--json", json, "for scripts");
  return command;
}

CommandLine::CommandLine() {
  declare(schema, settings);
  app.footer(kExamples);
  app.set_version_flag("--version", std::string("higgsvpn ") + kHiggsVersion);
  app.require_subcommand(1);
  app.add_option("--state-dir", state_dir, "where login, journal and control socket are");
  login_command = add("login", "log in to a server", kLoginExamples);
  login_command->add_option("--server", login.server, "the server's URL")->required();
  login_command->add_option("--user", login.user, "user name; not needed with --certificate");
  login_command->add_option("--pin", login.pin, "accept only this server key: sha256/…");
  login_command->add_option("--ca", login.ca, "accept only certificates of this CA (PEM file)");
  auto* password = login_command->add_option("--password-file", login.password_file,
                                             "file with the password in its first line; - is stdin");
  auto* certificate =
      login_command->add_option("--certificate", login.certificate, "log in with this certificate (PEM file)");
  auto* key = login_command->add_option("--key", login.key, "the certificate's private key (PEM file, mode 0600)");
  certificate->needs(key)->excludes(password);
  key->needs(certificate);
  auto* totp = login_command->add_option("--totp", login.totp, "one-time code, or a recovery code");
  login_command->add_option("--totp-file", login.totp_file, "file with the code in its first line")->excludes(totp);
  logout_command = add("logout", "end the login, on the server too", kLogoutExamples);
  nodes_command = add("nodes", "list the nodes that can be used", kNodesExamples);
  nodes_command->add_option("--country", filter.country, "only there, as two letters");
  nodes_command->add_option("--region", filter.region, "only of this region");
  nodes_command->add_option("--min-bandwidth", filter.min_bandwidth_mbps, "Mbit/s");
  nodes_command->add_option("--max-latency", filter.max_latency_ms, "milliseconds");
  connect_command = add("connect", "bring the tunnel up and keep it up", kConnectExamples);
  schema.bind_flags(*connect_command);
  connect_command->add_flag("--detach", detach, "return when the tunnel carries packets, and go on in the background");
  disconnect_command = add("disconnect", "end the tunnel and put everything back", kDisconnectExamples);
  status_command = add("status", "what the running connect does", kStatusExamples);
  stats_command = add("stats", "traffic and quality of the running connect", kStatsExamples);
  diagnose_command = app.add_subcommand("diagnose", "look for what keeps this machine from direct connections");
  diagnose_command->footer(kDiagnoseExamples);
  diagnose_command->require_subcommand(1);
  nat_command = add_to(*diagnose_command, "nat", "find out what the NAT before this machine does", kDiagnoseExamples);
  nat_command->add_option("--stun", stun, "host:port of a STUN server with two addresses");
  check_command = add("check-config", "say whether the configuration is well", kExamples);
  for (CLI::App* command : {connect_command, check_command}) {
    command->add_flag("--print-config", print_config, "show the effective configuration");
  }
}

int CommandLine::run() {
  const auto problems = runtime::load_config(schema, "higgsvpn", config);
  for (const auto& problem : problems) std::fprintf(stderr, "higgsvpn: %s\n", to_string(problem).c_str());
  if (state_dir) settings.state_dir = *state_dir;
  if (print_config) std::fputs(schema.effective_toml().c_str(), stdout);
  if (!problems.empty()) return static_cast<int>(ExitCode::kUsage);
  if (print_config) return 0;
  if (login_command->parsed()) return vpn::login(settings, login, json);
  if (logout_command->parsed()) return logout(settings, json);
  if (nodes_command->parsed()) return list_nodes(settings, filter, json);
  if (connect_command->parsed()) return connect(settings, detach, json);
  if (disconnect_command->parsed()) return disconnect(settings, json);
  if (status_command->parsed()) return show_status(settings, json);
  if (stats_command->parsed()) return show_stats(settings, json);
  if (nat_command->parsed()) return diagnose_nat(settings, stun, json);
  std::puts("the configuration is well");
  return 0;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CommandLine command_line;
  try {
    command_line.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return command_line.app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  try {
    return command_line.run();
  } catch (const std::exception& error) {
    Failure failure;
    failure.message = std::string("unexpected error: ") + error.what();
    return fail(failure, command_line.json);
  }
}

}  // namespace higgs::vpn
