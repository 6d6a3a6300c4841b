// SHA-256 and HMAC-SHA-256 through OpenSSL. BLAKE2s, which only WireGuard uses, is in blake2s.h.
#pragma once

#include "base/bytes.h"

namespace higgs::crypto {

using Sha256Digest = ByteArray<32>;
Sha256Digest sha256(ByteView message);
Sha256Digest hmac_sha256(ByteView key, ByteView message);

}  // namespace higgs::crypto
