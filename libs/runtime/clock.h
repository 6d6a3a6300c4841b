// The one place that reads the clocks.
#pragma once

#include "base/time.h"

namespace higgs::runtime {

Now now() noexcept;

}  // namespace higgs::runtime
