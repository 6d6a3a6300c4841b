// Hashing and checking of passwords, always the same work for a check: whoever measures a login learns nothing about
// who exists. Counted, since it is the dearest thing the server does.
//
// Thread-safe; takes tens of milliseconds: pool threads of Lane::kPassword.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/secret.h"

namespace higgs::boson {

class Passwords {
 public:
  explicit Passwords(RandomSource& random);

  std::string hash(const SecretString& password);
  /// `hash`: of the user; nullptr where there is none, and then false after the same work.
  bool verify(const SecretString& password, const std::string* hash);

  std::uint64_t hashed() const noexcept { return hashed_; }
  std::uint64_t verified() const noexcept { return verified_; }

 private:
  RandomSource& random_;
  const std::string nobodys_hash_;
  std::atomic<std::uint64_t> hashed_ = 0, verified_ = 0;
};

}  // namespace higgs::boson
