// One connection to Redis, from its name to the first answer, over TCP or TLS. hiredis reads and writes the protocol
// only; the socket is ours (docs/adr/0008). One coroutine reads and one writes at a time, on one executor.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "bosonserver/cache/redis_reply.h"
#include "bosonserver/cache/redis_url.h"
#include "net/tcp_connect.h"
#include "net/tls_stream.h"

namespace higgs::boson {

struct RedisOptions {
  RedisUrl url;
  net::TlsTrust trust = {};  ///< for rediss://
  /// Of each step: the name, TCP, TLS, and the first answer.
  std::chrono::milliseconds connect_deadline{1'000};
  std::chrono::milliseconds command_deadline{500};
  /// When nothing was said for so long, Redis is asked whether it is there: who comes next need not find out.
  std::chrono::milliseconds idle_ping{5'000};
  RedisReplyLimits replies = {};
};

class RedisStream {
 public:
  /// `tls` null: without TLS. Both outlive the stream.
  RedisStream(boost::asio::any_io_executor executor, const RedisOptions& options, const net::TlsContext* tls);

  /// Connects, logs in, selects the database, and waits for an answer: a Redis that accepts but is stopped is not up.
  boost::asio::awaitable<Result<void>> open();
  boost::asio::awaitable<Result<RedisReply>> read();
  boost::asio::awaitable<Result<void>> write(std::string_view commands);
  const RedisOptions& options() const noexcept { return options_; }
  /// As net::TlsStream's; only on an open stream.
  void expires_after(std::chrono::milliseconds time) { stream_->expires_after(time); }
  void expires_never() noexcept { stream_->expires_never(); }
  /// Now; whatever awaits fails. At any time.
  void close() noexcept;

 private:
  boost::asio::awaitable<Result<std::vector<IpAddress>>> addresses();
  boost::asio::awaitable<Result<void>> connect();
  boost::asio::awaitable<Result<void>> greet();

  const boost::asio::any_io_executor executor_;
  const RedisOptions& options_;
  const net::TlsContext* const tls_;
  net::ConnectCancel cancel_;
  std::optional<net::TlsStream> stream_;
  RedisReplyReader reader_;
  Bytes buffer_;
};

}  // namespace higgs::boson
