// Any text message: what parses is encoded and parses again to the same kind.
#include <cstdlib>

#include "relay/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  const auto message = relay::parse_control(as_text(std::as_bytes(std::span(data, size))));
  if (!message) return 0;
  const std::string text = relay::encode_control(*message);
  const auto again = relay::parse_control(text);
  if (!again) {
    // Escapes may make it longer than what came in.
    if (text.size() <= relay::kMaxTextBytes) std::abort();
    return 0;
  }
  if (again->session != message->session || again->direction != message->direction) std::abort();
  if (again->payload.index() != message->payload.index()) std::abort();
  return 0;
}
