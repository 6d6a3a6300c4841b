// The answers of the API: JSON, and problems (RFC 9457) with their stable names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/json.h"
#include "api/problem.h"
#include "base/result.h"
#include "net/http.h"

namespace higgs::boson {

net::HttpResponse json_text(unsigned status, std::string body);
template <class T>
net::HttpResponse json_answer(const T& body, unsigned status = 200) {
  return json_text(status, api::encode(body));
}
net::HttpResponse no_content();

net::HttpResponse problem_answer(const api::Problem& problem);
net::HttpResponse problem_answer(unsigned status, std::string_view name, std::string_view title,
                                 std::string_view detail = {});
/// 422 naming each field, or 400 where the body is no JSON.
net::HttpResponse invalid_body(const api::FieldErrors& errors);
net::HttpResponse invalid_field(std::string pointer, std::string message);
net::HttpResponse bad_query(std::string_view detail);
net::HttpResponse not_found(std::string_view what);
net::HttpResponse forbidden(std::string_view detail);
/// 401 with WWW-Authenticate (RFC 6750, 3).
net::HttpResponse unauthorized(std::string_view detail);
/// 429 or 503 with Retry-After. Who is told 429 waits for it on this connection (HttpResponse::hold).
net::HttpResponse later(unsigned status, std::string_view name, std::string_view title, std::int64_t seconds);
/// 503 where the store does not answer, 404 where it knows no such `what`; 500 for what a handler should have foreseen.
net::HttpResponse store_failure(const ErrorCode& error, std::string_view what);

}  // namespace higgs::boson
