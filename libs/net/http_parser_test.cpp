#include "net/http_parser.h"

#include <gtest/gtest.h>

#include "net/http_text.h"

namespace higgs::net {
namespace {

/// Feeds a text as a connection would: all at once, or byte by byte.
HttpRequestParser parse(std::string_view text, std::size_t step, HttpParserLimits limits = {}) {
  HttpRequestParser parser(limits);
  std::string buffered;
  for (std::size_t at = 0; at < text.size(); at += step) {
    buffered.append(text.substr(at, step));
    for (;;) {
      const std::size_t used = parser.put(as_bytes(buffered));
      buffered.erase(0, used);
      if (used == 0 || buffered.empty()) break;
    }
  }
  return parser;
}

using State = HttpRequestParser::State;

TEST(HttpRequestParser, SameResultWhateverTheSlices) {
  const std::string text =
      "POST /api/v1/nodes%20x?country=DE&q=a+b%26c&flag HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n4;ext=1\r\n bar\r\n0\r\nHost: trailer\r\n\r\n";
  for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{7}, text.size()}) {
    auto parser = parse(text, step);
    ASSERT_EQ(parser.state(), State::kComplete) << step << parser.failure_text();
    EXPECT_TRUE(parser.keep_alive());
    const HttpRequest request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/api/v1/nodes x");
    const std::vector<std::pair<std::string, std::string>> query = {{"country", "DE"}, {"q", "a b&c"}, {"flag", ""}};
    EXPECT_EQ(request.query, query);
    EXPECT_EQ(request.body, "foo bar");
    EXPECT_EQ(request.headers.get("host"), "h");
    EXPECT_EQ(request.headers.get("X-REQUEST-ID"), "abc");
  }
}

TEST(HttpRequestParser, EmptyChunkedBodyInSlices) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string_view body : {"0\r\n\r\n", "0\r\nT: x\r\n\r\n", "000;e\r\n\r\n"}) {
    for (const std::size_t step : {1U, 2U, 3U, 4U}) {
      auto parser = parse(head + std::string(body), step);
      ASSERT_EQ(parser.state(), State::kComplete) << body << step;
      EXPECT_TRUE(parser.take().body.empty());
      HttpResponseParser response({}, false);
      std::string buffered;
      const std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
      for (std::size_t at = 0; at < answer.size(); at += step) {
        buffered.append(answer.substr(at, step));
        buffered.erase(0, response.put(as_bytes(buffered)));
      }
      EXPECT_EQ(response.state(), HttpResponseParser::State::kComplete) << body << step;
    }
  }
}

TEST(HttpRequestParser, BytesBehindTheMessageStayWithTheCaller) {
  const std::string first = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string both = first + "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
  HttpRequestParser parser({});
  EXPECT_EQ(parser.put(as_bytes(both)), first.size());
  EXPECT_EQ(parser.state(), State::kComplete);
  EXPECT_EQ(parser.put(as_bytes(both).subspan(first.size())), 0u);
}

struct Bad {
  const char* text;
  unsigned status;
};

class BadRequest : public ::testing::TestWithParam<Bad> {};

TEST_P(BadRequest, IsAnsweredWithItsStatus) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
    const auto parser = parse(GetParam().text, step);
    ASSERT_EQ(parser.state(), State::kFailed) << GetParam().text;
    EXPECT_EQ(parser.failure(), GetParam().status) << GetParam().text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRequest,
    ::testing::Values(Bad{"\x16\x03\x01\x02\x05\x01\r\n\r\n", 400}, Bad{"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                      Bad{"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505}, Bad{"GET / HTTP/1.1\r\n\r\n", 400},
                      Bad{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
                      Bad{"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
                      Bad{"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                      Bad{"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                      Bad{"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400}, Bad{"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
                      Bad{"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n", 413},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", 413},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
                      Bad{"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
                      Bad{"POST / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", 417}));

TEST(HttpRequestParser, HeadAndTargetHaveLimits) {
  const std::string field = "X: " + std::string(1000, 'x') + "\r\n";
  std::string text = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 20; ++i) text += field;
  for (const std::size_t step : {std::size_t{1000}, text.size()}) {
    EXPECT_EQ(parse(text, step).failure(), 431u);
    EXPECT_EQ(parse("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", step).failure(), 414u);
    EXPECT_EQ(parse("GET /" + std::string(90000, 'a'), step).failure(), 414u);
  }
}

TEST(HttpRequestParser, ExpectIsForABodyThatIsStillToCome) {
  auto parser = parse("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 1000);
  EXPECT_EQ(parser.state(), State::kBody);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.put(as_bytes("abc")), 3u);
  EXPECT_EQ(parser.take().body, "abc");
}

HttpResponseParser answer(std::string_view text, std::size_t step, bool head = false, HttpParserLimits limits = {}) {
  HttpResponseParser parser(limits, head);
  std::string buffered;
  for (std::size_t at = 0; at < text.size(); at += step) {
    buffered.append(text.substr(at, step));
    buffered.erase(0, parser.put(as_bytes(buffered)));
  }
  return parser;
}

TEST(HttpResponseParser, ReadsWhatTheServerWrites) {
  HttpResponse response{.status = 201, .headers = {}, .body = std::string(5000, 'b')};
  response.headers.set("Content-Type", "application/json");
  response.headers.set("X-Evil", "a\r\nSet-Cookie: x");
  response.headers.set("Content-Length", "7");
  const std::string text = write_response(response, {.now = from_unix_seconds(784111777), .request_id = "id"});
  EXPECT_NE(text.find("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), text.npos);
  EXPECT_EQ(text.find("Set-Cookie"), text.npos);
  for (const std::size_t step : {std::size_t{1}, std::size_t{100}, text.size()}) {
    auto parser = answer(text, step);
    ASSERT_EQ(parser.state(), HttpResponseParser::State::kComplete);
    EXPECT_TRUE(parser.keep_alive());
    const auto read = parser.take();
    EXPECT_EQ(read.status, 201u);
    EXPECT_EQ(read.body, response.body);
    EXPECT_EQ(read.headers.get("x-request-id"), "id");
    EXPECT_EQ(read.headers.get("Content-Length"), "5000");
  }
}

TEST(HttpResponseParser, InterimAnswersAreSkippedButNotForEver) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  auto parser = answer(interim + interim + "HTTP/1.1 204 No Content\r\n\r\n", 1000);
  ASSERT_EQ(parser.state(), HttpResponseParser::State::kComplete);
  EXPECT_EQ(parser.take().status, 204u);
  std::string many;
  for (int i = 0; i < 20; ++i) many += interim;
  EXPECT_EQ(answer(many, 1000).state(), HttpResponseParser::State::kFailed);
}

TEST(HttpResponseParser, BodyUpToTheEndOfTheConnection) {
  auto parser = answer("HTTP/1.1 200 OK\r\n\r\nabc", 5);
  EXPECT_EQ(parser.state(), HttpResponseParser::State::kReading);
  parser.put_end();
  ASSERT_EQ(parser.state(), HttpResponseParser::State::kComplete);
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_EQ(parser.take().body, "abc");
}

TEST(HttpResponseParser, CutOffAndOversizedAnswersAreErrors) {
  auto cut = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 1000);
  cut.put_end();
  EXPECT_EQ(cut.state(), HttpResponseParser::State::kFailed);
  HttpResponseParser empty({}, false);
  empty.put_end();
  EXPECT_EQ(empty.state(), HttpResponseParser::State::kFailed);
  const HttpParserLimits small{.header_bytes = 1000, .body_bytes = 10};
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", 1000, false, small).state(),
            HttpResponseParser::State::kTooLarge);
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\n\r\n01234567890", 1000, false, small).state(),
            HttpResponseParser::State::kTooLarge);
  EXPECT_EQ(answer("SSH-2.0-OpenSSH\r\n", 1000).state(), HttpResponseParser::State::kFailed);
}

TEST(HttpResponseParser, AnswerToHeadHasNoBody) {
  auto parser = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 1000, true);
  ASSERT_EQ(parser.state(), HttpResponseParser::State::kComplete);
  EXPECT_TRUE(parser.take().body.empty());
}

}  // namespace
}  // namespace higgs::net
