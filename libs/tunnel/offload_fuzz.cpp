// Segmenter on arbitrary headers and packets, and Coalescer on arbitrary packets: what was merged must split back.
#include <cstdlib>

#include "tunnel/coalescer.h"
#include "tunnel/segmenter.h"

using namespace higgs;
using namespace higgs::tunnel;

namespace {

void split(const VirtioHeader& header, ByteView packet) {
  auto segmenter = Segmenter::make(header, packet);
  if (!segmenter) return;
  Bytes out(segmenter->segment_bytes());
  std::size_t count = 0;
  while (!segmenter->done()) {
    if (segmenter->next(out.data()) > out.size()) std::abort();
    ++count;
  }
  if (count != segmenter->count()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input = std::as_bytes(std::span(data, size));
  if (size >= VirtioHeader::kSize)
    split(VirtioHeader::decode(input.first<VirtioHeader::kSize>()), input.subspan(VirtioHeader::kSize));

  ByteReader reader(input);
  std::vector<Bytes> packets;
  while (const auto length = reader.be<std::uint8_t>()) {
    const auto bytes = reader.take(*length);
    if (!bytes) break;
    packets.push_back(to_bytes(*bytes));
  }
  Coalescer coalescer({});
  for (Bytes& packet : packets) coalescer.add(packet);
  std::size_t written = 0, merged = 0;
  coalescer.flush([&](const VirtioHeader& header, std::span<const iovec> parts) {
    Bytes packet;
    for (const iovec& part : parts) {
      const auto* bytes = static_cast<const std::byte*>(part.iov_base);
      packet.insert(packet.end(), bytes, bytes + part.iov_len);
    }
    written += parts.size();
    if (parts.size() == 1) return;
    ++merged;
    const auto segmenter = Segmenter::make(header, packet);
    if (!segmenter || segmenter->count() != parts.size()) std::abort();
  });
  if (written != packets.size() || merged > packets.size() / 2) std::abort();
  return 0;
}
