// Seals what the store keeps but must not tell: signing keys, secrets of one-time codes. The key is in the state
// directory, so that who has only the database has nothing.
//
// Thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

namespace higgs::boson {

using SealingKey = SecretBytes<32>;

class Sealer {
 public:
  Sealer(SealingKey key, RandomSource& random) : key_(std::move(key)), random_(random) {}

  /// nonce ‖ XChaCha20-Poly1305. `context` names what it is, and must be the same to open it: nothing sealed can be put
  /// in another's place.
  Bytes seal(std::string_view context, ByteView plain) const;
  /// Into `plain`, whose size must be what was sealed. False where key, context or content are not the same.
  bool open(std::string_view context, ByteView sealed, MutableBytes plain) const;

 private:
  const SealingKey key_;
  RandomSource& random_;
};

}  // namespace higgs::boson
