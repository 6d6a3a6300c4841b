// Problem details (RFC 9457): every error of the API is one, as application/problem+json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"

namespace higgs::api {

inline constexpr std::string_view kProblemContentType = "application/problem+json";
inline constexpr std::string_view kProblemTypePrefix = "urn:higgs:problem:";

struct Problem {
  std::string type = "about:blank";  ///< kProblemTypePrefix + a stable name, for programs
  std::string title;
  unsigned status = 500;
  std::string detail;
  std::vector<FieldError> errors;                  ///< of a body that does not fit: pointer and detail
  std::map<std::string, std::uint32_t> ruled_out;  ///< of `no-node-fits`: which requirement ruled out how many nodes
  std::optional<std::int64_t> resets_at;           ///< of `quota-exhausted`: Unix seconds

  /// `name`: the last part of the type, as "no-node-fits".
  static Problem make(unsigned status, std::string_view name, std::string_view title, std::string_view detail = {});
  bool is(std::string_view name) const;
};

}  // namespace higgs::api
