#include "crypto/aead_batch.h"

#include <stdexcept>

#include "crypto/aead_backends.h"

namespace higgs::crypto {
namespace {

// Around the block sizes of ChaCha20 (64), of its vector code (256, 512, 1024) and of Poly1305 (16).
constexpr std::uint32_t kLengths[] = {0,   1,   15,  16,  17,  32,  48,  63,  64,   65,   80,   127,  128,  129, 255,
                                      256, 257, 511, 512, 513, 767, 768, 832, 1023, 1024, 1025, 1280, 1424, 1500};

std::byte pattern(std::uint32_t length, std::uint32_t index) noexcept {
  return static_cast<std::byte>((length * 31 + index * 7 + (index >> 8)) & 0xff);
}

struct Sample {
  Bytes bytes;     // what the back end works on
  Bytes expected;  // the reference's answer
};

std::vector<Sample> make_samples(const AeadKey& key, std::vector<AeadPacket>& packets) {
  std::vector<Sample> samples;
  for (const auto length : kLengths) {
    Sample sample{Bytes(length + kAeadTagBytes), Bytes(length + kAeadTagBytes)};
    for (std::uint32_t i = 0; i < length; ++i) sample.bytes[i] = pattern(length, i);
    const std::uint64_t counter = 0x0102030405060700ULL + length;
    chacha20poly1305_seal(key, counter, {}, ByteView(sample.bytes).first(length), sample.expected);
    samples.push_back(std::move(sample));
    packets.push_back({nullptr, length, false, counter});
  }
  for (std::size_t i = 0; i < samples.size(); ++i) packets[i].data = samples[i].bytes.data();
  return samples;
}

}  // namespace

bool gives_known_answers(AeadBatch& batch) {
  AeadKey key;
  for (std::size_t i = 0; i < AeadKey::kSize; ++i) key.reveal_mutable()[i] = static_cast<std::byte>(0x80 + i);
  std::vector<AeadPacket> packets;
  std::vector<Sample> samples = make_samples(key, packets);

  batch.seal(key, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!packets[i].valid || samples[i].bytes != samples[i].expected) return false;
    packets[i].valid = false;
  }
  batch.open(key, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!packets[i].valid) return false;
    for (std::uint32_t j = 0; j < packets[i].length; ++j) {
      if (samples[i].bytes[j] != pattern(packets[i].length, j)) return false;
    }
  }
  batch.seal(key, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    // A bit of the tag, a bit of the text or the counter.
    if (i % 3 == 0) samples[i].bytes.back() ^= std::byte{0x80};
    if (i % 3 == 1) samples[i].bytes.front() ^= std::byte{1};
    if (i % 3 == 2) packets[i].counter ^= 1;
    packets[i].valid = true;
  }
  batch.open(key, packets);
  for (const auto& packet : packets) {
    if (packet.valid) return false;
  }
  return true;
}

std::unique_ptr<AeadBatch> make_aead_batch(AeadBackend backend) {
  std::unique_ptr<AeadBatch> batch;
  switch (backend) {
    case AeadBackend::kIpsecMb:
      batch = detail::make_ipsec_mb_batch();
      break;
    case AeadBackend::kComposedOpenSsl:
      batch = detail::make_composed_openssl_batch();
      break;
    case AeadBackend::kOpenSsl:
      batch = detail::make_openssl_batch();
      break;
  }
  if (batch && !gives_known_answers(*batch)) batch.reset();
  return batch;
}

std::vector<AeadBackend> preferred_aead_backends() {
  if (detail::ipsec_mb_is_fastest()) {
    return {AeadBackend::kIpsecMb, AeadBackend::kComposedOpenSsl, AeadBackend::kOpenSsl};
  }
  return {AeadBackend::kComposedOpenSsl, AeadBackend::kOpenSsl, AeadBackend::kIpsecMb};
}

std::unique_ptr<AeadBatch> make_best_aead_batch() {
  for (const auto backend : preferred_aead_backends()) {
    if (auto batch = make_aead_batch(backend)) return batch;
  }
  throw std::runtime_error("no working ChaCha20-Poly1305");
}

}  // namespace higgs::crypto
