// How this module's sources read and write bodies. Each body type has one `describe` function that names its fields;
// the same list drives the encoder and the decoder, so that they cannot drift apart. Internal.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "api/codec.h"

namespace higgs::api::codec {

class Encoder;
class Decoder;
template <class T>
concept Described = std::is_class_v<T> && requires(Encoder& e, const T& t) {
  describe(e, t);
};

template <Described T>
bool read(const Cursor& in, T& out);
template <Described T>
void write(Json& out, const T& value);
template <class T>
bool read(const Cursor& in, std::vector<T>& out, Length limits = {0, kMaxArrayItems});
template <class T>
void write(Json& out, const std::vector<T>& value);

/// What a describe function calls: v("name", field, limits…), v.nullable(…) for null, v.optional(…) for absent,
/// v.group("name", [&](auto& v) {…}) for an object in the JSON that is none in C++.
class Encoder {
 public:
  explicit Encoder(Json& out) : out_(out) {
    if (!out_.is_object()) out_ = Json::object();
  }
  template <class T, class... Limits>
  void operator()(const char* name, const T& value, Limits...) {
    write(out_[name], value);
  }
  template <class T, class... Limits>
  void nullable(const char* name, const std::optional<T>& value, Limits...) {
    out_[name] = nullptr;
    if (value) write(out_[name], *value);
  }
  template <class T, class... Limits>
  void optional(const char* name, const std::optional<T>& value, Limits...) {
    if (value) write(out_[name], *value);
  }
  template <class T, class... Limits>
  void with_default(const char* name, const T& value, Limits...) {
    write(out_[name], value);
  }
  template <class T>
  void list_if_any(const char* name, const std::vector<T>& value) {
    if (!value.empty()) write(out_[name], value);
  }
  template <class F>
  void group(const char* name, F fields) {
    Encoder inner(out_[name]);
    fields(inner);
  }

 private:
  Json& out_;
};

class Decoder {
 public:
  explicit Decoder(const Cursor& in) : in_(in) {}
  template <class T, class... Limits>
  void operator()(const char* name, T& value, Limits... limits) {
    const auto found = in_.json.find(name);
    if (found == in_.json.end()) {
      static const Json kNothing;
      in_.child(name, kNothing).fail("is missing");
      return;
    }
    read(in_.child(name, *found), value, limits...);
  }
  template <class T, class... Limits>
  void nullable(const char* name, std::optional<T>& value, Limits... limits) {
    value.reset();
    const auto found = in_.json.find(name);
    if (found == in_.json.end() || found->is_null()) return;
    if (T inner{}; read(in_.child(name, *found), inner, limits...)) value = std::move(inner);
  }
  template <class T, class... Limits>
  void optional(const char* name, std::optional<T>& value, Limits... limits) {
    nullable(name, value, limits...);
  }
  /// As the value stands where the field is absent.
  template <class T, class... Limits>
  void with_default(const char* name, T& value, Limits... limits) {
    const auto found = in_.json.find(name);
    if (found != in_.json.end()) read(in_.child(name, *found), value, limits...);
  }
  template <class T>
  void list_if_any(const char* name, std::vector<T>& value) {
    value.clear();
    const auto found = in_.json.find(name);
    if (found != in_.json.end() && !found->is_null()) read(in_.child(name, *found), value);
  }
  template <class F>
  void group(const char* name, F fields) {
    const auto found = in_.json.find(name);
    static const Json kNothing = Json::object();
    const auto inner = in_.child(name, found == in_.json.end() ? kNothing : *found);
    if (found == in_.json.end()) {
      inner.fail("is missing");
    } else if (!found->is_object()) {
      inner.fail("is not an object");
    } else {
      Decoder decoder(inner);
      fields(decoder);
    }
  }

 private:
  const Cursor& in_;
};

template <Described T>
bool read(const Cursor& in, T& out) {
  if (!in.json.is_object()) return in.fail("is not an object");
  const auto before = in.errors.list.size();
  Decoder decoder(in);
  describe(decoder, out);
  return in.errors.list.size() == before;
}
template <Described T>
void write(Json& out, const T& value) {
  Encoder encoder(out);
  describe(encoder, value);
}

template <class T>
bool read(const Cursor& in, std::vector<T>& out, Length limits) {
  out.clear();
  if (!in.json.is_array()) return in.fail("is not an array");
  if (in.json.size() < limits.least) return in.fail("has fewer than " + std::to_string(limits.least) + " items");
  if (in.json.size() > limits.most) return in.fail("has more than " + std::to_string(limits.most) + " items");
  bool good = true;
  for (std::size_t i = 0; i < in.json.size(); ++i) {
    T item{};
    good = read(in.item(i), item) && good;
    out.push_back(std::move(item));
  }
  return good;
}
template <class T>
void write(Json& out, const std::vector<T>& value) {
  out = Json::array();
  for (const T& item : value) write(out.emplace_back(), item);
}

}  // namespace higgs::api::codec

/// Defines decode<T> and encode<T>; in a source, inside higgs::api, behind describe().
#define HIGGS_API_BODY(TYPE)                          \
  template <>                                         \
  Decoded<TYPE> decode<TYPE>(std::string_view text) { \
    FieldErrors errors;                               \
    const auto json = codec::parse(text, errors);     \
    if (!json) return errors;                         \
    TYPE value{};                                     \
    const codec::Cursor cursor{*json, "", errors};    \
    codec::read(cursor, value);                       \
    if (!errors.list.empty()) return errors;          \
    return value;                                     \
  }                                                   \
  template <>                                         \
  std::string encode<TYPE>(const TYPE& value) {       \
    codec::Json json;                                 \
    codec::write(json, value);                        \
    return codec::dump(json);                         \
  }
