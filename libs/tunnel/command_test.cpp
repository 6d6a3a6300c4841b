#include "tunnel/command.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace higgs::tunnel {
namespace {

using namespace std::chrono_literals;

TEST(Command, FeedsAndCollects) {
  const std::string much(300'000, 'x');
  const CommandResult result = run_command({"sh", "-c", "cat; echo done >&2; exit 3"}, much);
  EXPECT_EQ(result.out, much) << "more than a pipe holds";
  EXPECT_EQ(result.err, "done\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(result.ok());
  EXPECT_TRUE(run_command({"true"}).ok());
}

TEST(Command, CommandThatDoesNotReadItsInput) {
  const CommandResult result = run_command({"true"}, std::string(1'000'000, 'x'));
  EXPECT_EQ(result.exit_code, 0) << "and we are not killed by SIGPIPE";
}

TEST(Command, MissingProgramAndSignal) {
  EXPECT_FALSE(run_command({"no-such-program-anywhere"}).found);
  EXPECT_EQ(run_command({"sh", "-c", "kill -9 $$"}).exit_code, -1);
}

TEST(Command, DeadlineKills) {
  const auto begun = std::chrono::steady_clock::now();
  const CommandResult result = run_command({"sleep", "60"}, {}, 50ms);
  EXPECT_TRUE(result.timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}

TEST(Command, DiesWithItsCaller) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t caller = ::fork();
  if (caller == 0) {
    // The command holds the writing end; when it is gone, reading comes to the end.
    run_command({"sh", "-c", "echo x >&" + std::to_string(ends[1]) + "; exec sleep 60"});
    ::_exit(0);
  }
  ::close(ends[1]);
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  ::kill(caller, SIGKILL);
  ::waitpid(caller, nullptr, 0);
  while (::read(ends[0], &byte, 1) > 0) {
  }
  ::close(ends[0]);
}

}  // namespace
}  // namespace higgs::tunnel
