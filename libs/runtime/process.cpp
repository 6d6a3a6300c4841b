#include "runtime/process.h"

#include <cerrno>
#include <csignal>
#include <filesystem>

#include <linux/close_range.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace higgs::runtime {

void protect_process_memory() noexcept {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

ProgramImage::ProgramImage(char** arguments) {
  std::error_code error;
  path_ = std::filesystem::read_symlink("/proc/self/exe", error).string();
  for (; *arguments != nullptr; ++arguments) arguments_.emplace_back(*arguments);
}

std::error_code ProgramImage::begin_anew() const {
  std::vector<char*> arguments;
  for (const auto& argument : arguments_) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // Everything of ours is opened with O_CLOEXEC; a library may have forgotten it.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(path_.c_str(), arguments.data());
  return {errno, std::system_category()};
}

void raise_file_limit() noexcept {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

void return_large_blocks() noexcept { ::mallopt(M_MMAP_THRESHOLD, 1024 * 1024); }

}  // namespace higgs::runtime
