#include "bosonserver/api/passwords.h"

#include "bosonserver/api/tokens.h"
#include "crypto/password_hash.h"

namespace higgs::boson {

Passwords::Passwords(RandomSource& random)
    : random_(random), nobodys_hash_(crypto::hash_password(SecretString(random_secret(random)), random)) {}

std::string Passwords::hash(const SecretString& password) {
  ++hashed_;
  return crypto::hash_password(password, random_);
}

bool Passwords::verify(const SecretString& password, const std::string* hash) {
  ++verified_;
  return crypto::verify_password(password, hash ? *hash : nobodys_hash_) && hash;
}

}  // namespace higgs::boson
