#include "higgsnode/identity.h"

#include <sys/stat.h>

#include "api/registration_signature.h"
#include "base/base64.h"
#include "base/number.h"
#include "runtime/files.h"

HIGGS_ERROR_CATEGORY(higgs::node, IdentityError, "node.identity") {
  switch (error) {
    case IdentityError::kBadKeyFile:
      return "a key file does not hold a key (32 bytes in base64); restore it, or move it away to become another node";
    case IdentityError::kBadSequenceFile:
      return "certificate-sequence does not hold a number; restore it, or write one above the last known";
    case IdentityError::kOpenToOthers:
      return "a key file may be read or written by others; mend it with chmod 600";
  }
  return "unknown identity error";
}

namespace higgs::node {
namespace {

constexpr const char* kIdentityFile = "identity.key";
constexpr const char* kWireguardFile = "wireguard.key";
constexpr const char* kSequenceFile = "certificate-sequence";

using Key = SecretBytes<32>;

/// The key in the file, or one that `make` makes and the file then holds.
template <class Make>
Result<Key> load_or_make(const std::filesystem::path& path, const Make& make) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 077u) != 0) return IdentityError::kOpenToOthers;
  auto text = runtime::read_file_if_there(path, 4096);
  if (!text) return text.error();
  if (*text) {
    const SecretString held(std::move(**text));
    auto encoded = held.reveal();
    if (encoded.ends_with('\n')) encoded.remove_suffix(1);
    auto bytes = from_base64(encoded);
    if (!bytes || bytes->size() != Key::kSize) return IdentityError::kBadKeyFile;
    Key key(std::span<const std::byte, Key::kSize>(bytes->data(), Key::kSize));
    secure_wipe(*bytes);
    return key;
  }
  Key key = make();
  const SecretString encoded(to_base64(key.reveal()) + "\n");
  if (auto written = runtime::write_file_atomic(path, encoded.reveal()); !written) return written.error();
  return key;
}

}  // namespace

Result<Identity> Identity::load_or_create(const std::filesystem::path& state_dir, RandomSource& random) {
  Identity identity;
  identity.state_dir_ = state_dir;
  auto signing = load_or_make(state_dir / kIdentityFile, [&] { return crypto::make_ed25519_key(random); });
  if (!signing) return signing.error();
  auto wireguard = load_or_make(state_dir / kWireguardFile, [&] { return crypto::make_private_key(random); });
  if (!wireguard) return wireguard.error();
  identity.identity_ = std::move(*signing);
  identity.wireguard_ = std::move(*wireguard);
  identity.identity_public_ = crypto::public_key_of_ed25519(identity.identity_);
  identity.wireguard_public_ = crypto::public_key_of(identity.wireguard_);
  identity.node_id_ = api::node_id_of(identity.identity_public_);

  const auto sequence = runtime::read_file_if_there(state_dir / kSequenceFile, 64);
  if (!sequence) return sequence.error();
  if (*sequence) {
    const std::string_view text = **sequence;
    if (!text.ends_with('\n')) return IdentityError::kBadSequenceFile;
    const auto number = parse_number<std::uint64_t>(text.substr(0, text.size() - 1));
    if (!number) return IdentityError::kBadSequenceFile;
    identity.sequence_ = *number;
  }
  return identity;
}

Result<api::KeyCertificate> Identity::certify(const api::ExitPolicy& policy, WallTime now) {
  const auto next = sequence_ + 1;
  auto written = runtime::write_file_atomic(state_dir_ / kSequenceFile, std::to_string(next) + "\n");
  if (!written) return written.error();
  sequence_ = next;
  return api::sign_key_certificate(identity_, wireguard_public_, sequence_, unix_seconds(now + kCertificateLifetime),
                                   policy);
}

std::string Identity::sign_registration(std::string_view origin, std::string_view nonce,
                                        std::string_view raw_body) const {
  return api::sign_registration(identity_, origin, nonce, raw_body);
}

}  // namespace higgs::node
