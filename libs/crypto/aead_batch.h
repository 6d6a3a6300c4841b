// ChaCha20-Poly1305 over runs of packets under one key, in place, without additional data: WireGuard's transport data
// (paper, section 5.4.6). Several implementations stand behind one interface; the fastest that this CPU has and that
// gives the known answers is chosen at start.
//
// Threads: an instance belongs to one thread at a time. Nothing is allocated after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "crypto/aead.h"

namespace higgs::crypto {

/// One packet of a run: `length` bytes of plain or cipher text at `data`, and room for the tag (or the tag) behind.
struct AeadPacket {
  std::byte* data = nullptr;
  std::uint32_t length = 0;  ///< without the tag
  /// Set by seal() and open(). After a failed open() the bytes are zero: nothing unauthenticated is left behind.
  /// After a failed seal() the packet must not be sent.
  bool valid = false;
  std::uint64_t counter = 0;
};

class AeadBatch {
 public:
  virtual ~AeadBatch() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual void seal(const AeadKey& key, std::span<AeadPacket> packets) noexcept = 0;
  virtual void open(const AeadKey& key, std::span<AeadPacket> packets) noexcept = 0;
};

enum class AeadBackend {
  kIpsecMb,          ///< Intel's multi-buffer library
  kComposedOpenSsl,  ///< EVP ChaCha20 and Poly1305 put together here: less overhead a packet than EVP's own AEAD
  kOpenSsl,          ///< EVP ChaCha20-Poly1305
};

/// nullptr if the library or the CPU lacks it, or if its answers are wrong.
std::unique_ptr<AeadBatch> make_aead_batch(AeadBackend backend);
/// In order of preference on this CPU.
std::vector<AeadBackend> preferred_aead_backends();
/// The first of preferred_aead_backends() that works; throws std::runtime_error if none does.
std::unique_ptr<AeadBatch> make_best_aead_batch();

/// Seals and opens packets of many lengths and compares with aead.h; also wants every forged tag refused.
bool gives_known_answers(AeadBatch& batch);

}  // namespace higgs::crypto
