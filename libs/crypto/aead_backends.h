// The implementations behind aead_batch.h, before their answers are checked. nullptr: not on this machine.
#pragma once

#include <memory>

#include "crypto/aead_batch.h"

namespace higgs::crypto::detail {

std::unique_ptr<AeadBatch> make_ipsec_mb_batch();
/// Whether libipsec-mb has its AVX-512 code for this CPU; with AVX2 alone the composed OpenSSL code is faster.
bool ipsec_mb_is_fastest();
std::unique_ptr<AeadBatch> make_composed_openssl_batch();
std::unique_ptr<AeadBatch> make_openssl_batch();

/// The tag of an opened packet against the one computed; wipes the packet if they differ.
inline void settle_opened(AeadPacket& packet, ByteView computed_tag) noexcept {
  packet.valid = equal_constant_time(computed_tag, {packet.data + packet.length, kAeadTagBytes});
  if (!packet.valid) std::memset(packet.data, 0, packet.length);
}

}  // namespace higgs::crypto::detail
