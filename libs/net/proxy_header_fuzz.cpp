// Any bytes, as they come: the reader never takes more than it wants, and ends.
#include <algorithm>
#include <cstdlib>

#include "net/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  ByteView rest = std::as_bytes(std::span(data, size));
  net::ProxyHeaderReader reader;
  std::size_t taken = 0;
  while (!rest.empty() && reader.wanted() > 0) {
    const auto count = std::min(rest.size(), reader.wanted());
    reader.put(rest.first(count));
    rest = rest.subspan(count);
    taken += count;
  }
  using State = net::ProxyHeaderReader::State;
  if (taken > net::ProxyHeaderReader::kMostHeaderBytes) std::abort();
  if (reader.state() == State::kReading && (!rest.empty() || reader.wanted() == 0)) std::abort();
  if (reader.source() && reader.state() != State::kComplete) std::abort();
  return 0;
}
