// Passwords as they are stored: Argon2id (RFC 9106) in the PHC string format, "$argon2id$v=19$m=…,t=…,p=…$salt$hash".
// Hashing takes tens of milliseconds and megabytes by design: call it from a pool with a bound, never from a loop.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/secret.h"

namespace higgs::crypto {

/// The one place where the cost is set: OWASP's Password Storage Cheat Sheet, "m=19456 (19 MiB), t=2, p=1".
struct PasswordCost {
  std::uint32_t memory_kib = 19456;
  std::uint32_t passes = 2;
  std::uint32_t lanes = 1;
};
inline constexpr PasswordCost kPasswordCost{};

/// Longer ones are refused, so that nobody can make the server hash megabytes.
inline constexpr std::size_t kMaxPasswordBytes = 1024;

/// Throws std::length_error above kMaxPasswordBytes, std::runtime_error if memory is missing.
std::string hash_password(const SecretString& password, RandomSource& random, const PasswordCost& cost = kPasswordCost);
/// False also for a hash that is malformed or asks for more than 16 times kPasswordCost.
bool verify_password(const SecretString& password, const std::string& hash) noexcept;
/// Whether the hash was made with another cost than the present one and should be made anew at the next login.
bool needs_rehash(const std::string& hash, const PasswordCost& cost = kPasswordCost);

}  // namespace higgs::crypto
