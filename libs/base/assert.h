// HIGGS_ASSERT(condition): stops the program on a programming error, in every build type.
// Never use it on what came from a network, a file or a user: those are values to be checked and answered.
#pragma once

namespace higgs {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace higgs

#define HIGGS_ASSERT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::higgs::assertion_failed(#condition, __FILE__, __LINE__))
