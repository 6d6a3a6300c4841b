#include "api/codec.h"

#include <algorithm>
#include <stdexcept>

#include <boost/throw_exception.hpp>

namespace higgs::api {

std::string FieldErrors::to_string() const {
  std::string text;
  for (const auto& error : list)
    text += (text.empty() ? "" : "; ") + (error.pointer.empty() ? "body" : error.pointer) + ": " + error.message;
  return text;
}

void throw_exception_from_error(const FieldErrors& errors, const boost::source_location& where) {
  boost::throw_exception(std::invalid_argument(errors.to_string()), where);
}

namespace codec {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(" \t\r\n");
  return from == text.npos ? std::string_view{} : text.substr(from);
}

/// nlohmann_json parses without recursion, but copies and writes with it: depth is bounded before it sees the text.
bool too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

bool has_canonical_form(const Json& json) {
  if (json.is_number_float()) return false;
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (!std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) return false;
      if (!has_canonical_form(value)) return false;
    }
  }
  if (json.is_array()) return std::all_of(json.begin(), json.end(), has_canonical_form);
  return true;
}

template <class Key>
bool read_key(const Cursor& in, Key& out) {
  const auto* text = in.json.get_ptr<const std::string*>();
  const auto key = text ? Key::from_base64(*text) : std::nullopt;
  if (!key) return in.fail("is not 32 bytes in base64");
  out = *key;
  return true;
}

}  // namespace

bool Cursor::fail(std::string message) const {
  if (errors.list.size() < kMaxFieldErrors) errors.list.push_back({pointer, std::move(message)});
  return false;
}

Cursor Cursor::child(std::string_view name, const Json& value) const {
  std::string escaped = pointer + "/";
  for (const char c : name) escaped += c == '~' ? std::string("~0") : c == '/' ? std::string("~1") : std::string(1, c);
  return {value, std::move(escaped), errors};
}

std::optional<Json> parse(std::string_view text, FieldErrors& errors) {
  if (too_deep(text)) {
    errors.list.push_back({"", "is nested too deeply"});
    return std::nullopt;
  }
  Json json = Json::parse(trimmed(text), nullptr, false);
  if (json.is_discarded()) {
    errors.list.push_back({"", "is not JSON"});
    return std::nullopt;
  }
  return json;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::optional<std::string> canonical(const Json& json) {
  if (!has_canonical_form(json)) return std::nullopt;
  // nlohmann::json keeps keys sorted by bytes, which for ASCII is the order of RFC 8785, 3.2.3.
  return nlohmann::json(json).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool read(const Cursor& in, bool& out) {
  if (!in.json.is_boolean()) return in.fail("is not a boolean");
  out = in.json.get<bool>();
  return true;
}

bool read(const Cursor& in, double& out, Between limits) {
  if (!in.json.is_number()) return in.fail("is not a number");
  const auto value = in.json.get<double>();
  if (!(value >= limits.least && value <= limits.most)) return in.fail("is out of range");
  out = value;
  return true;
}

bool read_integer(const Cursor& in, std::int64_t& out, Between limits) {
  if (!in.json.is_number_integer()) return in.fail("is not an integer");
  if (in.json.is_number_unsigned() && in.json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return in.fail("is out of range");
  const auto value = in.json.get<std::int64_t>();
  if (static_cast<double>(value) < limits.least || static_cast<double>(value) > limits.most)
    return in.fail("is out of range");
  out = value;
  return true;
}

bool read_unsigned(const Cursor& in, std::uint64_t& out, Between limits) {
  if (!in.json.is_number_integer()) return in.fail("is not an integer");
  if (!in.json.is_number_unsigned()) return in.fail("is out of range");
  const auto value = in.json.get<std::uint64_t>();
  if (static_cast<double>(value) < limits.least || static_cast<double>(value) > limits.most)
    return in.fail("is out of range");
  out = value;
  return true;
}

bool read(const Cursor& in, std::string& out, Length limits) {
  const auto* text = in.json.get_ptr<const std::string*>();
  if (!text) return in.fail("is not a string");
  if (text->size() < limits.least)
    return in.fail(limits.least == 1 ? "is empty" : "is shorter than " + std::to_string(limits.least) + " bytes");
  if (text->size() > limits.most) return in.fail("is longer than " + std::to_string(limits.most) + " bytes");
  if (text->find('\0') != std::string::npos) return in.fail("holds a NUL");
  out = *text;
  return true;
}

bool read(const Cursor& in, SecretString& out, Length limits) {
  std::string text;
  if (!read(in, text, limits)) return false;
  out = SecretString(std::move(text));
  return true;
}

bool read(const Cursor& in, IpAddress& out) {
  const auto* text = in.json.get_ptr<const std::string*>();
  const auto address = text ? IpAddress::parse(*text) : std::nullopt;
  if (!address) return in.fail("is not an IP address");
  out = *address;
  return true;
}

bool read(const Cursor& in, IpPrefix& out) {
  const auto* text = in.json.get_ptr<const std::string*>();
  const auto prefix = text ? IpPrefix::parse(*text) : std::nullopt;
  if (!prefix) return in.fail("is not an IP prefix");
  out = *prefix;
  return true;
}

bool read(const Cursor& in, Endpoint& out) {
  const auto* text = in.json.get_ptr<const std::string*>();
  const auto endpoint = text ? Endpoint::parse(*text) : std::nullopt;
  if (!endpoint) return in.fail("is not an address with a port");
  out = *endpoint;
  return true;
}

bool read(const Cursor& in, Coordinates& out) {
  if (!in.json.is_array() || in.json.size() != 2) return in.fail("is not [latitude, longitude]");
  const bool latitude = read(in.item(0), out.latitude, {-90, 90});
  return read(in.item(1), out.longitude, {-180, 180}) && latitude;
}

bool read(const Cursor& in, crypto::PublicKey& out) { return read_key(in, out); }
bool read(const Cursor& in, crypto::Ed25519PublicKey& out) { return read_key(in, out); }

bool read(const Cursor& in, crypto::Ed25519Signature& out) {
  const auto* text = in.json.get_ptr<const std::string*>();
  const auto bytes = text ? from_base64(*text) : std::nullopt;
  if (!bytes || bytes->size() != out.size()) return in.fail("is not 64 bytes in base64");
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return true;
}

bool read(const Cursor& in, Counts& out) {
  out.clear();
  if (!in.json.is_object()) return in.fail("is not an object");
  bool good = true;
  for (const auto& [name, value] : in.json.items()) {
    if (out.size() >= kMaxArrayItems) return in.fail("has too many members");
    good = read(in.child(name, value), out[name]) && good;
  }
  return good;
}
bool read(const Cursor& in, JsonText& out) {
  out.text = dump(in.json);
  return true;
}

void write(Json& out, const JsonText& value) {
  out = Json::parse(value.text, nullptr, false);
  if (out.is_discarded()) out = nullptr;
}

}  // namespace codec
}  // namespace higgs::api
