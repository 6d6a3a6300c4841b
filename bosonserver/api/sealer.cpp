#include "bosonserver/api/sealer.h"

#include "crypto/aead.h"

namespace higgs::boson {
namespace {

constexpr std::size_t kNonceBytes = std::tuple_size_v<crypto::XChaChaNonce>;

}  // namespace

Bytes Sealer::seal(std::string_view context, ByteView plain) const {
  Bytes sealed(kNonceBytes + plain.size() + crypto::kAeadTagBytes);
  const auto nonce = random_.array<kNonceBytes>();
  std::copy(nonce.begin(), nonce.end(), sealed.begin());
  crypto::xchacha20poly1305_seal(key_, nonce, as_bytes(context), plain, MutableBytes(sealed).subspan(kNonceBytes));
  return sealed;
}

bool Sealer::open(std::string_view context, ByteView sealed, MutableBytes plain) const {
  if (sealed.size() != kNonceBytes + plain.size() + crypto::kAeadTagBytes) return false;
  crypto::XChaChaNonce nonce;
  std::copy_n(sealed.begin(), kNonceBytes, nonce.begin());
  return crypto::xchacha20poly1305_open(key_, nonce, as_bytes(context), sealed.subspan(kNonceBytes), plain);
}

}  // namespace higgs::boson
