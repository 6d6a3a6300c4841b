#include "bosonserver/api/answers.h"

#include <algorithm>
#include <chrono>

#include "bosonserver/store/store.h"

namespace higgs::boson {
namespace {

constexpr std::int64_t kStoreRetrySeconds = 2;
constexpr std::chrono::seconds kLeastHold{1}, kLongestHold{5};

}  // namespace

net::HttpResponse json_text(unsigned status, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.headers.set("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

net::HttpResponse no_content() {
  net::HttpResponse response;
  response.status = 204;
  return response;
}

net::HttpResponse problem_answer(const api::Problem& problem) {
  auto response = json_text(problem.status, api::encode(problem));
  response.headers.set("Content-Type", api::kProblemContentType);
  return response;
}

net::HttpResponse problem_answer(unsigned status, std::string_view name, std::string_view title,
                                 std::string_view detail) {
  return problem_answer(api::Problem::make(status, name, title, detail));
}

net::HttpResponse invalid_body(const api::FieldErrors& errors) {
  const bool whole = errors.list.size() == 1 && errors.list.front().pointer.empty();
  auto problem = whole ? api::Problem::make(400, "malformed-body", "The body cannot be read",
                                            "the body " + errors.list.front().message)
                       : api::Problem::make(422, "invalid-fields", "Fields are missing or wrong");
  problem.errors = errors.list;
  return problem_answer(problem);
}

net::HttpResponse invalid_field(std::string pointer, std::string message) {
  auto problem = api::Problem::make(422, "invalid-fields", "Fields are missing or wrong");
  problem.errors.push_back({std::move(pointer), std::move(message)});
  return problem_answer(problem);
}

net::HttpResponse bad_query(std::string_view detail) {
  return problem_answer(400, "bad-query", "The query cannot be understood", detail);
}

net::HttpResponse not_found(std::string_view what) {
  return problem_answer(404, "not-found", "Not found", "there is no such " + std::string(what));
}

net::HttpResponse forbidden(std::string_view detail) { return problem_answer(403, "forbidden", "Not allowed", detail); }

net::HttpResponse unauthorized(std::string_view detail) {
  auto response = problem_answer(401, "unauthorized", "A valid token is needed", detail);
  response.headers.set("WWW-Authenticate", "Bearer realm=\"higgs\"");
  return response;
}

net::HttpResponse later(unsigned status, std::string_view name, std::string_view title, std::int64_t seconds) {
  auto response = problem_answer(status, name, title, "try again in " + std::to_string(seconds) + " seconds");
  response.headers.set("Retry-After", std::to_string(seconds));
  if (status == 429) response.hold = std::clamp(std::chrono::seconds(seconds), kLeastHold, kLongestHold);
  return response;
}

net::HttpResponse store_failure(const ErrorCode& error, std::string_view what) {
  if (error == StoreError::kNotFound) return not_found(what);
  if (error == StoreError::kUnavailable)
    return later(503, "unavailable", "The store does not answer", kStoreRetrySeconds);
  if (error == StoreError::kFull) return later(503, "limit-reached", "A limit of the server is reached", 30);
  if (error == StoreError::kLastAdmin)
    return problem_answer(409, "last-admin", "This is the last admin", "make another one first");
  return problem_answer(500, "internal", "Something went wrong", error.message());
}

}  // namespace higgs::boson
