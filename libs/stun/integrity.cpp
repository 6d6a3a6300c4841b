#include "stun/integrity.h"

#include <algorithm>

#include "crypto/hash.h"

namespace higgs::stun {

namespace {

constexpr std::size_t kTypeAndLengthBytes = 4;
constexpr std::size_t kMinSha256TagBytes = 16;  // RFC 8489, 14.6

SecretString joined(std::string_view user, std::string_view realm, std::string_view password) {
  std::string text;
  // Reserved at once: growing would leave copies of the password behind.
  text.reserve(user.size() + realm.size() + password.size() + 2);
  text.append(user).append(":").append(realm).append(":").append(password);
  return SecretString(std::move(text));
}

/// The header as it stood when the tag was made: its length ends with the attribute (RFC 8489, 14.5).
ByteArray<kHeaderBytes> header_at(ByteView datagram, std::size_t attribute_at, std::size_t tag_bytes) noexcept {
  ByteArray<kHeaderBytes> header;
  std::copy_n(datagram.begin(), kHeaderBytes, header.begin());
  store_be(header.data() + 2,
           static_cast<std::uint16_t>(attribute_at - kHeaderBytes + kTypeAndLengthBytes + tag_bytes));
  return header;
}

struct NextAlgorithm {
  std::uint16_t number = 0;
  std::size_t bytes = 0;  ///< with parameters and padding
};

/// Algorithm (16), length of the parameters (16), parameters padded to 4 bytes (RFC 8489, 14.11).
std::optional<NextAlgorithm> next_algorithm(ByteView list) noexcept {
  if (list.size() < 4) return std::nullopt;
  const std::size_t parameters = (load_be<std::uint16_t>(list.data() + 2) + std::size_t{3}) & ~std::size_t{3};
  if (parameters > list.size() - 4) return std::nullopt;
  return NextAlgorithm{load_be<std::uint16_t>(list.data()), 4 + parameters};
}

bool known(std::uint16_t number) noexcept {
  return number == static_cast<std::uint16_t>(PasswordAlgorithm::kMd5) ||
         number == static_cast<std::uint16_t>(PasswordAlgorithm::kSha256);
}

}  // namespace

IntegrityKey IntegrityKey::short_term(std::string_view password) {
  return IntegrityKey(SecretString(std::string(password)));
}

IntegrityKey IntegrityKey::long_term_md5(std::string_view user, std::string_view realm, std::string_view password) {
  auto digest = crypto::md5(as_bytes(joined(user, realm, password).reveal()));
  IntegrityKey key{SecretString(std::string(as_text(digest)))};
  secure_wipe(digest);
  return key;
}

IntegrityKey IntegrityKey::long_term_sha256(std::string_view user, std::string_view realm, std::string_view password) {
  auto digest = crypto::sha256(as_bytes(joined(user, realm, password).reveal()));
  IntegrityKey key{SecretString(std::string(as_text(digest)))};
  secure_wipe(digest);
  return key;
}

IntegrityKey IntegrityKey::long_term(PasswordAlgorithm algorithm, std::string_view user, std::string_view realm,
                                     std::string_view password) {
  return algorithm == PasswordAlgorithm::kSha256 ? long_term_sha256(user, realm, password)
                                                 : long_term_md5(user, realm, password);
}

Integrity check_integrity(ByteView datagram, const Message& message, const IntegrityKey& key) noexcept {
  const bool sha256 = message.integrity_sha256_at != 0;
  const std::size_t at = sha256 ? message.integrity_sha256_at : message.integrity_at;
  if (at == 0) return Integrity::kAbsent;
  const auto found = message.find(sha256 ? AttributeType::kMessageIntegritySha256 : AttributeType::kMessageIntegrity);
  if (!found || at > datagram.size()) return Integrity::kBad;
  const ByteView tag = *found;
  const auto header = header_at(datagram, at, tag.size());
  const ByteView between = datagram.subspan(kHeaderBytes, at - kHeaderBytes);
  bool good = false;
  if (sha256) {
    if (tag.size() < kMinSha256TagBytes || tag.size() > sizeof(crypto::Sha256Digest) || tag.size() % 4 != 0)
      return Integrity::kBad;
    const auto computed = crypto::hmac_sha256_of(key.reveal(), {header, between});
    good = equal_constant_time(tag, ByteView(computed).first(tag.size()));
  } else {
    good = equal_constant_time(tag, crypto::hmac_sha1(key.reveal(), {header, between}));
  }
  return good ? Integrity::kGood : Integrity::kBad;
}

ByteArray<32> userhash(std::string_view user, std::string_view realm) {
  std::string text(user);
  text.append(":").append(realm);
  return crypto::sha256(as_bytes(text));
}

std::optional<PasswordAlgorithm> choose_password_algorithm(ByteView algorithms) noexcept {
  std::optional<PasswordAlgorithm> chosen;
  while (!algorithms.empty()) {
    const auto next = next_algorithm(algorithms);
    if (!next) return std::nullopt;
    if (!chosen && known(next->number)) chosen = static_cast<PasswordAlgorithm>(next->number);
    algorithms = algorithms.subspan(next->bytes);
  }
  return chosen;
}

std::optional<PasswordAlgorithm> read_password_algorithm(ByteView algorithm) noexcept {
  const auto next = next_algorithm(algorithm);
  if (!next || next->bytes != algorithm.size() || !known(next->number)) return std::nullopt;
  return static_cast<PasswordAlgorithm>(next->number);
}

}  // namespace higgs::stun
