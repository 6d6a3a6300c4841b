#include "net/http_text.h"

#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/format.h>

namespace higgs::net {

namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Fields that say how the message is framed belong to who writes it.
bool is_framing_field(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 4> kNames = {"content-length", "connection", "date", "transfer-encoding"};
  return std::any_of(kNames.begin(), kNames.end(), [&](auto n) { return equal_without_case(n, name); });
}

void append_fields(std::string& out, const HttpHeaders& headers) {
  for (const auto& [name, value] : headers.all()) {
    if (!is_token(name) || !is_field_value(value) || is_framing_field(name)) continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
}

}  // namespace

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equal_without_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool list_has_token(std::string_view list, std::string_view token) noexcept {
  for (;;) {
    const auto comma = list.find(',');
    if (equal_without_case(trimmed(list.substr(0, comma)), token)) return true;
    if (comma == list.npos) return false;
    list.remove_prefix(comma + 1);
  }
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && text.find_first_not_of(
                              "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == text.npos;
}

bool is_field_value(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < 0x20 && u != '\t') || u == 0x7f;
  });
}

std::string http_date(WallTime time) {
  constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = static_cast<std::time_t>(unix_seconds(time));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[static_cast<std::size_t>(parts.tm_wday)],
                     parts.tm_mday, kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string_view reason_phrase(unsigned status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

HttpResponse problem_response(unsigned status, std::string_view detail) {
  HttpResponse response{.status = status, .headers = {}, .body = {}};
  response.headers.set("Content-Type", "application/problem+json");
  std::string escaped;
  for (const char c : detail) {
    if (static_cast<unsigned char>(c) < 0x20) continue;
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  response.body = fmt::format(R"({{"type":"about:blank","title":"{}","status":{},"detail":"{}"}})",
                              reason_phrase(status), status, escaped);
  return response;
}

std::string write_response(const HttpResponse& response, const ResponseForm& form) {
  const unsigned status = response.status >= 100 && response.status <= 999 ? response.status : 500;
  std::string out;
  out.reserve(256 + response.body.size());
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\nDate: {}\r\n", status, reason_phrase(status),
                 http_date(form.now));
  if (!form.request_id.empty()) out.append("X-Request-Id: ").append(form.request_id).append("\r\n");
  append_fields(out, response.headers);
  // RFC 9110, 8.6: no Content-Length in 1xx and 204; RFC 9112, 6.3: nor does a 304 have a body.
  const bool bodiless = status < 200 || status == 204 || status == 304;
  if (status == 101) {
    out.append("Connection: Upgrade\r\n");
  } else {
    if (!bodiless) fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", response.body.size());
    if (form.close) out.append("Connection: close\r\n");
  }
  out.append("\r\n");
  if (!form.head && !bodiless) out.append(response.body);
  return out;
}

std::string write_request(std::string_view method, std::string_view target, std::string_view host,
                          const HttpHeaders& headers, std::string_view body) {
  std::string out;
  out.reserve(512 + body.size());
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ").append(host).append("\r\n");
  append_fields(out, headers);
  // RFC 9110, 8.6: a method that means a body says so even when there is none.
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH")
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", body.size());
  if (const auto connection = headers.get("Connection"); connection && is_field_value(*connection))
    out.append("Connection: ").append(*connection).append("\r\n");
  out.append("\r\n").append(body);
  return out;
}

}  // namespace higgs::net
