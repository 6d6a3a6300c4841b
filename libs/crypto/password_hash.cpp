#include "crypto/password_hash.h"

#include <cstdio>
#include <optional>
#include <stdexcept>

#include <argon2.h>

namespace higgs::crypto {
namespace {

constexpr std::size_t kSaltBytes = 16;  // RFC 9106, section 3.1: "16 bytes is RECOMMENDED for password hashing"
constexpr std::size_t kHashBytes = 32;
constexpr std::uint32_t kMaxCostFactor = 16;

std::optional<PasswordCost> cost_of(const std::string& hash) noexcept {
  PasswordCost cost;
  unsigned version = 0;
  if (std::sscanf(hash.c_str(), "$argon2id$v=%u$m=%u,t=%u,p=%u$", &version, &cost.memory_kib, &cost.passes,
                  &cost.lanes) != 4 ||
      version != ARGON2_VERSION_13) {
    return std::nullopt;
  }
  return cost;
}

}  // namespace

std::string hash_password(const SecretString& password, RandomSource& random, const PasswordCost& cost) {
  const std::string_view text = password.reveal();
  if (text.size() > kMaxPasswordBytes) throw std::length_error("password too long");
  const auto salt = random.array<kSaltBytes>();
  std::string encoded(argon2_encodedlen(cost.passes, cost.memory_kib, cost.lanes, kSaltBytes, kHashBytes, Argon2_id),
                      '\0');
  const int result = argon2id_hash_encoded(cost.passes, cost.memory_kib, cost.lanes, text.data(), text.size(),
                                           salt.data(), salt.size(), kHashBytes, encoded.data(), encoded.size());
  if (result != ARGON2_OK) throw std::runtime_error(std::string("argon2: ") + argon2_error_message(result));
  encoded.resize(std::char_traits<char>::length(encoded.c_str()));
  return encoded;
}

bool verify_password(const SecretString& password, const std::string& hash) noexcept {
  const std::string_view text = password.reveal();
  const auto cost = cost_of(hash);
  if (!cost || text.size() > kMaxPasswordBytes) return false;
  if (cost->memory_kib > kPasswordCost.memory_kib * kMaxCostFactor ||
      cost->passes > kPasswordCost.passes * kMaxCostFactor || cost->lanes > kPasswordCost.lanes * kMaxCostFactor) {
    return false;
  }
  return argon2id_verify(hash.c_str(), text.data(), text.size()) == ARGON2_OK;
}

bool needs_rehash(const std::string& hash, const PasswordCost& cost) {
  const auto present = cost_of(hash);
  return !present || present->memory_kib != cost.memory_kib || present->passes != cost.passes ||
         present->lanes != cost.lanes;
}

}  // namespace higgs::crypto
