// JSON of the REST API's bodies: encode() writes, decode() reads strictly.
//
// Decoding collects every fault of a body instead of stopping at the first: a field that is missing, mistyped or out of
// range becomes a FieldError with its JSON Pointer (RFC 6901). Unknown fields are ignored. A nullable or optional field
// may be null or absent. Nothing throws on bad input. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/system/result.hpp>

namespace higgs::api {

struct FieldError {
  std::string pointer;  ///< "" is the whole body
  std::string message;
  friend bool operator==(const FieldError&, const FieldError&) = default;
};

/// At most kMaxFieldErrors are kept; a body that is no JSON object gives one with an empty pointer.
struct FieldErrors {
  std::vector<FieldError> list;
  /// "/nodeId: is missing; /location/country: …", for logs and exceptions.
  std::string to_string() const;
};

inline constexpr std::size_t kMaxFieldErrors = 32;
inline constexpr std::size_t kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxStringBytes = 1024;  ///< where a field sets no limit of its own
inline constexpr std::size_t kMaxArrayItems = 1024;

template <class T>
using Decoded = boost::system::result<T, FieldErrors>;

/// What result::value() throws: std::invalid_argument.
[[noreturn]] void throw_exception_from_error(const FieldErrors& errors, const boost::source_location& where);

/// JSON as text, passed through without being looked at: always one valid value.
struct JsonText {
  std::string text = "null";
  friend bool operator==(const JsonText&, const JsonText&) = default;
};

/// Defined for the body types of this module's other headers.
template <class T>
Decoded<T> decode(std::string_view text);
template <class T>
std::string encode(const T& value);

}  // namespace higgs::api
