#include "higgsvpn/network_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tunnel/testing/own_network.h"

namespace higgs::vpn {
namespace {

using tunnel::testing::in_own_network;

TEST(NetworkLockTest, OneForEachNetwork) {
  if (!in_own_network([] {
        {
          const auto first = NetworkLock::take();
          ASSERT_TRUE(first) << first.error().message;
          const auto second = NetworkLock::take();
          ASSERT_FALSE(second);
          EXPECT_EQ(second.error().code, ExitCode::kFailure);
          EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())), std::string::npos)
              << second.error().message;
          EXPECT_TRUE(in_own_network([] { EXPECT_TRUE(NetworkLock::take()); })) << "another network has its own";
        }
        EXPECT_TRUE(NetworkLock::take()) << "given back";
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST(NetworkLockTest, GoesWithItsProcess) {
  if (!in_own_network([] {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
          const auto lock = NetworkLock::take();
          const char done = lock ? 'y' : 'n';
          (void)!::write(ends[1], &done, 1);
          ::pause();
          ::_exit(0);
        }
        char done = 0;
        ASSERT_EQ(::read(ends[0], &done, 1), 1);
        ASSERT_EQ(done, 'y');
        EXPECT_FALSE(NetworkLock::take());
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        EXPECT_TRUE(NetworkLock::take());
        ::close(ends[0]);
        ::close(ends[1]);
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

}  // namespace
}  // namespace higgs::vpn
