#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/assert.h"
#include "net/http_parser.h"
#include "net/http_target.h"
#include "net/http_text.h"

namespace higgs::net {

namespace http = boost::beast::http;

struct HttpRequestParser::Beast {
  http::request_parser<http::string_body> parser;
  bool start_line_taken = false;
};

namespace {

struct Failure {
  unsigned status;
  std::string_view text;
};

Failure failure_of(const boost::system::error_code& error, bool start_line_seen) {
  if (error == http::error::header_limit)
    return start_line_seen ? Failure{431, "the header is too large"} : Failure{414, "the request target is too long"};
  if (error == http::error::body_limit) return {413, "the body is too large"};
  if (error == http::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  return {400, "malformed request"};
}

std::size_t count_of(const HttpHeaders& headers, std::string_view name) {
  std::size_t count = 0;
  for (const auto& field : headers.all()) count += equal_without_case(field.first, name) ? 1 : 0;
  return count;
}

bool known_method(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "POST" || method == "PUT" || method == "DELETE" ||
         method == "PATCH" || method == "OPTIONS";
}

}  // namespace

HttpRequestParser::HttpRequestParser(const HttpParserLimits& limits)
    : beast_(std::make_unique<Beast>()), limits_(limits) {
  beast_->parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
  beast_->parser.body_limit(limits.body_bytes);
}

HttpRequestParser::HttpRequestParser(HttpRequestParser&&) noexcept = default;
HttpRequestParser::~HttpRequestParser() = default;

void HttpRequestParser::fail(unsigned status, std::string_view text) {
  state_ = State::kFailed;
  failure_ = status;
  failure_text_ = text;
}

std::size_t HttpRequestParser::put(ByteView bytes) {
  if (state_ == State::kComplete || state_ == State::kFailed || bytes.empty()) return 0;
  auto& parser = beast_->parser;
  if (state_ == State::kBody && parser.chunked() && bytes.size() < kLastChunkBytes) return 0;
  boost::system::error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error == http::error::need_more) {
    beast_->start_line_taken |= used > 0;
    return used;
  }
  if (error) {
    // Beast takes the start line before the first field.
    const auto failure = failure_of(error, beast_->start_line_taken || used > 0);
    fail(failure.status, failure.text);
    return used;
  }
  if (state_ == State::kHead && parser.is_header_done()) finish_head();
  if (state_ == State::kBody && parser.is_done()) {
    request_.body = std::move(parser.get().body());
    state_ = State::kComplete;
  }
  return used;
}

void HttpRequestParser::finish_head() {
  const auto& message = beast_->parser.get();
  request_.method = std::string(message.method_string());
  request_.target = std::string(message.target());
  // Copied here: fields of a trailer, which Beast adds to these later, must not pass for the head's.
  for (const auto& field : message) request_.headers.add(field.name_string(), field.value());
  keep_alive_ = message.keep_alive();

  if (!known_method(request_.method)) return fail(501, "unknown method");
  if (request_.target.size() > limits_.target_bytes) return fail(414, "the request target is too long");
  auto target = parse_target(request_.target);
  if (!target) return fail(400, "malformed request target");
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  // RFC 9112, 3.2: no Host in HTTP/1.1, or more than one in any version, is answered with 400.
  const std::size_t hosts = count_of(request_.headers, "Host");
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) return fail(400, "exactly one Host field is needed");
  // RFC 9112, 6.1: a transfer coding that is not understood is answered with 501.
  const auto coding = request_.headers.get("Transfer-Encoding");
  if (coding && (count_of(request_.headers, "Transfer-Encoding") > 1 || !equal_without_case(*coding, "chunked")))
    return fail(501, "only the chunked transfer coding is understood");
  if (coding && message.version() == 10) return fail(400, "no transfer coding in HTTP/1.0");
  if (const auto expect = request_.headers.get("Expect")) {
    if (!equal_without_case(*expect, "100-continue")) return fail(417, "only 100-continue can be expected");
    expects_continue_ = message.version() == 11 && !beast_->parser.is_done();
  }
  state_ = State::kBody;
}

HttpRequest HttpRequestParser::take() {
  HIGGS_ASSERT(state_ == State::kComplete);
  return std::move(request_);
}

}  // namespace higgs::net
