// Without this the header puts the library's old, unprefixed names into the global namespace.
#define NO_COMPAT_IMB_API_053
#include <algorithm>

#include <intel-ipsec-mb.h>

#include "crypto/aead_backends.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto::detail {
namespace {

struct ManagerDeleter {
  void operator()(IMB_MGR* manager) const noexcept { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

struct LoadedManager {
  Manager manager;
  IMB_ARCH architecture = IMB_ARCH_NONE;
};

LoadedManager load_manager() {
  LoadedManager loaded;
  loaded.manager.reset(alloc_mb_mgr(0));
  if (loaded.manager) {
    init_mb_mgr_auto(loaded.manager.get(), &loaded.architecture);
    if (imb_get_errno(loaded.manager.get()) != 0) loaded.manager.reset();
  }
  return loaded;
}

/// Jobs in flight at once; below IMB_MAX_JOBS, so that the manager's ring never overtakes what is still unread.
constexpr std::size_t kChunk = 64;

class IpsecMbBatch final : public AeadBatch {
 public:
  explicit IpsecMbBatch(Manager manager) : manager_(std::move(manager)) {}

  std::string_view name() const noexcept override { return "ipsec-mb"; }
  void seal(const AeadKey& key, std::span<AeadPacket> packets) noexcept override { run(key, packets, IMB_DIR_ENCRYPT); }
  void open(const AeadKey& key, std::span<AeadPacket> packets) noexcept override { run(key, packets, IMB_DIR_DECRYPT); }

 private:
  void run(const AeadKey& key, std::span<AeadPacket> packets, IMB_CIPHER_DIRECTION direction) noexcept {
    while (!packets.empty()) {
      const auto chunk = packets.first(std::min(packets.size(), kChunk));
      for (std::size_t i = 0; i < chunk.size(); ++i) submit(key, chunk[i], i, direction);
      for (IMB_JOB* job = IMB_FLUSH_JOB(manager_.get()); job != nullptr; job = IMB_FLUSH_JOB(manager_.get())) {
        settle(*job);
      }
      packets = packets.subspan(chunk.size());
    }
  }

  void submit(const AeadKey& key, AeadPacket& packet, std::size_t slot, IMB_CIPHER_DIRECTION direction) noexcept {
    packet.valid = false;
    store_le(nonces_[slot].data() + 4, packet.counter);
    IMB_JOB* job = IMB_GET_NEXT_JOB(manager_.get());
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->cipher_direction = direction;
    job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->enc_keys = key.reveal().data();
    job->dec_keys = key.reveal().data();
    job->key_len_in_bytes = AeadKey::kSize;
    job->src = as_uchar(packet.data);
    job->dst = as_uchar(packet.data);
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = packet.length;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = packet.length;
    job->iv = as_uchar(nonces_[slot].data());
    job->iv_len_in_bytes = 12;
    // The library only computes the tag, also when it decrypts: comparing is our part (settle).
    job->auth_tag_output =
        as_uchar(direction == IMB_DIR_ENCRYPT ? packet.data + packet.length : computed_tags_[slot].data());
    job->auth_tag_output_len_in_bytes = kAeadTagBytes;
    job->u.CHACHA20_POLY1305.aad = &kNoAdditionalData;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
    job->user_data = &packet;
    for (job = IMB_SUBMIT_JOB(manager_.get()); job != nullptr; job = IMB_GET_COMPLETED_JOB(manager_.get())) {
      settle(*job);
    }
  }

  void settle(const IMB_JOB& job) noexcept {
    auto& packet = *static_cast<AeadPacket*>(job.user_data);
    if (job.status != IMB_STATUS_COMPLETED) {
      packet.valid = false;
      std::memset(packet.data, 0, packet.length);
    } else if (job.cipher_direction == IMB_DIR_ENCRYPT) {
      packet.valid = true;
    } else {
      settle_opened(packet, {reinterpret_cast<const std::byte*>(job.auth_tag_output), kAeadTagBytes});
    }
  }

  static constexpr std::byte kNoAdditionalData{};
  Manager manager_;
  std::array<ByteArray<16>, kChunk> nonces_{};  // 12 bytes are used; the first four stay zero
  std::array<ByteArray<kAeadTagBytes>, kChunk> computed_tags_{};
};

}  // namespace

std::unique_ptr<AeadBatch> make_ipsec_mb_batch() {
  auto loaded = load_manager();
  if (!loaded.manager) return nullptr;
  return std::make_unique<IpsecMbBatch>(std::move(loaded.manager));
}

bool ipsec_mb_is_fastest() {
  const auto loaded = load_manager();
  return loaded.manager && loaded.architecture >= IMB_ARCH_AVX512;
}

}  // namespace higgs::crypto::detail
