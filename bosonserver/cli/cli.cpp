#include "bosonserver/cli/cli.h"

#include <iostream>

#include <CLI/CLI.hpp>

#include "bosonserver/api/endpoint.h"
#include "bosonserver/cli/audit_commands.h"
#include "bosonserver/cli/backup_commands.h"
#include "bosonserver/cli/keys_commands.h"
#include "bosonserver/cli/migrate_commands.h"
#include "bosonserver/cli/node_commands.h"
#include "bosonserver/cli/run_server.h"
#include "bosonserver/cli/session_commands.h"
#include "bosonserver/cli/user_commands.h"
#include "bosonserver/server/state_files.h"
#include "runtime/config_loader.h"

namespace higgs::boson {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr const char* kServerExamples = R"(Examples:
  bosonserver user add alice --role admin        # the first admin; asks for the password
  bosonserver run                                # everything by default: port 8443, embedded store
  bosonserver run --public-url https://vpn.example:8443 --dns 9.9.9.9
  bosonserver run --store 'postgresql://higgs@db/higgs?sslmode=verify-full' --store-password-file /etc/higgs/db
  bosonserver pin                                # what nodes and clients give as --pin
  bosonserver node list                          # and user, session, audit, keys: each with --help and --json
  bosonserver check-config --config /etc/higgs/bosonserver.toml
)";

class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", std::string("bosonserver 0.1.0"));
    app_.footer(kServerExamples);
    settings_.declare(schema_);

    run_ = app_.add_subcommand("run", "serve until SIGTERM; at SIGHUP read certificates and revocation lists again");
    schema_.bind_flags(*run_);
    run_->add_option("--config", config_, "TOML file (else HIGGS_CONFIG, else /etc/higgs/bosonserver.toml)");
    run_->add_flag("--print-config", print_, "print the effective configuration and end");
    run_->footer(kServerExamples);

    check_ = app_.add_subcommand("check-config", "say what is wrong with the configuration");
    check_->add_option("--config", config_, "TOML file");
    check_->add_flag("--print-config", print_, "print the effective configuration as well");

    pin_ = app_.add_subcommand("pin", "print the pin of the server's certificate");
    table_.add_store_options(*pin_);

    migrate_ = app_.add_subcommand("migrate", "the tables of the store; `run` brings them up to date by itself");
    migrate_->require_subcommand(1);
    migrate_status_ = migrate_->add_subcommand("status", "say which changes are missing");
    migrate_up_ = migrate_->add_subcommand("up", "apply what is missing");
    for (auto* command : {migrate_status_, migrate_up_}) {
      table_.add_store_options(*command);
      command->add_flag("--json", json_, "for scripts");
    }

    backup_ = app_.add_subcommand("backup", "copy the embedded store to a file, also while the server runs");
    restore_ = app_.add_subcommand("restore", "make the embedded store of such a file, while no server runs");
    for (auto* command : {backup_, restore_}) {
      table_.add_store_options(*command);
      command->add_option("FILE", backup_file_, "the copy")->required();
    }

    endpoints_ = app_.add_subcommand("endpoints", "print the table of endpoints")->group("");
    endpoints_->add_flag("--json", json_, "as JSON, the only form");
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? 0 : kUsage;
    }
    if (endpoints_->parsed()) {
      std::cout << endpoints_json() << '\n';
      return 0;
    }
    const auto problems = runtime::load_config(schema_, "bosonserver", config_ ? config_ : table_.config());
    for (const auto& problem : problems) std::cerr << "bosonserver: " << config::to_string(problem) << '\n';
    if (const auto fault = table_.apply(settings_)) {
      std::cerr << "bosonserver: " << *fault << '\n';
      return kUsage;
    }
    settings_.finish();
    return problems.empty() ? dispatch() : kUsage;
  }

 private:
  int dispatch() {
    if (print_) std::cout << schema_.effective_toml();
    if (check_->parsed()) {
      if (!print_) std::cout << "the configuration is valid\n";
      return 0;
    }
    if (run_->parsed()) return print_ ? 0 : run_server(settings_);
    if (pin_->parsed()) {
      std::cout << pin_of_certificate(settings_) << '\n';
      return 0;
    }
    if (migrate_status_->parsed()) return migration_status(settings_, json_);
    if (migrate_up_->parsed()) return migrate_up(settings_, json_);
    if (backup_->parsed()) return backup_store(settings_, backup_file_);
    if (restore_->parsed()) return restore_store(settings_, backup_file_);
    Console console(settings_, table_.json());
    try {
      return (*table_.chosen())(console);
    } catch (const std::exception& error) {
      console.audit_failure(error.what());
      throw;
    }
  }

  CLI::App app_{"bosonserver: introduces Higgs nodes and clients, and relays what they cannot send directly"};
  ServerSettings settings_;
  config::Schema schema_;
  CommandTable table_{app_};
  UserCommands users_{table_};
  NodeCommands nodes_{table_};
  SessionCommands sessions_{table_};
  AuditCommands audit_{table_};
  KeysCommands keys_{table_};
  CLI::App *run_ = nullptr, *check_ = nullptr, *pin_ = nullptr, *endpoints_ = nullptr, *migrate_ = nullptr,
           *migrate_status_ = nullptr, *migrate_up_ = nullptr, *backup_ = nullptr, *restore_ = nullptr;
  std::filesystem::path backup_file_;
  std::optional<std::filesystem::path> config_;
  bool print_ = false, json_ = false;
};

}  // namespace

int run_command_line(int argc, char** argv) {
  try {
    CommandLine command_line;
    return command_line.run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bosonserver: " << error.what() << '\n';
    return kFailed;
  }
}

}  // namespace higgs::boson
