// Any datagram: parsing and answering must neither read out of bounds nor answer more than is allowed.
#include <cstdlib>

#include "stun/binding.h"
#include "stun/integrity.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  const ByteView datagram = std::as_bytes(std::span(data, size));
  ByteArray<1024> buffer;
  const stun::BindingServer server{"higgs", *Endpoint::parse("192.0.2.1:3478"), Endpoint::parse("192.0.2.2:3479")};
  const auto answer = stun::answer_binding(datagram, *Endpoint::parse("[2001:db8::1]:1"), server, buffer);
  if (answer.bytes.size() > stun::kMaxAmplification * size) std::abort();
  if (!answer.bytes.empty() && !stun::parse_classic(answer.bytes)) std::abort();
  if (const auto message = stun::parse(datagram)) {
    static_cast<void>(stun::mapped_address(*message));
    static_cast<void>(stun::error_code(*message));
    static_cast<void>(stun::check_integrity(datagram, *message, stun::IntegrityKey::short_term("password")));
    for (const auto& attribute : message->all()) {
      static_cast<void>(stun::choose_password_algorithm(attribute.value));
      static_cast<void>(stun::read_password_algorithm(attribute.value));
    }
  }
  return 0;
}
