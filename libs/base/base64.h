// Base64 of RFC 4648: section 4 (with padding) and section 5 (URL-safe, without padding, as JOSE uses it).
// Decoding is strict: no white space, no missing or surplus padding, no non-zero trailing bits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace higgs {

std::string to_base64(ByteView bytes);
std::optional<Bytes> from_base64(std::string_view text);

std::string to_base64url(ByteView bytes);
std::optional<Bytes> from_base64url(std::string_view text);

}  // namespace higgs
