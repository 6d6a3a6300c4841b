// Any payload under any of the actions: what parses is encoded and parses again to the same.
#include <cstdlib>
#include <string>

#include "path/signal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  static constexpr std::array<std::string_view, 5> kActions{"ice-description", "candidate", "candidates-end",
                                                            "path-changed", "other"};
  const std::string payload(as_text(std::as_bytes(std::span(data, size))));
  for (const auto action : kActions) {
    const auto signal = path::parse_signal({std::string(action), payload});
    if (!signal) continue;
    const auto again = path::parse_signal(path::encode_signal(*signal));
    if (!again || *again != *signal) std::abort();
  }
  return 0;
}
