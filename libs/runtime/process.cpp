#include "runtime/process.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace higgs::runtime {

void protect_process_memory() noexcept {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void raise_file_limit() noexcept {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

void return_large_blocks() noexcept { ::mallopt(M_MMAP_THRESHOLD, 1024 * 1024); }

}  // namespace higgs::runtime
