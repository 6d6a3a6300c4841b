#include "higgsnode/commands.h"

#include <exception>
#include <iostream>
#include <optional>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "higgsnode/nat_diagnosis.h"
#include "higgsnode/node_service.h"
#include "higgsnode/port_mapping_diagnosis.h"
#include "higgsnode/settings.h"
#include "higgsnode/status_text.h"
#include "runtime/config_loader.h"
#include "runtime/control_socket.h"
#include "runtime/log.h"
#include "runtime/process.h"

namespace higgs::node {
namespace {

namespace log = runtime::log;

constexpr const char* kExamples = R"(
Examples:
  higgsnode run --server https://higgs.example:8443 --country DE
  higgsnode run --server https://192.0.2.1:8443 --pin sha256/… --max-connections 20
  HIGGS_SERVER=https://higgs.example:8443 higgsnode run --config /etc/higgs/higgsnode.toml
  higgsnode status
  higgsnode status --json | jq .sessions
  higgsnode diagnose nat     # what the NAT before this host does
  higgsnode diagnose portmap # what the router does about open ports
  higgsnode cleanup          # removes what a crash left: rules, forwarding
  higgsnode check-config --config /etc/higgs/higgsnode.toml

Every option of `run` is also a key of the configuration file (_ for -) and a variable HIGGS_….
Exit codes: 0 well, 1 failure, 2 usage or configuration, 6 missing privileges,
75 an operator of the server wants a restart that this program cannot make itself.)";

constexpr const char* kStatusExamples = R"(
Examples:
  higgsnode status
  higgsnode status --json | jq .sessions
  higgsnode status --state-dir /srv/higgsnode

Asks the higgsnode that runs on this host. Exit codes: 0 it answered, 1 it does not run, 6 missing privileges.)";

constexpr const char* kCleanupExamples = R"(
Examples:
  higgsnode cleanup
  higgsnode cleanup --json

Takes away what a higgsnode left that was killed: its firewall rules, routes and forwarding. The next `run` does the
same. Exit codes: 0 nothing is left, 1 something could not be undone, 6 missing privileges.)";

constexpr const char* kDiagnoseExamples = R"(
Examples:
  higgsnode diagnose nat     # what the NAT before this host does
  higgsnode diagnose portmap # what the router does about open ports)";

constexpr const char* kPortmapExamples = R"(
Examples:
  higgsnode diagnose portmap
  higgsnode diagnose portmap --port 40123 --json
  higgsnode diagnose portmap --hold 600 # stays mapped for ten minutes; each change is told

Exit codes: 0 the port was mapped where the internet reaches it, 1 it was not.)";

struct Arguments {
  std::optional<std::filesystem::path> config;
  std::filesystem::path state_dir = "/var/lib/higgsnode";
  bool json = false;
  bool print_config = false;
};

/// Loads and reports; nullopt-like: false if there are problems.
bool load(config::Schema& schema, const Arguments& arguments) {
  const auto problems = runtime::load_config(schema, "higgsnode", arguments.config);
  for (const auto& problem : problems) std::cerr << "higgsnode: " << to_string(problem) << "\n";
  return problems.empty();
}

Ending run_service(const Settings& settings) {
  boost::asio::io_context context(1);
  NodeService service(context, settings);
  std::exception_ptr failure;
  auto ending = Ending::kClean;
  auto done = [&](const std::exception_ptr& error, Ending how) {
    failure = error;
    ending = how;
    context.stop();
  };
  boost::asio::co_spawn(context, service.run(), done);
  context.run();
  if (failure) std::rethrow_exception(failure);
  return ending;
}

/// EX_TEMPFAIL of sysexits.h: a service manager starts it again (systemd: Restart=on-failure).
constexpr int kExitRestart = 75;

int begin_anew(const runtime::ProgramImage& image) {
  const auto error = image.begin_anew();
  log::error("the node cannot begin anew by itself", {{"reason", error.message()}});
  return kExitRestart;
}

int run_node(const Settings& settings, const runtime::ProgramImage& image) {
  log::configure({.level = settings.log_level, .format = settings.log_format, .program = "higgsnode"});
  runtime::protect_process_memory();
  runtime::raise_file_limit();
  try {
    const auto ending = run_service(settings);
    if (ending == Ending::kRestart) return begin_anew(image);
    return ending == Ending::kClean ? 0 : kExitFailure;
  } catch (const StartError& error) {
    log::error(error.what());
    return error.exit_code();
  }
}

int show_status(const Arguments& arguments) {
  const auto answer = runtime::control_request(StateDirectory::control_socket(arguments.state_dir), "status");
  if (!answer) {
    const auto privileges = answer.error() == boost::system::errc::permission_denied;
    const std::string why = privileges ? "not permitted; run as root" : "higgsnode is not running";
    if (arguments.json)
      std::cout << nlohmann::json{{"running", false}, {"error", why}}.dump() << "\n";
    else
      std::cerr << "higgsnode: " << why << " (state directory " << arguments.state_dir.string() << ")\n";
    return privileges ? kExitPrivileges : kExitFailure;
  }
  auto status = nlohmann::json::parse(*answer, nullptr, false);
  if (status.is_discarded()) {
    std::cerr << "higgsnode: the running higgsnode gave no sense\n";
    return kExitFailure;
  }
  status["running"] = true;
  std::cout << (arguments.json ? status.dump() + "\n" : status_text(status));
  return 0;
}

int clean_up(const Arguments& arguments) {
  try {
    if (!std::filesystem::exists(arguments.state_dir)) {
      std::cout << (arguments.json ? R"({"undone":0,"failed":[]})" : "nothing to clean up") << "\n";
      return 0;
    }
    StateDirectory state(arguments.state_dir);
    const auto steps = state.journal().steps().size();
    const auto failures = RoutingEngine::recover(state.journal());
    if (arguments.json) {
      std::cout << nlohmann::json{{"undone", steps - failures.size()}, {"failed", failures}}.dump() << "\n";
    } else {
      for (const auto& failure : failures) std::cerr << "higgsnode: " << failure << "\n";
      std::cout << (steps == 0 ? "nothing to clean up" : std::to_string(steps - failures.size()) + " changes undone")
                << "\n";
    }
    return failures.empty() ? 0 : kExitFailure;
  } catch (const StartError& error) {
    std::cerr << "higgsnode: " << error.what() << "\n";
    return error.exit_code();
  }
}

void add_state_dir(CLI::App& command, Arguments& arguments) {
  command.add_option("--state-dir", arguments.state_dir, "where the node keeps its state")
      ->envname("HIGGS_STATE_DIR")
      ->capture_default_str();
  command.add_flag("--json", arguments.json, "for scripts");
}

void add_port_mapping(CLI::App& command, PortMappingDiagnosis& request) {
  command.add_option("--port", request.port, "the UDP port to be mapped; unset: a free one");
  command
      .add_option_function<unsigned>(
          "--hold", [&request](unsigned seconds) { request.hold = std::chrono::seconds(seconds); },
          "keep the mapping for so many seconds and tell each change")
      ->check(CLI::Range(0, 86400));
  command.add_flag("--json", request.json, "for scripts");
}

}  // namespace

int run_command_line(int argc, char** argv) {
  const runtime::ProgramImage image(argv);
  Settings settings;
  config::Schema schema;
  declare(schema, settings);
  Arguments arguments;

  CLI::App app("higgsnode: lets others reach the internet through this host, and nothing but the internet.");
  app.footer(kExamples);
  app.set_version_flag("--version", std::string("higgsnode ") + kHiggsVersion);
  app.require_subcommand(1);
  auto* run = app.add_subcommand("run", "serve clients until SIGTERM");
  auto* check = app.add_subcommand("check-config", "say whether the configuration is well");
  schema.bind_flags(*run);
  schema.bind_flags(*check);
  for (auto* command : {run, check}) {
    command->add_option("--config", arguments.config, "configuration file (TOML)");
    command->add_flag("--print-config", arguments.print_config, "show the effective configuration, secrets hidden");
    command->footer(kExamples);
  }
  auto* status = app.add_subcommand("status", "what the running node does");
  auto* cleanup = app.add_subcommand("cleanup", "undo what a crash left on this host");
  add_state_dir(*status, arguments);
  add_state_dir(*cleanup, arguments);
  status->footer(kStatusExamples);
  cleanup->footer(kCleanupExamples);
  auto* diagnose = app.add_subcommand("diagnose", "look for what keeps others from reaching this host");
  diagnose->require_subcommand(1);
  PortMappingDiagnosis port_mapping;
  auto* portmap = diagnose->add_subcommand("portmap", "ask the router for a port, say what came of it, give it back");
  add_port_mapping(*portmap, port_mapping);
  diagnose->footer(kDiagnoseExamples);
  portmap->footer(kPortmapExamples);
  NatCommand nat_command;
  auto* nat = add_nat_command(*diagnose, nat_command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (status->parsed()) return show_status(arguments);
  if (cleanup->parsed()) return clean_up(arguments);
  if (portmap->parsed()) return diagnose_port_mapping(port_mapping);
  if (nat->parsed()) {
    // For the server's name only: a missing configuration is none of this command's business.
    (void)runtime::load_config(schema, "higgsnode", nat_command.config);
    return diagnose_nat(nat_command, settings);
  }
  const bool well = load(schema, arguments);
  if (arguments.print_config) {
    std::cout << schema.effective_toml();
    return well ? 0 : kExitUsage;
  }
  if (!well) return kExitUsage;
  if (check->parsed()) {
    std::cout << "the configuration is well\n";
    return 0;
  }
  return run_node(settings, image);
}

}  // namespace higgs::node
