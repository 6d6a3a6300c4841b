#include "bosonserver/cache/redis_stream.h"

#include <utility>

#include <boost/asio/error.hpp>

namespace higgs::boson {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;

}  // namespace

RedisStream::RedisStream(asio::any_io_executor executor, const RedisOptions& options, const net::TlsContext* tls)
    : executor_(std::move(executor)), options_(options), tls_(tls), reader_(options.replies), buffer_(kReadBytes) {}

asio::awaitable<Result<std::vector<IpAddress>>> RedisStream::addresses() {
  if (const auto literal = IpAddress::parse(options_.url.host)) co_return std::vector<IpAddress>{*literal};
  auto resolving = net::resolve_host(executor_, options_.url.host, options_.connect_deadline, cancel_);
  co_return co_await std::move(resolving);
}

asio::awaitable<Result<void>> RedisStream::connect() {
  auto looking_up = addresses();
  const auto found = co_await std::move(looking_up);
  if (!found) co_return found.error();
  std::vector<Endpoint> endpoints;
  for (const auto& address : net::interleave_families(*found)) endpoints.push_back({address, options_.url.port});
  auto connecting = net::connect_any(executor_, std::move(endpoints), std::nullopt, options_.connect_deadline, cancel_);
  auto socket = co_await std::move(connecting);
  if (!socket) co_return socket.error();
  if (tls_ != nullptr)
    stream_.emplace(std::move(*socket), *tls_);
  else
    stream_.emplace(std::move(*socket));
  stream_->expires_after(options_.connect_deadline);
  auto shaking_hands = stream_->connect(options_.url.host);
  co_return co_await std::move(shaking_hands);
}

/// In one go: Redis answers in order, and each answer says which step it refuses.
asio::awaitable<Result<void>> RedisStream::greet() {
  const auto& url = options_.url;
  std::string commands;
  std::size_t answers = 1;
  if (!url.user.empty() || !url.password.empty()) {
    std::vector<std::string> login{"AUTH"};
    if (!url.user.empty()) login.push_back(url.user);
    login.emplace_back(url.password.reveal());
    commands += encode_command(login);
    secure_wipe(std::as_writable_bytes(std::span(login.back().data(), login.back().size())));
    ++answers;
  }
  if (url.database != 0) {
    commands += encode_command({"SELECT", std::to_string(url.database)});
    ++answers;
  }
  commands += encode_command({"PING"});
  stream_->expires_after(options_.connect_deadline);
  auto writing = stream_->write_all(as_bytes(commands));
  const auto written = co_await std::move(writing);
  secure_wipe(std::as_writable_bytes(std::span(commands.data(), commands.size())));
  if (!written) co_return written;
  for (std::size_t i = 0; i < answers; ++i) {
    auto reading = read();
    const auto reply = co_await std::move(reading);
    if (!reply) co_return reply.error();
    const bool last = i + 1 == answers;
    // Redis that still loads its data answers the last with an error, but has nothing against us.
    if (reply->kind == RedisReply::Kind::kError && last && !reply->text.starts_with("NOAUTH"))
      co_return RedisError::kRefused;
    if (reply->kind == RedisReply::Kind::kError) co_return RedisError::kLogin;
    if (!is_status(*reply)) co_return RedisError::kProtocol;
  }
  stream_->expires_never();
  co_return boost::system::in_place_value;
}

asio::awaitable<Result<void>> RedisStream::open() {
  auto connecting = connect();
  const auto connected = co_await std::move(connecting);
  if (!connected) co_return connected;
  auto greeting = greet();
  co_return co_await std::move(greeting);
}

asio::awaitable<Result<RedisReply>> RedisStream::read() {
  for (;;) {
    auto reply = reader_.next();
    if (!reply) co_return reply.error();
    if (*reply) co_return std::move(**reply);
    const auto count = co_await stream_->read_some(buffer_);
    if (!count) co_return count.error();
    reader_.put(ByteView(buffer_).first(*count));
  }
}

asio::awaitable<Result<void>> RedisStream::write(std::string_view commands) {
  co_return co_await stream_->write_all(as_bytes(commands));
}

void RedisStream::close() noexcept {
  cancel_.cancel();
  if (stream_) stream_->abort();
}

}  // namespace higgs::boson
