#include "api/problem.h"

#include "api/describe_common.h"

namespace higgs::api {
template <class V, Like<FieldError> S>
void describe(V& v, S& s) {
  v("pointer", s.pointer);
  v("detail", s.message);
}

template <class V, Like<Problem> S>
void describe(V& v, S& s) {
  v("type", s.type);
  v("title", s.title);
  v("status", s.status, Between{100, 599});
  v("detail", s.detail, Length{0, 4096});
  v.list_if_any("errors", s.errors);
  std::optional<std::map<std::string, std::uint32_t>> ruled_out;
  if (!s.ruled_out.empty()) ruled_out = s.ruled_out;
  v.optional("resetsAt", s.resets_at);
  v.optional("ruledOut", ruled_out);
  if constexpr (!std::is_const_v<S>) {
    if (ruled_out) s.ruled_out = *ruled_out;
  }
}

HIGGS_API_BODY(Problem)

Problem Problem::make(unsigned status, std::string_view name, std::string_view title, std::string_view detail) {
  Problem problem;
  problem.type = std::string(kProblemTypePrefix) + std::string(name);
  problem.title = title;
  problem.status = status;
  problem.detail = detail;
  return problem;
}

bool Problem::is(std::string_view name) const { return type == std::string(kProblemTypePrefix) + std::string(name); }

}  // namespace higgs::api
