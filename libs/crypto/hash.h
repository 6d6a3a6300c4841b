// SHA-256 and HMAC-SHA-256 through OpenSSL; MD5 and HMAC-SHA-1 for STUN, whose long-term credentials are made of them.
// BLAKE2s, which only WireGuard uses, is in blake2s.h.
#pragma once

#include <initializer_list>

#include "base/bytes.h"

namespace higgs::crypto {

using Sha256Digest = ByteArray<32>;
Sha256Digest sha256(ByteView message);
Sha256Digest hmac_sha256(ByteView key, ByteView message);
/// Of the parts one after another.
Sha256Digest hmac_sha256_of(ByteView key, std::initializer_list<ByteView> parts);

using Sha1Digest = ByteArray<20>;
Sha1Digest hmac_sha1(ByteView key, std::initializer_list<ByteView> parts);
using Md5Digest = ByteArray<16>;
Md5Digest md5(ByteView message);

}  // namespace higgs::crypto
