#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "config/nearest.h"
#include "config/schema.h"

namespace higgs::config {
namespace {

using namespace std::chrono_literals;

enum class Mode { kFast, kSafe };

struct Settings {
  std::string name = "default";
  std::filesystem::path state_dir = "/var/lib/x";
  bool kill_switch = true;
  std::uint16_t port = 80;
  double share = 0.5;
  std::chrono::seconds interval{15};
  std::optional<Endpoint> listen;
  std::vector<IpPrefix> deny;
  std::vector<std::uint16_t> ports = {25};
  Mode mode = Mode::kSafe;
  SecretString token;
};

struct Fixture {
  Settings settings;
  Schema schema;
  std::map<std::string, std::string> environment;

  Fixture() {
    schema.add("name", settings.name, {.description = "a name"});
    schema.add("state_dir", settings.state_dir, {.description = "a directory"});
    schema.add("kill_switch", settings.kill_switch, {.description = "a switch"});
    schema.add("port", settings.port, {.description = "a port"}, in_range(1, 1000));
    schema.add("share", settings.share, {.description = "a share"}, in_range(0, 1));
    schema.add("interval", settings.interval, {.description = "an interval"}, in_range(5s, 300s));
    schema.add("listen", settings.listen, {.description = "an endpoint"});
    schema.add("egress.deny", settings.deny, {.description = "prefixes"});
    schema.add("egress.ports", settings.ports, {.description = "ports"}, in_range(1, 65535));
    schema.add_enum("mode", settings.mode, {{"fast", Mode::kFast}, {"safe", Mode::kSafe}}, {.description = "a mode"});
    schema.add("token", settings.token, {.description = "a secret"});
  }

  Problems load(std::optional<std::string> file) {
    return schema.load({.file_text = std::move(file), .file_name = "f.toml", .variable = [this](const auto& key) {
                          const auto found = environment.find(key);
                          return found == environment.end() ? std::nullopt : std::optional(found->second);
                        }});
  }
  std::string first_problem(const std::string& file) {
    const auto problems = load(file);
    return problems.empty() ? "" : to_string(problems.front());
  }
  void flags(const std::string& line) {
    CLI::App app;
    schema.bind_flags(app);
    app.parse(line);
  }
};

TEST(Config, DefaultsStandWhereNothingIsGiven) {
  Fixture f;
  EXPECT_TRUE(f.load(std::nullopt).empty());
  EXPECT_EQ(f.settings.name, "default");
  EXPECT_FALSE(f.schema.given("name"));
}

TEST(Config, FileThenEnvironmentThenFlags) {
  Fixture f;
  const std::string file = "name = 'file'\nport = 1\ninterval = '1m'\nmode = 'fast'\n";
  f.environment = {{"HIGGS_NAME", "environment"}, {"HIGGS_PORT", "2"}};
  f.flags("--name flag --no-kill-switch");
  EXPECT_TRUE(f.load(file).empty());
  EXPECT_EQ(f.settings.name, "flag");
  EXPECT_EQ(f.settings.port, 2);
  EXPECT_EQ(f.settings.interval, 60s);
  EXPECT_EQ(f.settings.mode, Mode::kFast);
  EXPECT_FALSE(f.settings.kill_switch);
  EXPECT_TRUE(f.schema.given("name"));
}

TEST(Config, TablesAndLists) {
  Fixture f;
  f.environment["HIGGS_EGRESS_PORTS"] = "25, 465,587";
  f.flags("--egress-deny 10.1.0.0/16,fd00::/8 --egress-deny 192.0.2.0/24");
  EXPECT_TRUE(f.load("[egress]\ndeny = ['10.0.0.0/8']\nports = [1]\n").empty());
  EXPECT_EQ(f.settings.deny.size(), 3u);
  EXPECT_EQ(f.settings.ports, (std::vector<std::uint16_t>{25, 465, 587}));
}

TEST(Config, AnEmptyListReplacesTheDefault) {
  Fixture f;
  EXPECT_TRUE(f.load("[egress]\nports = []\n").empty());
  EXPECT_TRUE(f.settings.ports.empty());
}

TEST(Config, UnknownKeysNameTheNearestAndTheLine) {
  Fixture f;
  EXPECT_EQ(f.first_problem("\nnaem = 'x'"), "f.toml:2: naem: unknown key; did you mean name?");
  EXPECT_EQ(f.first_problem("deny = []"), "f.toml:1: deny: unknown key; did you mean egress.deny?");
  EXPECT_EQ(f.first_problem("[egress]\n\ndenny = []"),
            "f.toml:3: egress.denny: unknown key; did you mean egress.deny?");
  EXPECT_EQ(f.first_problem("completely_else = 1"), "f.toml:1: completely_else: unknown key");
  EXPECT_EQ(f.first_problem("[other]\nx = 1"), "f.toml:1: other: unknown key");
}

TEST(Config, WrongValuesSayWhatIsExpected) {
  Fixture f;
  EXPECT_EQ(f.first_problem("port = 1001"), "f.toml:1: port: must be from 1 to 1000");
  EXPECT_EQ(f.first_problem("port = 70000"), "f.toml:1: port: \"70000\" is not a whole number from 0 to 65535");
  EXPECT_EQ(f.first_problem("port = '80'"), "f.toml:1: port: must be a whole number without quotes");
  EXPECT_EQ(f.first_problem("name = 5"), "f.toml:1: name: must be a text in quotes");
  EXPECT_EQ(f.first_problem("interval = '1s'"), "f.toml:1: interval: must be from 5s to 5m");
  EXPECT_EQ(f.first_problem("mode = 'x'"), "f.toml:1: mode: \"x\" is not one of \"fast\", \"safe\"");
  EXPECT_EQ(f.first_problem("[egress]\ndeny = '10.0.0.0/8'"), "f.toml:2: egress.deny: must be a list: [ … ]");
  EXPECT_EQ(f.first_problem("[egress]\ndeny = [\n'10.0.0.0/8',\n5]"),
            "f.toml:4: egress.deny: each item must be a text in quotes");
  EXPECT_EQ(f.first_problem("name = "), f.first_problem("name = "));
  EXPECT_NE(f.first_problem("x = 1\nname = ").find("f.toml:2: is not TOML"), std::string::npos);
  f.environment["HIGGS_LISTEN"] = "nowhere";
  EXPECT_EQ(f.first_problem("").substr(0, 35), "environment HIGGS_LISTEN: listen: \"");
}

TEST(Config, ASecretIsNeverShownAndHasNoFlag) {
  Fixture f;
  f.environment["HIGGS_TOKEN"] = "hunter2";
  EXPECT_TRUE(f.load(std::nullopt).empty());
  EXPECT_EQ(f.settings.token.reveal(), "hunter2");
  EXPECT_EQ(f.schema.effective_toml().find("hunter2"), std::string::npos);
  EXPECT_THROW(f.flags("--token x"), CLI::ParseError);
}

TEST(Config, WhatIsPrintedIsReadAgain) {
  Fixture f;
  EXPECT_TRUE(
      f.load("name = \"a \\\"b\\\"\\n\\u007f\"\nlisten = '[::]:1'\nshare = 1\n[egress]\ndeny = ['::/0']").empty());
  Fixture again;
  const auto problems = again.load(f.schema.effective_toml());
  EXPECT_TRUE(problems.empty()) << to_string(problems.front()) << f.schema.effective_toml();
  EXPECT_EQ(again.settings.name, f.settings.name);
  EXPECT_EQ(again.settings.listen, f.settings.listen);
  EXPECT_EQ(again.settings.deny, f.settings.deny);
  EXPECT_EQ(again.settings.share, 1.0);
}

TEST(Config, RequiredAndRules) {
  std::string server;
  int low = 1, high = 0;
  Schema schema;
  schema.add("server", server, {.description = "a server", .required = true});
  schema.add("low", low, {.description = "low"});
  schema.add_rule([&]() -> std::optional<Problem> {
    if (low <= high) return std::nullopt;
    return Problem{"", "low", "must not be above high"};
  });
  const auto missing = schema.load({});
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(
      to_string(missing.front()),
      "server: is needed; give it with --server, as HIGGS_SERVER in the environment, or in the configuration file");
  Sources given{.file_text = "server = 'x'", .file_name = "f", .variable = {}};
  const auto rule = schema.load(given);
  ASSERT_EQ(rule.size(), 1u);
  EXPECT_EQ(to_string(rule.front()), "low: must not be above high");
}

TEST(Config, AFileOverItsLimitIsRefused) {
  Fixture f;
  EXPECT_EQ(f.load(std::string(kMaxFileBytes + 1, '#')).size(), 1u);
}

TEST(Config, Durations) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("2h"), 2h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  for (const auto* bad : {"", "5", "s", "-5s", "1.5s", "5 s", "99999999999999999999s", "9999999999999d"}) {
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(Value<std::chrono::seconds>::parse("1500ms"), std::nullopt);
  EXPECT_EQ(print_duration(90s), "90s");
  EXPECT_EQ(print_duration(120s), "2m");
}

TEST(Nearest, CountsASwapOnceAndKnowsWhenToBeSilent) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("server", "sevrer"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(nearest_name("servr", {"port", "server"}), "server");
  EXPECT_EQ(nearest_name("zzz", {"port", "server"}), std::nullopt);
  EXPECT_EQ(edit_distance(std::string(10'000, 'a'), ""), 64u);
}

}  // namespace
}  // namespace higgs::config
