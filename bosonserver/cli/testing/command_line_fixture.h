// For tests: the program's command line, on a state directory of its own.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>

#include "bosonserver/cli/cli.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson::testing {

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-cli-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~CommandLineTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    const auto file = directory_ / name;
    std::ofstream(file) << text;
    return file.string();
  }
  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "bosonserver");
    std::vector<char*> argv;
    argv.reserve(arguments.size());
    for (auto& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int status = run_command_line(static_cast<int>(argv.size()), argv.data());
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    return status;
  }
  int user(const std::string& command, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"user", command});
    arguments.insert(arguments.end(), {"--state-dir", state()});
    return run(std::move(arguments));
  }
  std::string state() const { return (directory_ / "state").string(); }
  std::unique_ptr<Store> open() const { return open_store({"sqlite:" + (directory_ / "state" / "store.db").string()}); }
  NodeId add_node(Store& store) {
    const auto node = make_node(random_);
    EXPECT_TRUE(store.register_node(node));
    return node.id;
  }
  /// The newest of the audit: "ACTION OBJECT: OUTCOME".
  std::string newest_act() const {
    const auto entry = open()->audit(std::nullopt, 1)->front();
    return entry.action + " " + entry.object + ": " + entry.outcome;
  }
  /// What was printed.
  nlohmann::json json() const { return nlohmann::json::parse(out_); }

  std::filesystem::path directory_;
  std::string out_, err_;
  SeededRandom random_{3};
};

}  // namespace higgs::boson::testing
