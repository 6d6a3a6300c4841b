// HTTP as either end reads it, and targets and URLs: no crash, and what is taken is within the limits.
#include <cstdint>
#include <cstdlib>

#include "net/http_parser.h"
#include "net/http_target.h"
#include "net/http_text.h"

namespace {

using namespace higgs::net;

constexpr HttpParserLimits kLimits{.header_bytes = 1024, .body_bytes = 512, .target_bytes = 256};

void read_request(higgs::ByteView input, std::size_t step) {
  HttpRequestParser parser(kLimits);
  higgs::Bytes buffer;
  for (std::size_t at = 0; at < input.size(); at += step) {
    const auto slice = input.subspan(at, std::min(step, input.size() - at));
    buffer.insert(buffer.end(), slice.begin(), slice.end());
    for (;;) {
      const std::size_t used = parser.put(buffer);
      if (used > buffer.size()) std::abort();
      buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(used));
      if (used == 0 || buffer.empty()) break;
    }
  }
  if (parser.state() == HttpRequestParser::State::kFailed && (parser.failure() < 400 || parser.failure() > 505))
    std::abort();
  if (parser.state() != HttpRequestParser::State::kComplete) return;
  const HttpRequest request = parser.take();
  if (request.body.size() > kLimits.body_bytes || request.target.size() > kLimits.target_bytes) std::abort();
}

void read_response(higgs::ByteView input, std::size_t step) {
  HttpResponseParser parser(kLimits, false);
  higgs::Bytes buffer;
  for (std::size_t at = 0; at < input.size(); at += step) {
    const auto slice = input.subspan(at, std::min(step, input.size() - at));
    buffer.insert(buffer.end(), slice.begin(), slice.end());
    const std::size_t used = parser.put(buffer);
    if (used > buffer.size()) std::abort();
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(used));
  }
  parser.put_end();
  if (parser.state() == HttpResponseParser::State::kReading) std::abort();
  if (parser.state() != HttpResponseParser::State::kComplete) return;
  // Written again by us it is always one well-formed message.
  const HttpResponse response = parser.take();
  const std::string text = write_response(response, {.now = {}, .request_id = "id"});
  HttpResponseParser again({.header_bytes = 8192, .body_bytes = 512}, false);
  if (again.put(higgs::as_bytes(text)) != text.size()) std::abort();
  if (response.status >= 200 && again.state() != HttpResponseParser::State::kComplete) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 4) {
    case 0:
      read_request(input, 1);
      read_request(input, input.size() + 1);
      break;
    case 1:
      read_response(input, 1);
      read_response(input, input.size() + 1);
      break;
    case 2:
      if (const auto target = parse_target(higgs::as_text(input)))
        if (target->path.empty() || target->query.size() > kQueryParameters) std::abort();
      break;
    default:
      if (const auto url = parse_url(higgs::as_text(input)))
        if (url->host.empty() || url->port == 0 || !url->target.starts_with('/')) std::abort();
      break;
  }
  return 0;
}
