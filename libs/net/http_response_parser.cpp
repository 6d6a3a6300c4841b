#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/assert.h"
#include "net/http_parser.h"

namespace higgs::net {

namespace http = boost::beast::http;

namespace {

/// Interim answers before the real one; a server that sends more is not serious.
constexpr unsigned kInterimAnswers = 8;

}  // namespace

struct HttpResponseParser::Beast {
  http::response_parser<http::string_body> parser;
  bool head_taken = false;
};

HttpResponseParser::HttpResponseParser(const HttpParserLimits& limits, bool head) : limits_(limits), head_(head) {
  restart();
}

HttpResponseParser::HttpResponseParser(HttpResponseParser&&) noexcept = default;
HttpResponseParser::~HttpResponseParser() = default;

void HttpResponseParser::restart() {
  beast_ = std::make_unique<Beast>();
  beast_->parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
  beast_->parser.body_limit(limits_.body_bytes);
  beast_->parser.skip(head_);
}

std::size_t HttpResponseParser::put(ByteView bytes) {
  std::size_t used = 0;
  while (state_ == State::kReading && used < bytes.size()) {
    boost::system::error_code error;
    const ByteView rest = bytes.subspan(used);
    if (beast_->head_taken && beast_->parser.chunked() && rest.size() < kLastChunkBytes) break;
    const std::size_t count = beast_->parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    used += count;
    if (error == http::error::need_more) break;
    if (error) {
      const bool large = error == http::error::body_limit || error == http::error::header_limit;
      state_ = large ? State::kTooLarge : State::kFailed;
      break;
    }
    const bool progress = count > 0;
    if (beast_->parser.is_header_done() && !beast_->head_taken) finish_head();
    if (!progress && !beast_->parser.is_done()) break;
    if (state_ == State::kReading && beast_->head_taken && beast_->parser.is_done()) finish();
  }
  return used;
}

void HttpResponseParser::finish_head() {
  const auto& message = beast_->parser.get();
  const unsigned status = message.result_int();
  if (status < 100 || (status < 200 && status != 101 && ++interim_ > kInterimAnswers)) {
    state_ = State::kFailed;
    return;
  }
  if (status < 200 && status != 101) return restart();
  beast_->head_taken = true;
  response_.status = status;
  for (const auto& field : message) response_.headers.add(field.name_string(), field.value());
  keep_alive_ = beast_->parser.keep_alive();
}

void HttpResponseParser::finish() {
  response_.body = std::move(beast_->parser.get().body());
  state_ = State::kComplete;
}

void HttpResponseParser::put_end() {
  if (state_ != State::kReading) return;
  boost::system::error_code error = http::error::partial_message;
  if (beast_->head_taken) beast_->parser.put_eof(error);
  keep_alive_ = false;
  if (error)
    state_ = State::kFailed;
  else
    finish();
}

HttpResponse HttpResponseParser::take() {
  HIGGS_ASSERT(state_ == State::kComplete);
  return std::move(response_);
}

}  // namespace higgs::net
