// Any datagram: parsing and answering must neither read out of bounds nor answer more than is allowed.
#include <cstdlib>

#include "stun/binding.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  const ByteView datagram = std::as_bytes(std::span(data, size));
  ByteArray<stun::kBindingBufferBytes> buffer;
  const auto answer = stun::answer_binding(datagram, *Endpoint::parse("[2001:db8::1]:1"), "higgs", buffer);
  if (answer.bytes.size() > stun::kMaxAmplification * size) std::abort();
  if (!answer.bytes.empty() && !stun::parse(answer.bytes)) std::abort();
  if (const auto message = stun::parse(datagram)) {
    static_cast<void>(stun::mapped_address(*message));
    static_cast<void>(stun::error_code(*message));
  }
  return 0;
}
