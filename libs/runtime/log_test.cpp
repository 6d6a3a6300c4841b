#include "runtime/log.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace higgs::runtime::log {
namespace {

/// What is written to stderr meanwhile, as JSON.
template <class F>
nlohmann::json line_of(F write) {
  configure({Level::kInfo, Format::kJson, "test"});
  ::testing::internal::CaptureStderr();
  write();
  const auto text = ::testing::internal::GetCapturedStderr();
  configure({});
  return nlohmann::json::parse(text);
}

TEST(Log, AScopeAddsItsFieldsToEveryLine) {
  const auto line = line_of([] {
    const Scope scope(std::vector<Field>{{"request", "r1"}, {"trace_id", "abc"}});
    warn("something", {{"trace_id", "own"}, {"ms", 3}});
  });
  EXPECT_EQ(line["request"], "r1");
  EXPECT_EQ(line["trace_id"], "own");
  EXPECT_EQ(line["ms"], 3);
  EXPECT_EQ(line["program"], "test");
  EXPECT_EQ(line["level"], "warn");
}

TEST(Log, ScopesEnd) {
  const auto line = line_of([] {
    const Scope outer(std::vector<Field>{{"request", "outer"}});
    { const Scope inner(std::vector<Field>{{"request", "inner"}}); }
    info("something");
  });
  EXPECT_EQ(line["request"], "outer");
  EXPECT_FALSE(line_of([] { info("something"); }).contains("request"));
}

TEST(Log, WarningsAndErrorsAreCountedWhateverTheLevel) {
  configure({Level::kOff, Format::kText, "test"});
  const auto before = counts();
  info("a");
  warn("b");
  error("c");
  error("d");
  configure({});
  EXPECT_EQ(counts().warnings, before.warnings + 1);
  EXPECT_EQ(counts().errors, before.errors + 2);
}

}  // namespace
}  // namespace higgs::runtime::log
