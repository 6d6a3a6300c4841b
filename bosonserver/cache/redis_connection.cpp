#include "bosonserver/cache/redis_connection.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <utility>

#include <boost/asio/post.hpp>

#include "base/assert.h"
#include "runtime/async_event.h"
#include "runtime/clock.h"
#include "runtime/latency_meter.h"
#include "runtime/task_group.h"

namespace higgs::boson {

namespace asio = boost::asio;

namespace {

/// The writer ends when the stream is closed; this long is never needed.
constexpr std::chrono::seconds kWriterEnd{10};

struct Job {
  std::string bytes;
  RedisShape shape;
  RedisConnection::Done done;
  Instant deadline;
  std::size_t size;
};

ErrorCode mapped(const ErrorCode& error) {
  const bool ours = error == RedisError::kTimedOut || error == RedisError::kProtocol || error == RedisError::kTooLarge;
  return ours ? error : ErrorCode(RedisError::kUnavailable);
}

}  // namespace

class RedisConnection::Impl {
 public:
  Impl(RedisOptions options, RandomSource& random)
      : link("commands", std::move(options), random, [this](RedisStream& stream) { return serve(stream); }),
        wake(link.executor()) {}
  ~Impl() { link.stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Any thread.
  void send(const RedisCommand& command, Done done);
  std::future<Result<RedisReply>> begin(const RedisCommand& command);
  std::optional<RedisError> enqueue(const RedisCommand& command, Done& done);

  // The link's thread.
  asio::awaitable<ErrorCode> serve(RedisStream& stream);
  asio::awaitable<void> write(RedisStream& stream);
  asio::awaitable<ErrorCode> read(RedisStream& stream);
  void take_inbox();
  void push(Job job);
  void ping();
  bool answer(RedisReply reply);
  void expire_with_first(RedisStream& stream);
  void finish(Job& job, Result<RedisReply> result);
  void go_down(const ErrorCode& error);

  mutable std::mutex mutex;
  mutable std::condition_variable came_up;
  bool up = false;
  std::vector<Job> inbox;
  std::size_t queued = 0, queued_bytes = 0;

  runtime::LatencyMeter calls;
  std::atomic<std::uint64_t> commands = 0, failures = 0, timeouts = 0, dropped = 0;

  // The link's thread only.
  RedisStream* open_stream = nullptr;
  std::string out;          ///< not yet handed to the socket
  std::deque<Job> pending;  ///< whose replies are due, oldest first
  bool closing = false;

  RedisLink link;
  runtime::AsyncEvent wake;
};

void RedisConnection::Impl::send(const RedisCommand& command, Done done) {
  ++commands;
  const auto refusal = enqueue(command, done);
  if (!refusal) return;
  ++failures;
  if (*refusal != RedisError::kUnavailable) ++dropped;
  done(*refusal);
}

std::future<Result<RedisReply>> RedisConnection::Impl::begin(const RedisCommand& command) {
  // Shared: who waits may be gone before set_value() has returned.
  const auto promise = std::make_shared<std::promise<Result<RedisReply>>>();
  auto future = promise->get_future();
  send(command, [promise](Result<RedisReply> reply) { promise->set_value(std::move(reply)); });
  return future;
}

/// Takes `done` only where it returns nullopt.
std::optional<RedisError> RedisConnection::Impl::enqueue(const RedisCommand& command, Done& done) {
  {
    const std::lock_guard lock(mutex);
    if (!up) return RedisError::kUnavailable;
  }
  std::string bytes = encode_command(command.words);
  const std::size_t size = bytes.size();
  if (size > kMaxRedisCommandBytes) return RedisError::kTooLarge;
  const auto deadline = runtime::now().monotonic + link.options().command_deadline;
  const std::lock_guard lock(mutex);
  if (!up) return RedisError::kUnavailable;
  if (queued >= kMaxRedisCommands || size > kMaxRedisQueuedBytes - queued_bytes) return RedisError::kQueueFull;
  ++queued;
  queued_bytes += size;
  inbox.push_back({std::move(bytes), command.shape, std::move(done), deadline, size});
  if (inbox.size() == 1) asio::post(link.executor(), [this] { take_inbox(); });
  return std::nullopt;
}

/// Jobs that came while one connection ended are never given to the next: they have failed with it.
void RedisConnection::Impl::take_inbox() {
  std::vector<Job> taken;
  {
    const std::lock_guard lock(mutex);
    taken.swap(inbox);
  }
  for (auto& job : taken) push(std::move(job));
}

void RedisConnection::Impl::push(Job job) {
  out += job.bytes;
  job.bytes = {};
  pending.push_back(std::move(job));
  if (pending.size() == 1) expire_with_first(*open_stream);
  wake.notify();
}

void RedisConnection::Impl::ping() {
  {
    const std::lock_guard lock(mutex);
    ++queued;
  }
  const auto deadline = runtime::now().monotonic + link.options().command_deadline;
  push({encode_command({"PING"}), is_status, [](const Result<RedisReply>&) {}, deadline, 0});
}

void RedisConnection::Impl::expire_with_first(RedisStream& stream) {
  if (pending.empty()) return stream.expires_never();
  const auto left = pending.front().deadline - runtime::now().monotonic;
  stream.expires_after(std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0)));
}

void RedisConnection::Impl::finish(Job& job, Result<RedisReply> result) {
  {
    const std::lock_guard lock(mutex);
    --queued;
    queued_bytes -= job.size;
  }
  if (!result) ++failures;
  job.done(std::move(result));
}

/// False: it is not a reply to the command whose turn it is.
bool RedisConnection::Impl::answer(RedisReply reply) {
  if (pending.empty()) return false;
  const bool refused = reply.kind == RedisReply::Kind::kError;
  if (!refused && !pending.front().shape(reply)) return false;
  Job job = std::move(pending.front());
  pending.pop_front();
  if (refused)
    finish(job, RedisError::kRefused);
  else
    finish(job, std::move(reply));
  return true;
}

asio::awaitable<ErrorCode> RedisConnection::Impl::serve(RedisStream& stream) {
  open_stream = &stream;
  closing = false;
  out.clear();
  {
    const std::lock_guard lock(mutex);
    up = true;
  }
  came_up.notify_all();
  runtime::TaskGroup tasks(link.executor());
  tasks.spawn("Redis writer", write(stream));
  auto reading = read(stream);
  const ErrorCode ended = co_await std::move(reading);
  go_down(ended);
  closing = true;
  stream.close();
  wake.notify();
  auto joining = tasks.join(kWriterEnd);
  co_await std::move(joining);
  open_stream = nullptr;
  co_return ended;
}

asio::awaitable<ErrorCode> RedisConnection::Impl::read(RedisStream& stream) {
  for (;;) {
    auto reading = stream.read();
    auto reply = co_await std::move(reading);
    if (!reply && reply.error() == net::TlsError::kTimedOut) {
      ++timeouts;
      co_return RedisError::kTimedOut;
    }
    if (!reply) co_return reply.error();
    if (!answer(std::move(*reply))) co_return RedisError::kProtocol;
    expire_with_first(stream);
  }
}

asio::awaitable<void> RedisConnection::Impl::write(RedisStream& stream) {
  while (!closing) {
    if (out.empty()) {
      auto waiting = wake.wait_for(link.options().idle_ping);
      const bool notified = co_await std::move(waiting);
      if (notified || closing || !pending.empty()) continue;
      ping();
    }
    const std::string bytes = std::exchange(out, {});
    auto writing = stream.write(bytes);
    const auto written = co_await std::move(writing);
    if (!written) {
      stream.close();  // the reader sees it, and ends the connection
      co_return;
    }
  }
}

void RedisConnection::Impl::go_down(const ErrorCode& error) {
  std::vector<Job> jobs;
  {
    const std::lock_guard lock(mutex);
    up = false;
    jobs.swap(inbox);
  }
  for (auto& job : std::exchange(pending, {})) finish(job, mapped(error));
  for (auto& job : jobs) finish(job, RedisError::kUnavailable);
}

RedisConnection::RedisConnection(RedisOptions options, RandomSource& random)
    : impl_(std::make_unique<Impl>(std::move(options), random)) {
  impl_->link.start();
}
RedisConnection::~RedisConnection() = default;

void RedisConnection::send(const RedisCommand& command, Done done) { impl_->send(command, std::move(done)); }

Result<RedisReply> RedisConnection::call(const RedisCommand& command) {
  const runtime::LatencyMeter::Timer timer(impl_->calls);
  return impl_->begin(command).get();
}

std::vector<Result<RedisReply>> RedisConnection::call_all(const std::vector<RedisCommand>& commands) {
  const runtime::LatencyMeter::Timer timer(impl_->calls);
  std::vector<std::future<Result<RedisReply>>> begun;
  begun.reserve(commands.size());
  for (const auto& command : commands) begun.push_back(impl_->begin(command));
  std::vector<Result<RedisReply>> replies;
  replies.reserve(commands.size());
  for (auto& reply : begun) replies.push_back(reply.get());
  return replies;
}

bool RedisConnection::connected() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->up;
}

bool RedisConnection::wait_connected(std::chrono::milliseconds most) const {
  std::unique_lock lock(impl_->mutex);
  return impl_->came_up.wait_for(lock, most, [&] { return impl_->up; });
}

RedisStats RedisConnection::stats() const {
  RedisStats stats;
  stats.connected = connected();
  stats.commands = impl_->commands;
  stats.failures = impl_->failures;
  stats.timeouts = impl_->timeouts;
  stats.reconnects = impl_->link.reconnects();
  stats.dropped = impl_->dropped;
  stats.calls = impl_->calls.buckets();
  return stats;
}

}  // namespace higgs::boson
