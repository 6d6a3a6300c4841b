#include "bosonserver/cli/cli.h"

#include <iostream>

#include <CLI/CLI.hpp>

#include "bosonserver/api/endpoint.h"
#include "bosonserver/cli/commands.h"
#include "runtime/config_loader.h"

namespace higgs::boson {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr const char* kExamples = R"(Examples:
  bosonserver user add alice --role admin        # the first admin; asks for the password
  bosonserver run                                # everything by default: port 8443, embedded store
  bosonserver run --public-url https://vpn.example:8443 --dns 9.9.9.9
  bosonserver run --store 'postgresql://higgs@db/higgs?sslmode=verify-full' --store-password-file /etc/higgs/db
  bosonserver pin                                # what nodes and clients give as --pin
  bosonserver check-config --config /etc/higgs/bosonserver.toml
)";

class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", std::string("bosonserver 0.1.0"));
    app_.footer(kExamples);
    settings_.declare(schema_);

    run_ = app_.add_subcommand("run", "serve until SIGTERM");
    schema_.bind_flags(*run_);
    run_->add_option("--config", config_, "TOML file (else HIGGS_CONFIG, else /etc/higgs/bosonserver.toml)");
    run_->add_flag("--print-config", print_, "print the effective configuration and end");
    run_->footer(kExamples);

    check_ = app_.add_subcommand("check-config", "say what is wrong with the configuration");
    check_->add_option("--config", config_, "TOML file");
    check_->add_flag("--print-config", print_, "print the effective configuration as well");

    pin_ = app_.add_subcommand("pin", "print the pin of the server's certificate");
    add_state(*pin_);

    user_ = app_.add_subcommand("user", "accounts, also while the server runs");
    user_->require_subcommand(1);
    user_add_ = user_->add_subcommand("add", "add an account");
    user_add_->add_option("NAME", new_user_.name, "user name")->required();
    user_add_->add_option("--role", role_, "user, operator or admin")
        ->check(CLI::IsMember({"user", "operator", "admin"}));
    user_add_->add_option("--password-file", password_file_, "file with the password, - for standard input");
    add_state(*user_add_);
    user_list_ = user_->add_subcommand("list", "list accounts");
    add_state(*user_list_);

    migrate_ = app_.add_subcommand("migrate", "the tables of the store; `run` brings them up to date by itself");
    migrate_->require_subcommand(1);
    migrate_status_ = migrate_->add_subcommand("status", "say which changes are missing");
    migrate_up_ = migrate_->add_subcommand("up", "apply what is missing");
    for (auto* command : {migrate_status_, migrate_up_}) {
      add_state(*command);
      command->add_flag("--json", json_, "for scripts");
    }

    backup_ = app_.add_subcommand("backup", "copy the embedded store to a file, also while the server runs");
    restore_ = app_.add_subcommand("restore", "make the embedded store of such a file, while no server runs");
    for (auto* command : {backup_, restore_}) {
      add_state(*command);
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
    if (!load()) return kUsage;
    return dispatch();
  }

 private:
  void add_state(CLI::App& command) {
    command.add_option("--state-dir", state_dir_, "keys, certificate and the embedded store");
    command.add_option("--store", store_, "sqlite:PATH or postgresql://USER@HOST/DATABASE");
    command.add_option("--store-password-file", store_password_file_, "file with the password for PostgreSQL");
    command.add_option("--config", config_, "TOML file");
  }

  bool load() {
    const auto problems = runtime::load_config(schema_, "bosonserver", config_);
    for (const auto& problem : problems) std::cerr << "bosonserver: " << config::to_string(problem) << '\n';
    if (state_dir_) settings_.state_dir = *state_dir_;
    if (store_) settings_.store = store_;
    if (store_password_file_) settings_.store_password_file = store_password_file_;
    if (const auto fault = store_ ? fault_of_store_url(*store_) : std::nullopt) {
      std::cerr << "bosonserver: --store " << *fault << '\n';
      return false;
    }
    settings_.finish();
    return problems.empty();
  }

  int dispatch() {
    if (print_) std::cout << schema_.effective_toml();
    if (check_->parsed()) {
      if (!print_) std::cout << "the configuration is valid\n";
      return 0;
    }
    if (run_->parsed()) return print_ ? 0 : run_server(settings_);
    if (pin_->parsed()) return print_pin(settings_);
    if (user_list_->parsed()) return list_users(settings_);
    if (migrate_status_->parsed()) return migration_status(settings_, json_);
    if (migrate_up_->parsed()) return migrate_up(settings_, json_);
    if (backup_->parsed()) return backup_store(settings_, backup_file_);
    if (restore_->parsed()) return restore_store(settings_, backup_file_);
    new_user_.role = api::parse_role(role_).value_or(api::Role::kUser);
    new_user_.password_file = password_file_;
    return add_user(settings_, new_user_);
  }

  CLI::App app_{"bosonserver: introduces Higgs nodes and clients, and relays what they cannot send directly"};
  ServerSettings settings_;
  config::Schema schema_;
  CLI::App *run_ = nullptr, *check_ = nullptr, *pin_ = nullptr, *user_ = nullptr, *user_add_ = nullptr,
           *user_list_ = nullptr, *migrate_ = nullptr, *migrate_status_ = nullptr, *migrate_up_ = nullptr,
           *backup_ = nullptr, *restore_ = nullptr, *endpoints_ = nullptr;
  std::optional<std::filesystem::path> config_;
  std::filesystem::path backup_file_;
  std::optional<std::filesystem::path> state_dir_, store_password_file_;
  std::optional<std::string> store_, password_file_;
  std::string role_ = "user";
  NewUser new_user_;
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
