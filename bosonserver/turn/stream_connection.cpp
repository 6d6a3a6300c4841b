#include "bosonserver/turn/stream_connection.h"

#include <utility>

#include <sys/epoll.h>

namespace higgs::boson {

namespace {
/// RFC 8656, section 12.5: the longest ChannelData; RFC 8489, section 5: the longest STUN message.
constexpr std::size_t kMaxMessageBytes = 65536 + 20;
constexpr std::size_t kMaxWaitingBytes = 256 * 1024;
constexpr std::size_t kStreamReadBytes = 16 * 1024;
/// Reads a turn, so that one fast sender does not keep the loop from the others.
constexpr int kReadsPerTurn = 16;
}  // namespace

StreamConnection::StreamConnection(net::TlsSocket socket, const turn::FiveTuple& client, net::EventLoop& loop,
                                   Owner& owner)
    : socket_(std::move(socket)), client_(client), loop_(loop), owner_(owner) {
  watched_ = EPOLLIN;
  loop_.add(socket_.fd(), watched_, *this);
}

StreamConnection::~StreamConnection() {
  if (!ended_) loop_.remove(socket_.fd());
}

void StreamConnection::end() {
  if (std::exchange(ended_, true)) return;
  loop_.remove(socket_.fd());
  socket_.shutdown();
  owner_.connection_ended(client_);
}

void StreamConnection::on_events(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    if (read_wants_write_) on_readable();
    if (!ended_) flush();
  }
  if (!ended_ && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) on_readable();
}

void StreamConnection::on_readable() {
  ByteArray<kStreamReadBytes> buffer;
  read_wants_write_ = false;
  for (int i = 0; i < kReadsPerTurn && !ended_; ++i) {
    const auto count = socket_.read(buffer);
    if (count) {
      take(ByteView(buffer).first(*count));
      continue;
    }
    read_wants_write_ = count.error() == net::TlsError::kWantWrite;
    if (count.error() != net::TlsError::kWantRead && !read_wants_write_) return end();
    return watch();
  }
  if (!ended_ && socket_.pending()) owner_.connection_has_more(client_);
}

void StreamConnection::take(ByteView bytes) {
  if (input_.empty()) {
    if (cut(bytes)) input_.assign(bytes.begin(), bytes.end());
    return;
  }
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  ByteView all = input_;
  if (cut(all)) input_.erase(input_.begin(), input_.end() - static_cast<std::ptrdiff_t>(all.size()));
}

/// Hands on the whole messages at the front; what is left begins one that is not whole. False: the connection ended.
bool StreamConnection::cut(ByteView& bytes) {
  for (;;) {
    const auto size = turn::stream_message_bytes(bytes);
    if (!size || *size > kMaxMessageBytes) {
      end();
      return false;
    }
    if (*size == 0 || *size > bytes.size()) return true;
    if (!owner_.connection_message(client_, bytes.first(*size))) end();
    if (ended_) return false;
    bytes = bytes.subspan(*size);
  }
}

bool StreamConnection::send(ByteView message) {
  if (ended_ || output_.size() + message.size() > kMaxWaitingBytes) return false;
  if (output_.empty()) {
    const auto taken = socket_.write(message);
    if (!taken && taken.error() != net::TlsError::kWantRead && taken.error() != net::TlsError::kWantWrite) {
      end();
      return false;
    }
    message = message.subspan(taken ? *taken : 0);
    if (message.empty()) return true;
  }
  output_.insert(output_.end(), message.begin(), message.end());
  watch();
  return true;
}

void StreamConnection::flush() {
  while (!output_.empty()) {
    const auto taken = socket_.write(output_);
    if (taken) {
      output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(*taken));
      continue;
    }
    if (taken.error() != net::TlsError::kWantRead && taken.error() != net::TlsError::kWantWrite) return end();
    break;
  }
  watch();
}

void StreamConnection::watch() {
  if (ended_) return;
  const std::uint32_t wanted = EPOLLIN | (output_.empty() && !read_wants_write_ ? 0u : std::uint32_t{EPOLLOUT});
  if (wanted == watched_) return;
  watched_ = wanted;
  loop_.modify(socket_.fd(), watched_);
}

}  // namespace higgs::boson
