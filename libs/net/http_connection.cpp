#include "net/http_connection.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/random.h"
#include "base/uuid.h"
#include "net/http_text.h"
#include "net/proxy_header.h"
#include "net/websocket_handshake.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::net {

namespace asio = boost::asio;
namespace log = runtime::log;

namespace {

constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kRequestIdBytes = 64;
/// After an answer that closes, what the peer still sends is read and dropped, or the reset that follows would take the
/// answer away from it (RFC 9112, 9.6).
constexpr std::size_t kLingerBytes = 1024 * 1024;
constexpr std::chrono::seconds kLingerTime{2};
/// What a client is told that comes while there is no memory for its request.
constexpr std::string_view kMemoryRetrySeconds = "10";

HttpResponse without_detail() { return problem_response(500, "the request could not be handled"); }

HttpResponse of_bad_request(const HttpRequestParser& parser) {
  // Neither failed nor complete: the time was over, or the peer has gone and hears nothing.
  if (parser.state() != HttpRequestParser::State::kFailed)
    return problem_response(408, "the request did not come in time");
  auto response = problem_response(parser.failure(), parser.failure_text());
  if (parser.failure() == 503) response.headers.set("Retry-After", std::string(kMemoryRetrySeconds));
  return response;
}

/// One handshake of an address, from its beginning to its end.
class HandshakeTurn {
 public:
  HandshakeTurn(HttpServerShared& shared, const IpAddress& address) : shared_(shared), address_(address) {
    const std::lock_guard lock(shared_.handshakes_mutex);
    // Of a proxy that speaks TLS with us itself the clients' addresses are not known yet.
    counted_ = !shared_.proxies.include(address_);
    granted_ = !counted_ || shared_.handshakes.begin(runtime::now().monotonic, address_);
  }
  ~HandshakeTurn() {
    if (!counted_ || !granted_) return;
    const std::lock_guard lock(shared_.handshakes_mutex);
    shared_.handshakes.end(address_);
  }
  HandshakeTurn(const HandshakeTurn&) = delete;
  HandshakeTurn& operator=(const HandshakeTurn&) = delete;

  bool granted() const noexcept { return granted_; }

 private:
  HttpServerShared& shared_;
  const IpAddress address_;
  bool counted_ = false, granted_ = false;
};

}  // namespace

std::string request_id_for(const HttpRequest& request) {
  const auto given = request.headers.get("X-Request-Id").value_or("");
  const bool sane =
      !given.empty() && given.size() <= kRequestIdBytes &&
      given.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == given.npos;
  if (sane) return std::string(given);
  SystemRandom random;
  return Uuid::random(random).to_string();
}

HttpConnection::HttpConnection(TlsStream stream, std::uint64_t tls_generation, std::shared_ptr<HttpServerShared> shared,
                               Admit admit)
    : stream_(std::move(stream)),
      tls_generation_(tls_generation),
      shared_(std::move(shared)),
      admit_(std::move(admit)),
      peer_(stream_.remote()) {}

asio::awaitable<void> HttpConnection::run() {
  stream_.expires_after(shared_->limits.handshake);
  if (shared_->proxies.speak_before(peer_.address)) {
    const bool read = co_await read_proxy_header();
    if (!read) co_return;
  }
  const bool shaken = co_await shake_hands();
  if (!shaken) co_return;
  Next next = Next::kContinue;
  while (next == Next::kContinue) next = co_await serve_one();
  if (!taken_) stream_.shutdown();
}

asio::awaitable<bool> HttpConnection::shake_hands() {
  if (!stream_.is_tls()) co_return true;
  auto done = co_await stream_.wait_for_peer();
  if (done) {
    const HandshakeTurn turn(*shared_, stream_.remote().address);
    if (!turn.granted()) {
      ++shared_->counters.refused_handshakes;
      co_return false;
    }
    done = co_await stream_.accept();
    if (!done) blame();
  }
  if (!done) {
    ++shared_->counters.handshake_failures;
    if (done.error() == TlsError::kTimedOut) ++shared_->counters.timeouts;
    if (done.error() == TlsError::kUntrusted)
      log::info("a client's certificate was refused",
                {{"address", stream_.remote().address.to_string()}, {"reason", stream_.distrust()}});
    co_return false;
  }
  if (!shared_->proxies.end_tls(peer_.address)) certificate_ = stream_.client_certificate();
  co_return true;
}

asio::awaitable<bool> HttpConnection::read_proxy_header() {
  ProxyHeaderReader reader;
  ByteArray<256> bytes;
  while (reader.state() == ProxyHeaderReader::State::kReading) {
    const auto room = MutableBytes(bytes).first(std::min(bytes.size(), reader.wanted()));
    const auto count = co_await stream_.read_before_tls(room);
    if (!count) {
      if (count.error() == TlsError::kTimedOut) ++shared_->counters.timeouts;
      co_return false;
    }
    reader.put(room.first(*count));
  }
  if (reader.state() == ProxyHeaderReader::State::kMalformed) {
    ++shared_->counters.bad_proxy_headers;
    co_return false;
  }
  if (const auto& source = reader.source()) {
    stream_.set_remote({source->address.unmapped(), source->port});
    if (!admit_(source->address)) {
      ++shared_->counters.refused;
      co_return false;
    }
  }
  co_return true;
}

void HttpConnection::drain() noexcept {
  if (waiting_) stream_.abort();
  if (holding_ != nullptr) holding_->cancel();
}

/// A first request is on its way: its sender would take an end without an answer for a failure.
void HttpConnection::check_generation() noexcept {
  if (waiting_ && !first_ && certificate_is_outdated()) stream_.abort();
}

asio::awaitable<bool> HttpConnection::read_more() {
  if (consumed_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(consumed_));
    consumed_ = 0;
  }
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  const auto count = co_await stream_.read_some(MutableBytes(buffer_).subspan(before));
  buffer_.resize(before + (count ? *count : 0));
  if (!count && count.error() == TlsError::kTimedOut) ++shared_->counters.timeouts;
  co_return count.has_value();
}

/// False: the connection is over. Otherwise the parser is complete or failed.
asio::awaitable<bool> HttpConnection::read_request(HttpRequestParser& parser) {
  const auto& limits = shared_->limits;
  waiting_ = true;
  if (unread() == 0) {
    if (shared_->draining || (!first_ && certificate_is_outdated())) co_return false;
    Bytes().swap(buffer_);  // an idle connection holds no buffer
    consumed_ = 0;
    stream_.expires_after(first_ ? limits.header : limits.idle);
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
  waiting_ = false;
  if (!first_) stream_.expires_after(limits.header);
  first_ = false;

  bool in_body = false;
  for (;;) {
    const std::size_t used = parser.put(unread_bytes());
    consumed_ += used;
    if (parser.state() == HttpRequestParser::State::kComplete || parser.state() == HttpRequestParser::State::kFailed)
      co_return true;
    if (!in_body && parser.state() == HttpRequestParser::State::kBody) {
      in_body = true;
      stream_.expires_after(limits.header);
      if (parser.expects_continue() && unread() == 0) {
        const bool written = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
        if (!written) co_return false;
      }
    }
    if (used > 0 && unread() > 0) continue;
    // What one step of the parser needs at once is a head, or the line before a chunk.
    if (unread() > limits.header_bytes) {
      parser.fail(400, "malformed chunk");
      co_return true;
    }
    if (const auto& has_room = shared_->handlers.has_room_for_request; has_room && !has_room()) {
      ++shared_->counters.refused_for_memory;
      parser.fail(503, "there is no memory for the rest of the request");
      co_return true;
    }
    const bool more = co_await read_more();
    if (!more) co_return true;
  }
}

asio::awaitable<HttpConnection::Next> HttpConnection::serve_one() {
  HttpRequestParser parser({.header_bytes = shared_->limits.header_bytes, .body_bytes = shared_->limits.body_bytes});
  const bool read = co_await read_request(parser);
  if (!read) co_return Next::kClose;
  if (parser.state() != HttpRequestParser::State::kComplete) {
    ++shared_->counters.bad_requests;
    blame();
    const auto answer = of_bad_request(parser);
    co_await answer_and_linger(answer);
    co_return Next::kClose;
  }
  ++shared_->counters.requests;
  stream_.expires_never();
  HttpRequest request = parser.take();
  request.remote = stream_.remote();
  const auto client = shared_->proxies.client_of(peer_.address, request.headers);
  if (client) request.remote = {*client, 0};
  if (!certificate_is_outdated()) request.client_certificate = certificate_;
  request.behind_tls_proxy = shared_->proxies.end_tls(peer_.address);
  if (request.remote == peer_) request.round_trip = stream_.round_trip();
  request.request_id = request_id_for(request);
  if (asks_for_websocket(request)) {
    auto upgrading = serve_upgrade(std::move(request));
    co_return co_await std::move(upgrading);
  }

  const std::string id = request.request_id;
  const bool head = request.method == "HEAD";
  auto handling = handle(std::move(request));
  const HttpResponse response = co_await std::move(handling);
  if (response.status == 400) blame();
  const bool close = !parser.keep_alive() || shared_->draining || certificate_is_outdated();
  const std::string text =
      write_response(response, {.now = runtime::now().wall, .request_id = id, .head = head, .close = close});
  const bool written = co_await write(text);
  if (!written || close) co_return Next::kClose;
  if (response.hold.count() > 0 && !client) {
    ++shared_->counters.held;
    co_await hold(response.hold);
  }
  co_return Next::kContinue;
}

asio::awaitable<HttpResponse> HttpConnection::handle(HttpRequest request) {
  const std::string id = request.request_id;
  try {
    if (!shared_->handlers.request) co_return problem_response(404, "nothing here");
    auto handling = shared_->handlers.request(std::move(request));
    co_return co_await std::move(handling);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    log::error("a request handler failed", {{"request", id}, {"error", error.what()}});
  } catch (const std::exception& error) {
    log::error("a request handler failed", {{"request", id}, {"error", error.what()}});
  }
  co_return without_detail();
}

asio::awaitable<HttpConnection::Next> HttpConnection::serve_upgrade(HttpRequest request) {
  const std::string id = request.request_id;
  UpgradeDecision decision = problem_response(426, "no WebSocket is offered here");
  const HttpRequest asked = request;
  if (auto refusal = refuse_websocket(request)) {
    decision = std::move(*refusal);
  } else if (shared_->handlers.upgrade) {
    try {
      auto deciding = shared_->handlers.upgrade(std::move(request));
      decision = co_await std::move(deciding);
    } catch (const boost::system::system_error& error) {
      if (error.code() == asio::error::operation_aborted) throw;
      log::error("an upgrade handler failed", {{"request", id}, {"error", error.what()}});
      decision = without_detail();
    } catch (const std::exception& error) {
      log::error("an upgrade handler failed", {{"request", id}, {"error", error.what()}});
      decision = without_detail();
    }
  }
  if (const auto* refusal = std::get_if<HttpResponse>(&decision)) {
    if (refusal->status < 500) blame();
    co_await answer_and_linger(*refusal);
    co_return Next::kClose;
  }
  auto& accept = std::get<UpgradeAccept>(decision);
  const HttpResponse response = accept_websocket(asked, accept.subprotocol);
  const std::string text = write_response(response, {.now = runtime::now().wall, .request_id = id});
  const bool written = co_await write(text);
  if (!written) co_return Next::kClose;
  taken_ = true;
  stream_.set_remote(asked.remote);
  accept.take({stream_.release(), to_bytes(unread_bytes())});
  co_return Next::kClose;
}

asio::awaitable<bool> HttpConnection::write(std::string_view text) {
  stream_.expires_after(shared_->limits.write);
  const auto written = co_await stream_.write_all(as_bytes(text));
  if (!written && written.error() == TlsError::kTimedOut) ++shared_->counters.timeouts;
  co_return written.has_value();
}

void HttpConnection::blame() {
  const auto& address = stream_.remote().address;
  if (!stream_.is_tls() || shared_->proxies.include(address)) return;
  const std::lock_guard lock(shared_->handshakes_mutex);
  shared_->handshakes.blame(runtime::now().monotonic, address);
}

asio::awaitable<void> HttpConnection::hold(std::chrono::milliseconds time) {
  stream_.expires_never();
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  holding_ = &timer;
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  holding_ = nullptr;
}

asio::awaitable<void> HttpConnection::answer_and_linger(const HttpResponse& response) {
  SystemRandom random;
  const std::string id = Uuid::random(random).to_string();
  const std::string text = write_response(response, {.now = runtime::now().wall, .request_id = id, .close = true});
  const bool written = co_await write(text);
  if (!written) co_return;
  stream_.shutdown();
  stream_.expires_after(kLingerTime);
  ByteArray<kReadBytes> dropped;
  for (std::size_t total = 0; total < kLingerBytes;) {
    const auto count = co_await stream_.read_some(dropped);
    if (!count) co_return;
    total += *count;
  }
}

}  // namespace higgs::net
