#include "base/secret.h"

#include <cstring>

namespace higgs {

void secure_wipe(MutableBytes bytes) noexcept {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

bool equal_constant_time(ByteView a, ByteView b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= std::to_integer<unsigned>(a[i]) ^ std::to_integer<unsigned>(b[i]);
  return difference == 0;
}

}  // namespace higgs
