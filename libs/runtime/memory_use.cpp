#include "runtime/memory_use.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include <malloc.h>
#include <unistd.h>

namespace higgs::runtime {
namespace {

std::size_t page_bytes() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

/// cgroup-v2.rst, "memory.max": a number, or "max". The groups above it bind as well.
std::size_t group_bytes(std::size_t otherwise) {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    if (!line.starts_with("0::/")) continue;
    for (std::string group = line.substr(3);; group = group.substr(0, group.rfind('/'))) {
      std::ifstream limit("/sys/fs/cgroup" + group + "/memory.max");
      std::size_t bytes = 0;
      if (limit >> bytes) otherwise = std::min(otherwise, bytes);
      if (group.empty()) return otherwise;
    }
  }
  return otherwise;
}

}  // namespace

std::size_t resident_bytes() noexcept {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  std::size_t size = 0, resident = 0;
  const bool read = std::fscanf(file, "%zu %zu", &size, &resident) == 2;
  std::fclose(file);
  return read ? resident * page_bytes() : 0;
}

std::size_t machine_bytes() noexcept {
  const auto all = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * page_bytes();
  try {
    return group_bytes(all);
  } catch (...) {
    return all;
  }
}

void return_free_memory() noexcept { ::malloc_trim(0); }

}  // namespace higgs::runtime
