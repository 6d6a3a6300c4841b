// Measures how much the server has to do, ten times a second, and sets the gate by it. Gives freed memory back while
// memory is short: what is resident is what is limited.
//
// Made and destroyed while the executor does not run; in between on it.
#pragma once

#include <cstddef>
#include <functional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bosonserver/domain/overload.h"
#include "bosonserver/server/overload_gate.h"

namespace higgs::boson {

class OverloadWatch {
 public:
  struct Sources {
    std::function<double()> queue;                   ///< Load::queue
    std::function<std::size_t()> memory_bytes = {};  ///< unset: of this process
  };

  OverloadWatch(const boost::asio::any_io_executor& executor, OverloadGate& gate, const OverloadPolicy& policy,
                std::size_t memory_limit_bytes, Sources sources);

 private:
  void arm();
  void measure(Instant now, std::chrono::nanoseconds lag);

  boost::asio::steady_timer timer_;
  OverloadGate& gate_;
  OverloadGuard guard_;
  const std::size_t memory_limit_bytes_;
  const Sources sources_;
  Instant returned_{};
};

}  // namespace higgs::boson
