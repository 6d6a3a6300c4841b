// How busy this process is: its share of the machine's processors since it was asked last.
#pragma once

#include "base/time.h"

namespace higgs::boson {

class ProcessLoad {
 public:
  /// 0 to 100; 0 the first time.
  double percent(Instant now);

 private:
  std::chrono::nanoseconds used_{0};
  Instant asked_{};
};

}  // namespace higgs::boson
