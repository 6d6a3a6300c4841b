// Tokens as a stranger sends them: no crash, and nothing verifies that was not signed.
#include <cstdint>
#include <cstdlib>

#include "jwt/verifier.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  static const jwt::KeySet keys = [] {
    jwt::KeySet set;
    SeededRandom random(1);
    set.add("k", crypto::public_key_of_ed25519(crypto::make_ed25519_key(random)));
    return set;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (jwt::verify(text, keys, "", jwt::Audience::kApi, from_unix_seconds(1'000'000))) std::abort();
  (void)jwt::read_unverified(text);
  (void)jwt::bearer_token(text);
  (void)jwt::KeySet::from_jwks(text);
  return 0;
}
