// How this module's sources read and write single JSON values; codec_fields.h makes bodies of them. Internal: it pulls
// in nlohmann_json.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "api/common.h"
#include "api/json.h"
#include "base/base64.h"
#include "base/ip.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "crypto/ed25519.h"
#include "crypto/x25519.h"

namespace higgs::api::codec {

using Json = nlohmann::ordered_json;
using Counts = std::map<std::string, std::uint32_t>;

/// `S` is T or const T: the encoder describes a const value, the decoder a mutable one.
template <class S, class T>
concept Like = std::same_as<std::remove_const_t<S>, T>;

/// Inclusive limits of a number.
struct Between {
  double least = 0;
  double most = std::numeric_limits<double>::max();
};
/// Inclusive limits of a string's bytes or an array's items.
struct Length {
  std::size_t least = 0;
  std::size_t most = kMaxStringBytes;
};
inline constexpr Between kPercentage{0, 100};
inline constexpr Length kToken{1, 8192};

/// Where the decoder stands, and what it has found wrong.
struct Cursor {
  const Json& json;
  std::string pointer;
  FieldErrors& errors;

  bool fail(std::string message) const;
  Cursor child(std::string_view name, const Json& value) const;
  Cursor item(std::size_t index) const { return {json[index], pointer + "/" + std::to_string(index), errors}; }
};

/// Well-formed JSON within kMaxJsonDepth, or a fault of the whole body.
std::optional<Json> parse(std::string_view text, FieldErrors& errors);
std::string dump(const Json& json);
/// See key_certificate.h; nullopt where there is none (fractions, keys that are not ASCII).
std::optional<std::string> canonical(const Json& json);

// Reading and writing of single values: read() reports and returns false on a fault.
bool read(const Cursor& in, bool& out);
bool read(const Cursor& in, double& out, Between limits = {-1e15, 1e15});
bool read(const Cursor& in, std::string& out, Length limits = {});
bool read(const Cursor& in, SecretString& out, Length limits = {});
bool read(const Cursor& in, IpAddress& out);
bool read(const Cursor& in, IpPrefix& out);
bool read(const Cursor& in, Endpoint& out);
bool read(const Cursor& in, Coordinates& out);
bool read(const Cursor& in, crypto::PublicKey& out);
bool read(const Cursor& in, crypto::Ed25519PublicKey& out);
bool read(const Cursor& in, crypto::Ed25519Signature& out);
bool read(const Cursor& in, JsonText& out);
bool read(const Cursor& in, Counts& out);
bool read_integer(const Cursor& in, std::int64_t& out, Between limits);
bool read_unsigned(const Cursor& in, std::uint64_t& out, Between limits);

inline void write(Json& out, bool value) { out = value; }
inline void write(Json& out, double value) { out = std::isfinite(value) ? value : 0.0; }
inline void write(Json& out, const std::string& value) { out = value; }
inline void write(Json& out, const SecretString& value) { out = std::string(value.reveal()); }
inline void write(Json& out, const IpAddress& value) { out = value.to_string(); }
inline void write(Json& out, const IpPrefix& value) { out = value.to_string(); }
inline void write(Json& out, const Endpoint& value) { out = value.to_string(); }
inline void write(Json& out, const Coordinates& value) { out = Json::array({value.latitude, value.longitude}); }
inline void write(Json& out, const crypto::PublicKey& value) { out = value.to_base64(); }
inline void write(Json& out, const crypto::Ed25519PublicKey& value) { out = value.to_base64(); }
inline void write(Json& out, const crypto::Ed25519Signature& value) { out = to_base64(value); }
void write(Json& out, const JsonText& value);
inline void write(Json& out, const Counts& value) { out = value; }

template <std::integral T, class Limits = Between>
bool read(const Cursor& in, T& out,
          Limits limits = {static_cast<double>(std::numeric_limits<T>::min()),
                           static_cast<double>(std::numeric_limits<T>::max())}) {
  if constexpr (std::is_signed_v<T>) {
    std::int64_t value = 0;
    if (!read_integer(in, value, limits)) return false;
    out = static_cast<T>(value);
  } else {
    std::uint64_t value = 0;
    if (!read_unsigned(in, value, limits)) return false;
    out = static_cast<T>(value);
  }
  return true;
}
template <std::integral T>
void write(Json& out, T value) {
  out = value;
}

template <class Tag>
bool read(const Cursor& in, StrongId<Uuid, Tag>& out) {
  const auto* text = in.json.get_ptr<const std::string*>();
  const auto id = text ? parse_id<StrongId<Uuid, Tag>>(*text) : std::nullopt;
  if (!id) return in.fail("is not a UUID");
  out = *id;
  return true;
}
template <class Tag>
void write(Json& out, const StrongId<Uuid, Tag>& value) {
  out = to_string(value);
}

/// Names of an enumeration, in order of its values; specialised beside the describe functions.
template <class E>
struct Names;
template <class E>
requires std::is_enum_v<E>
bool read(const Cursor& in, E& out) {
  const auto& names = Names<E>::kAll;
  const auto* text = in.json.get_ptr<const std::string*>();
  std::string known;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (text && *text == names[i]) {
      out = static_cast<E>(i);
      return true;
    }
    known += (known.empty() ? "" : ", ") + std::string(names[i]);
  }
  return in.fail("is none of " + known);
}
template <class E>
requires std::is_enum_v<E>
void write(Json& out, E value) { out = Names<E>::kAll[static_cast<std::size_t>(value)]; }
template <class E>
std::optional<E> parse_name(std::string_view name) {
  const auto& names = Names<E>::kAll;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<E>(i);
  return std::nullopt;
}

}  // namespace higgs::api::codec
