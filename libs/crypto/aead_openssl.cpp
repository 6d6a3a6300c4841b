#include <algorithm>

#include "crypto/aead_backends.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto::detail {
namespace {

/// EVP's own AEAD, with the contexts kept: a new context and look-up for every packet costs as much again.
class OpenSslBatch final : public AeadBatch {
 public:
  OpenSslBatch(OpenSslHandle<EVP_CIPHER_CTX> sealing, OpenSslHandle<EVP_CIPHER_CTX> opening)
      : sealing_(std::move(sealing)), opening_(std::move(opening)) {}

  std::string_view name() const noexcept override { return "openssl"; }

  void seal(const AeadKey& key, std::span<AeadPacket> packets) noexcept override {
    EVP_CIPHER_CTX* context = sealing_.get();
    const bool ready = EVP_EncryptInit_ex(context, nullptr, nullptr, as_uchar(key.reveal().data()), nullptr) == 1;
    for (auto& packet : packets) {
      store_le(nonce_.data() + 4, packet.counter);
      int written = 0;
      packet.valid =
          ready && EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, as_uchar(nonce_.data())) == 1 &&
          update(context, packet, written) && EVP_EncryptFinal_ex(context, unused_, &written) == 1 &&
          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes, packet.data + packet.length) == 1;
      if (!packet.valid) std::memset(packet.data, 0, packet.length);
    }
  }

  void open(const AeadKey& key, std::span<AeadPacket> packets) noexcept override {
    EVP_CIPHER_CTX* context = opening_.get();
    const bool ready = EVP_DecryptInit_ex(context, nullptr, nullptr, as_uchar(key.reveal().data()), nullptr) == 1;
    for (auto& packet : packets) {
      store_le(nonce_.data() + 4, packet.counter);
      int written = 0;
      packet.valid =
          ready && EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, as_uchar(nonce_.data())) == 1 &&
          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, packet.data + packet.length) == 1 &&
          update(context, packet, written) && EVP_DecryptFinal_ex(context, unused_, &written) == 1;
      if (!packet.valid) std::memset(packet.data, 0, packet.length);
    }
  }

 private:
  static bool update(EVP_CIPHER_CTX* context, AeadPacket& packet, int& written) noexcept {
    // A keepalive has no text; to EVP an update of no bytes would mean something else.
    return packet.length == 0 || EVP_CipherUpdate(context, as_uchar(packet.data), &written, as_uchar(packet.data),
                                                  static_cast<int>(packet.length)) == 1;
  }

  OpenSslHandle<EVP_CIPHER_CTX> sealing_;
  OpenSslHandle<EVP_CIPHER_CTX> opening_;
  ByteArray<12> nonce_{};
  unsigned char unused_[16] = {};
};

/// ChaCha20 and Poly1305 put together as RFC 8439, section 2.8, says.
class ComposedOpenSslBatch final : public AeadBatch {
 public:
  ComposedOpenSslBatch(OpenSslHandle<EVP_CIPHER_CTX> cipher, OpenSslHandle<EVP_MAC_CTX> mac)
      : cipher_(std::move(cipher)), mac_(std::move(mac)) {}
  ~ComposedOpenSslBatch() override { secure_wipe(first_block_); }

  std::string_view name() const noexcept override { return "openssl-composed"; }

  void seal(const AeadKey& key, std::span<AeadPacket> packets) noexcept override {
    const bool ready = set_key(key);
    for (auto& packet : packets) {
      packet.valid =
          ready && begin(packet.counter) && apply(packet) && authenticate(packet, packet.data + packet.length);
      if (!packet.valid) std::memset(packet.data, 0, packet.length);
    }
    secure_wipe(first_block_);
  }

  void open(const AeadKey& key, std::span<AeadPacket> packets) noexcept override {
    const bool ready = set_key(key);
    ByteArray<kAeadTagBytes> computed{};
    for (auto& packet : packets) {
      packet.valid = ready && begin(packet.counter) && authenticate(packet, computed.data()) &&
                     equal_constant_time(computed, {packet.data + packet.length, kAeadTagBytes}) && apply(packet);
      if (!packet.valid) std::memset(packet.data, 0, packet.length);
    }
    secure_wipe(first_block_);
  }

 private:
  bool set_key(const AeadKey& key) noexcept {
    return EVP_EncryptInit_ex(cipher_.get(), nullptr, nullptr, as_uchar(key.reveal().data()), nullptr) == 1;
  }

  // "The Poly1305 key is the first 32 bytes of block 0; encryption starts with block 1" (RFC 8439, sections 2.6, 2.8).
  // The IV of OpenSSL's ChaCha20 is the 32-bit block counter, then the nonce.
  bool begin(std::uint64_t counter) noexcept {
    ByteArray<16> iv{};
    store_le(iv.data() + 8, counter);
    first_block_.fill(std::byte{0});
    int written = 0;
    return EVP_EncryptInit_ex(cipher_.get(), nullptr, nullptr, nullptr, as_uchar(iv.data())) == 1 &&
           EVP_EncryptUpdate(cipher_.get(), as_uchar(first_block_.data()), &written, as_uchar(first_block_.data()),
                             static_cast<int>(first_block_.size())) == 1;
  }

  bool apply(AeadPacket& packet) noexcept {
    int written = 0;
    return packet.length == 0 || EVP_EncryptUpdate(cipher_.get(), as_uchar(packet.data), &written,
                                                   as_uchar(packet.data), static_cast<int>(packet.length)) == 1;
  }

  // Over the cipher text, zeros up to a multiple of 16, the length of the additional data (none) and of the text.
  bool authenticate(const AeadPacket& packet, std::byte* tag) noexcept {
    ByteArray<32> tail{};
    const std::size_t padding = (16 - packet.length % 16) % 16;
    store_le(tail.data() + padding + 8, std::uint64_t{packet.length});
    std::size_t written = 0;
    return EVP_MAC_init(mac_.get(), as_uchar(first_block_.data()), 32, nullptr) == 1 &&
           (packet.length == 0 || EVP_MAC_update(mac_.get(), as_uchar(packet.data), packet.length) == 1) &&
           EVP_MAC_update(mac_.get(), as_uchar(tail.data()), padding + 16) == 1 &&
           EVP_MAC_final(mac_.get(), as_uchar(tag), &written, kAeadTagBytes) == 1 && written == kAeadTagBytes;
  }

  OpenSslHandle<EVP_CIPHER_CTX> cipher_;
  OpenSslHandle<EVP_MAC_CTX> mac_;
  ByteArray<64> first_block_{};
};

OpenSslHandle<EVP_CIPHER_CTX> make_context(const char* algorithm, bool encrypt) {
  const OpenSslHandle<EVP_CIPHER> cipher(EVP_CIPHER_fetch(nullptr, algorithm, nullptr));
  OpenSslHandle<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  if (!cipher || !context ||
      EVP_CipherInit_ex2(context.get(), cipher.get(), nullptr, nullptr, encrypt ? 1 : 0, nullptr) != 1) {
    context.reset();
  }
  return context;
}

}  // namespace

std::unique_ptr<AeadBatch> make_openssl_batch() {
  auto sealing = make_context("ChaCha20-Poly1305", true);
  auto opening = make_context("ChaCha20-Poly1305", false);
  if (!sealing || !opening) return nullptr;
  return std::make_unique<OpenSslBatch>(std::move(sealing), std::move(opening));
}

std::unique_ptr<AeadBatch> make_composed_openssl_batch() {
  auto cipher = make_context("ChaCha20", true);
  const OpenSslHandle<EVP_MAC> algorithm(EVP_MAC_fetch(nullptr, "POLY1305", nullptr));
  if (!cipher || !algorithm) return nullptr;
  OpenSslHandle<EVP_MAC_CTX> mac(EVP_MAC_CTX_new(algorithm.get()));
  if (!mac) return nullptr;
  return std::make_unique<ComposedOpenSslBatch>(std::move(cipher), std::move(mac));
}

}  // namespace higgs::crypto::detail
