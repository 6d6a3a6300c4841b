#include "runtime/clock.h"

namespace higgs::runtime {

Now now() noexcept { return {std::chrono::steady_clock::now(), std::chrono::system_clock::now()}; }

}  // namespace higgs::runtime
