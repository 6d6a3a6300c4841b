// A connection to Redis that is made again whenever it ends, on a thread of its own: the loop and its back-off. What is
// said on the connection is up to who uses it.
//
// Started and stopped on any thread but its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/random.h"
#include "bosonserver/cache/redis_stream.h"

namespace higgs::boson {

class RedisLink {
 public:
  /// Runs on the link's thread while a connection stands, from its first moment to its end: says why it ended. When the
  /// stream is closed it must return.
  using Serve = std::function<boost::asio::awaitable<ErrorCode>(RedisStream& stream)>;

  /// `purpose`: for the log. Nothing runs before start(). Throws std::runtime_error if the trust of rediss:// cannot
  /// be loaded. `random` is used on the link's thread.
  RedisLink(std::string purpose, RedisOptions options, RandomSource& random, Serve serve);
  ~RedisLink();

  void start();
  /// Ends the connection and joins the thread. The destructor does it too.
  void stop();
  boost::asio::any_io_executor executor() const;
  const RedisOptions& options() const noexcept;
  /// Connections that were made again after the first.
  std::uint64_t reconnects() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson
