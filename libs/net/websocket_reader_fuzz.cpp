// A peer's bytes, in slices of any size, to the reader of either role. What one slicing makes of them, another must.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "net/websocket_reader.h"

namespace {

using higgs::net::WebSocketReader;

struct Outcome {
  std::size_t messages = 0, bytes = 0, control = 0;
  int code = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome read_all(bool masked, higgs::ByteView input, std::size_t step) {
  WebSocketReader reader(masked, {.message_bytes = 4096, .text_bytes = 1024});
  Outcome outcome;
  higgs::Bytes buffer;
  for (std::size_t at = 0; at < input.size(); at += step) {
    const auto slice = input.subspan(at, std::min(step, input.size() - at));
    buffer.insert(buffer.end(), slice.begin(), slice.end());
    for (;;) {
      const auto item = reader.next(buffer);
      if (item.event == WebSocketReader::Event::kNeedMore) {
        if (reader.wanted() <= buffer.size() || reader.wanted() > reader.most_wanted()) std::abort();
        break;
      }
      if (item.event == WebSocketReader::Event::kFault || item.event == WebSocketReader::Event::kClose) {
        outcome.code = item.code;
        return outcome;
      }
      if (item.event == WebSocketReader::Event::kBinary || item.event == WebSocketReader::Event::kText) {
        if (item.payload.size() > 4096) std::abort();
        ++outcome.messages;
        outcome.bytes += item.payload.size();
      } else {
        ++outcome.control;
      }
      if (item.used == 0 || item.used > buffer.size()) std::abort();
      buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(item.used));
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  for (const bool masked : {false, true}) {
    if (!(read_all(masked, input, 1) == read_all(masked, input, std::max<std::size_t>(size, 1)))) std::abort();
  }
  return 0;
}
