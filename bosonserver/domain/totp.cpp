#include "bosonserver/domain/totp.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include <liboath/oath.h>

#include "base/assert.h"

namespace higgs::boson {
namespace {

/// What liboath allocates, wiped before it is freed.
struct WipeAndFree {
  std::size_t size = 0;
  void operator()(char* text) const noexcept {
    secure_wipe(std::as_writable_bytes(std::span(text, size)));
    std::free(text);
  }
};

std::string base32(ByteView bytes) {
  char* text = nullptr;
  std::size_t size = 0;
  if (oath_base32_encode(reinterpret_cast<const char*>(bytes.data()), bytes.size(), &text, &size) != OATH_OK)
    throw std::bad_alloc();
  const std::unique_ptr<char, WipeAndFree> owned(text, WipeAndFree{size});
  return {text, size};
}

/// RFC 3986, 2.3: what need not be escaped. User names may hold one more, "@".
bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_unreserved(c)) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace

std::int64_t totp_step(std::int64_t now) { return now / kTotpStep.count(); }

std::string totp_code(const TotpSecret& secret, std::int64_t step) {
  std::array<char, kTotpDigits + 1> code{};
  const auto bytes = secret.reveal();
  const int made =
      oath_hotp_generate(reinterpret_cast<const char*>(bytes.data()), bytes.size(), static_cast<std::uint64_t>(step),
                         kTotpDigits, false, OATH_HOTP_DYNAMIC_TRUNCATION, code.data());
  HIGGS_ASSERT(made == OATH_OK);
  return code.data();
}

std::optional<std::int64_t> match_totp(const TotpSecret& secret, std::string_view code, std::int64_t now) {
  std::optional<std::int64_t> found;
  for (std::int64_t step = totp_step(now) - kTotpWindow; step <= totp_step(now) + kTotpWindow; ++step) {
    const auto right = totp_code(secret, step);
    // All are looked at, so that time does not tell which it was. Where two steps share a code, the newer is used up.
    if (equal_constant_time(as_bytes(right), as_bytes(code))) found = step;
  }
  return found;
}

SecretString totp_text(const TotpSecret& secret) { return SecretString(base32(secret.reveal())); }

SecretString totp_uri(std::string_view issuer, std::string_view user, const TotpSecret& secret) {
  const auto name = escaped(issuer);
  return SecretString("otpauth://totp/" + name + ":" + escaped(user) + "?secret=" + base32(secret.reveal()) +
                      "&issuer=" + name + "&algorithm=SHA1&digits=" + std::to_string(kTotpDigits) +
                      "&period=" + std::to_string(kTotpStep.count()));
}

SecretString make_recovery_code(RandomSource& random) {
  std::string code;
  for (const char c : base32(random.array<kRecoveryCodeBytes>())) {
    if (code.size() % 5 == 4) code += '-';
    code += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return SecretString(std::move(code));
}

crypto::Sha256Digest recovery_digest(std::string_view code) {
  std::string plain;
  for (const char c : code)
    if (c != '-' && c != ' ') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return crypto::sha256(as_bytes(plain));
}

bool looks_like_totp(std::string_view code) {
  return code.size() == kTotpDigits &&
         std::all_of(code.begin(), code.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace higgs::boson
