#include "ice/credentials.h"

#include <algorithm>

#include "base/base64.h"

namespace higgs::ice {

namespace {

// RFC 8445, section 5.3: at least 24 bits of the ufrag and 128 of the password are random. Multiples of three bytes,
// since base64 without padding has exactly the letters of ice-char.
constexpr std::size_t kUfragBytes = 6, kPasswordBytes = 18;
// RFC 8839, section 5.4.
constexpr std::size_t kMinUfrag = 4, kMinPassword = 22, kMaxPassword = 256;

// Of our choosing. The RFC allows a ufrag of 256 letters.
constexpr std::size_t kMaxUfrag = 64;
constexpr std::size_t kMaxOld = 3;
constexpr std::chrono::seconds kOldFor{30};

Description make(std::uint32_t generation, RandomSource& random) {
  return {generation, to_base64(random.array<kUfragBytes>()), to_base64(random.array<kPasswordBytes>())};
}

bool is_ice_text(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  });
}

}  // namespace

Credentials::Credentials(RandomSource& random)
    : current_(make(1, random)), key_(stun::IntegrityKey::short_term(current_.password)) {}

void Credentials::renew(Instant now, RandomSource& random) {
  if (old_.size() == kMaxOld) old_.pop_front();
  old_.push_back({current_.ufrag, key_, now + kOldFor});
  current_ = make(current_.generation + 1, random);
  key_ = stun::IntegrityKey::short_term(current_.password);
}

const stun::IntegrityKey* Credentials::key_for(Instant now, std::string_view ufrag) const noexcept {
  if (ufrag == current_.ufrag) return &key_;
  for (const auto& old : old_)
    if (ufrag == old.ufrag && now < old.until) return &old.key;
  return nullptr;
}

bool is_acceptable(const Description& description) noexcept {
  return description.ufrag.size() >= kMinUfrag && description.ufrag.size() <= kMaxUfrag &&
         description.password.size() >= kMinPassword && description.password.size() <= kMaxPassword &&
         is_ice_text(description.ufrag) && is_ice_text(description.password);
}

}  // namespace higgs::ice
