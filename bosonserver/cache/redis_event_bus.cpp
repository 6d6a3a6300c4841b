#include "bosonserver/cache/redis_event_bus.h"

#include <atomic>
#include <utility>

#include "base/bytes.h"
#include "bosonserver/cache/event_dispatcher.h"
#include "bosonserver/cache/event_message.h"

namespace higgs::boson {

namespace asio = boost::asio;

namespace {

using Kind = RedisReply::Kind;

bool is_push(const RedisReply& reply, std::string_view what, std::size_t elements) noexcept {
  return reply.kind == Kind::kArray && reply.elements.size() == elements && reply.elements[0].kind == Kind::kText &&
         reply.elements[0].text == what;
}

/// Answers to commands that are under way come when the bus may be gone already.
struct Losses {
  std::atomic<std::uint64_t> count = 0;
  std::atomic<bool> untold = false;  ///< other servers do not know of some
};

}  // namespace

class RedisEventBus::Impl {
 public:
  Impl(RedisConnection& r, RedisOptions options, const std::string& prefix, RandomSource& random)
      : redis(r),
        channel(prefix + "events"),
        origin(to_hex(random.array<kEventOriginBytes / 2>())),
        link("events", std::move(options), random, [this](RedisStream& stream) { return serve(stream); }) {}
  ~Impl() { link.stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::vector<std::string> publication(std::string_view topic, std::string_view payload) const {
    return {"PUBLISH", channel, EventMessage{origin, topic, payload}.to_string()};
  }

  void send(std::string_view topic, std::string_view payload) const {
    const bool counts = !topic.empty();
    redis.send({publication(topic, payload), is_integer}, [losses = losses, counts](const Result<RedisReply>& reply) {
      if (reply) return;
      if (counts) ++losses->count;
      losses->untold = true;
    });
  }

  asio::awaitable<ErrorCode> serve(RedisStream& stream) {
    auto beginning = begin(stream);
    const ErrorCode failed = co_await std::move(beginning);
    if (failed) co_return failed;
    hearing = true;
    dispatcher.push_resync();
    auto listening = listen(stream);
    const ErrorCode ended = co_await std::move(listening);
    hearing = false;
    co_return ended;
  }

  /// Tells of losses, in case nothing is published for a while, and subscribes.
  asio::awaitable<ErrorCode> begin(RedisStream& stream) {
    const bool tell = losses->untold.exchange(false);
    std::string commands;
    if (tell) commands = encode_command(publication("", ""));
    commands += encode_command({"SUBSCRIBE", channel});
    stream.expires_after(stream.options().command_deadline);
    auto writing = stream.write(commands);
    const auto written = co_await std::move(writing);
    ErrorCode error = written ? ErrorCode() : written.error();
    if (!error && tell) {
      auto telling = stream.read();
      const auto told = co_await std::move(telling);
      if (!told || !is_integer(*told)) error = told ? ErrorCode(RedisError::kProtocol) : told.error();
    }
    if (error) {
      if (tell) losses->untold = true;
      co_return error;
    }
    auto reading = stream.read();
    const auto reply = co_await std::move(reading);
    if (!reply) co_return reply.error();
    co_return is_push(*reply, "subscribe", 3) ? ErrorCode() : ErrorCode(RedisError::kProtocol);
  }

  asio::awaitable<ErrorCode> listen(RedisStream& stream) {
    bool asked = false;
    stream.expires_after(stream.options().idle_ping);
    for (;;) {
      auto reading = stream.read();
      const auto reply = co_await std::move(reading);
      if (!reply && (asked || reply.error() != net::TlsError::kTimedOut)) co_return reply.error();
      if (reply) {
        if (!take(*reply)) co_return RedisError::kProtocol;
        asked = false;
        stream.expires_after(stream.options().idle_ping);
        continue;
      }
      asked = true;
      stream.expires_after(stream.options().command_deadline);
      auto writing = stream.write(ping);
      const auto written = co_await std::move(writing);
      if (!written) co_return written.error();
    }
  }

  /// False: it is nothing that a subscriber is told.
  bool take(const RedisReply& reply) {
    if (is_push(reply, "pong", 2)) return true;
    if (!is_push(reply, "message", 3) || reply.elements[2].kind != Kind::kText) return false;
    const auto message = EventMessage::parse(reply.elements[2].text);
    if (!message)
      ++malformed;
    else if (message->origin == origin)
      return true;
    else if (message->is_resync())
      dispatcher.push_resync();
    else
      dispatcher.push(std::string(message->topic), std::string(message->payload));
    return true;
  }

  RedisConnection& redis;
  const std::string channel;
  const std::string origin;
  const std::string ping = encode_command({"PING"});
  const std::shared_ptr<Losses> losses = std::make_shared<Losses>();
  std::atomic<bool> hearing = false;
  std::atomic<std::uint64_t> malformed = 0;
  EventDispatcher dispatcher;
  RedisLink link;
};

RedisEventBus::RedisEventBus(RedisConnection& redis, RedisOptions options, const std::string& prefix,
                             RandomSource& random)
    : impl_(std::make_unique<Impl>(redis, std::move(options), prefix, random)) {
  impl_->link.start();
}
RedisEventBus::~RedisEventBus() = default;

Result<void> RedisEventBus::publish(const std::string& topic, const std::string& payload) {
  const auto checked = check_event(topic, payload);
  if (!checked) return checked;
  impl_->dispatcher.push(topic, payload);
  // Before the event, so that whoever reads the truth again then misses nothing that is older.
  if (impl_->losses->untold.exchange(false)) impl_->send("", "");
  impl_->send(topic, payload);
  return {};
}

std::unique_ptr<EventSubscription> RedisEventBus::subscribe(EventHandlers handlers) {
  return impl_->dispatcher.subscribe(std::move(handlers));
}

EventStats RedisEventBus::stats() const {
  EventStats stats;
  stats.connected = impl_->hearing;
  stats.dropped = impl_->dispatcher.dropped();
  stats.lost = impl_->losses->count;
  stats.malformed = impl_->malformed;
  return stats;
}

}  // namespace higgs::boson
