// Commands to Redis from many threads, over one connection that carries them in order without waiting for each answer.
//
// Whoever calls waits for command_deadline at most, and not at all while Redis is known to be away: an answer that does
// not come in time ends the connection, and with it whatever waits. So a Redis that hangs costs one deadline, not one
// for each call. Commands that were under way when a connection ended may have been carried out or not.
//
// Any thread. `done` runs on the connection's thread and must not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/latency_buckets.h"
#include "bosonserver/cache/redis_link.h"

namespace higgs::boson {

/// At a time, queued or under way; more are refused (kQueueFull).
inline constexpr std::size_t kMaxRedisCommands = 10'000;
inline constexpr std::size_t kMaxRedisQueuedBytes = std::size_t{32} * 1024 * 1024;
/// Of one command; a larger one is refused (kTooLarge).
inline constexpr std::size_t kMaxRedisCommandBytes = std::size_t{1} * 1024 * 1024;

struct RedisCommand {
  std::vector<std::string> words;
  RedisShape shape;  ///< of its replies
};

struct RedisStats {
  bool connected = false;
  std::uint64_t commands = 0;  ///< that were to be sent
  std::uint64_t failures = 0;  ///< of them without an answer, for any reason, or refused by Redis
  std::uint64_t timeouts = 0;  ///< connections given up because an answer did not come in time
  std::uint64_t reconnects = 0;
  std::uint64_t dropped = 0;  ///< commands refused at a limit of ours
  LatencyBuckets calls{};     ///< how long those waited who wait for an answer
};

class RedisConnection {
 public:
  using Done = std::function<void(Result<RedisReply>)>;

  /// Throws std::runtime_error if the trust of rediss:// cannot be loaded. Starts to connect.
  RedisConnection(RedisOptions options, RandomSource& random);
  /// What still waits fails with kUnavailable.
  ~RedisConnection();

  /// `done` is called exactly once, at once where it is clear that it cannot be sent. Errors of RedisError.
  void send(const RedisCommand& command, Done done);
  /// As send(), and waits. Not on the connection's own thread.
  Result<RedisReply> call(const RedisCommand& command);
  /// As call() of each, but all are under way at once: they cost one round trip, and one deadline at most.
  std::vector<Result<RedisReply>> call_all(const std::vector<RedisCommand>& commands);

  bool connected() const;
  /// False: the time was over.
  bool wait_connected(std::chrono::milliseconds most) const;
  RedisStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson
