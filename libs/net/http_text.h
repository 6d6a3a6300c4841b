// Small pieces of HTTP's grammar (RFC 9110, 5.6) and the written form of messages. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/time.h"
#include "net/http.h"

namespace higgs::net {

/// Without the blanks and tabs around it (OWS of RFC 9110, 5.6.3).
std::string_view trimmed(std::string_view text) noexcept;
/// ASCII only.
bool equal_without_case(std::string_view a, std::string_view b) noexcept;
/// Whether a comma-separated list holds the token, without case.
bool list_has_token(std::string_view list, std::string_view token) noexcept;
/// token of RFC 9110, 5.6.2.
bool is_token(std::string_view text) noexcept;
/// No control character but the tab: nothing that could end a header field.
bool is_field_value(std::string_view text) noexcept;

/// IMF-fixdate (RFC 9110, 5.6.7).
std::string http_date(WallTime time);
std::string_view reason_phrase(unsigned status) noexcept;

/// application/problem+json (RFC 9457).
HttpResponse problem_response(unsigned status, std::string_view detail);

struct ResponseForm {
  WallTime now;
  std::string_view request_id;
  bool head = false;  ///< the answer to a HEAD: everything but the body
  bool close = false;
};
/// The whole message. Fields that cannot stand in a header, and those that this function sets itself
/// (Content-Length, Connection, Date, Transfer-Encoding), are left out.
std::string write_response(const HttpResponse& response, const ResponseForm& form);
/// A request with Host and, if there is a body or the method needs one, Content-Length. Precondition: `method` is a
/// token, `target` and `host` hold neither spaces nor control characters.
std::string write_request(std::string_view method, std::string_view target, std::string_view host,
                          const HttpHeaders& headers, std::string_view body);

}  // namespace higgs::net
