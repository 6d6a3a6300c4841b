#include "net/websocket_impl.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/random.h"

namespace higgs::net {

namespace {

/// Read from one connection before the others get their turn.
constexpr std::size_t kReadBudgetBytes = 256 * 1024;
/// RFC 8446, 5.1: a record. There is always room to read a whole one.
constexpr std::size_t kTlsRecordBytes = 16 * 1024;
/// A shorter start of a frame moves to memory of its own size; for a longer one the whole buffer is kept.
constexpr std::size_t kStashBytes = 16 * 1024;
/// Read and dropped, after the last word, from a peer that goes on talking.
constexpr std::size_t kDiscardBytes = 4 * 1024 * 1024;
constexpr std::size_t kMaskKeysAtOnce = 64;

}  // namespace

class WebSocketConnection::Impl::Watch {
 public:
  explicit Watch(Impl& impl) : impl_(impl), outer_(std::exchange(impl.destroyed_, &destroyed_)) {}
  ~Watch() {
    if (!destroyed_)
      impl_.destroyed_ = outer_;
    else if (outer_ != nullptr)
      *outer_ = true;
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  bool gone() const noexcept { return destroyed_; }

 private:
  Impl& impl_;
  bool* outer_;
  bool destroyed_ = false;
};

WebSocketConnection::Impl::Impl(Role r, UpgradedSocket s, WebSocketLimits l)
    : socket(std::move(s.socket)),
      limits(l),
      role_(r),
      leftover_(std::move(s.leftover)),
      reader_(r == Role::kServer, {.message_bytes = l.message_bytes, .text_bytes = l.text_bytes}) {}

WebSocketConnection::Impl::~Impl() {
  end();
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (received_) ChunkPool::of_this_thread().give_back(std::move(received_));
}

void WebSocketConnection::Impl::start(EventLoop& loop, Handler& handler, FdHandler& events) {
  HIGGS_ASSERT(state == State::kIdle && socket.fd() >= 0);
  loop_ = &loop;
  handler_ = &handler;
  events_ = &events;
  state = State::kOpen;
  flush_list_ = FlushList::of(loop);
  const int one = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  set_low_water(limits.notsent_low_water_bytes);
  stats.last_received = loop.now().monotonic;
  loop.add(socket.fd(), EPOLLIN, events);
  if (!unsent.empty()) flush_list_->add(*this);
  // What came behind the HTTP head, and what OpenSSL holds already, epoll does not tell of.
  if (!leftover_.empty() || socket.pending()) read_soon();
}

void WebSocketConnection::Impl::read_soon() {
  loop_->post([this, weak = std::weak_ptr<int>(alive_)] {
    if (!weak.expired()) on_events(EPOLLIN);
  });
}

void WebSocketConnection::Impl::set_low_water(std::size_t bytes) noexcept {
  const int value = static_cast<int>(std::min<std::size_t>(bytes, 1U << 30));
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof(value));
}

void WebSocketConnection::Impl::on_events(std::uint32_t events) {
  const Watch watch(*this);
  if ((events & EPOLLOUT) != 0) flush();
  if (watch.gone() || state == State::kDone) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_ready();
}

// Reading

void WebSocketConnection::Impl::read_ready() {
  if (reading_) return;
  const Watch watch(*this);
  reading_ = true;
  std::size_t budget = kReadBudgetBytes;
  bool more = true;
  while (more && state != State::kDone) {
    if (state == State::kLastWord) {
      flush();  // before the end of the peer's stream is met
      if (!watch.gone() && state != State::kDone) discard_input();
      more = false;
    } else {
      more = read_once(budget);
    }
    if (watch.gone()) return;
  }
  reading_ = false;
  put_away();
}

void WebSocketConnection::Impl::append_received(Bytes& earlier) {
  if (earlier.empty()) return;
  std::memcpy(received_.room().data(), earlier.data(), earlier.size());
  received_.tail += earlier.size();
  Bytes().swap(earlier);
}

/// One read and what it completes. False: nothing more to be read now.
bool WebSocketConnection::Impl::read_once(std::size_t& budget) {
  if (!received_) {
    const std::size_t wanted = std::max(reader_.most_wanted() + kTlsRecordBytes, leftover_.size());
    received_ = ChunkPool::of_this_thread().take(wanted);
    append_received(stash_);
    if (!leftover_.empty()) {
      stats.received_bytes += leftover_.size();
      append_received(leftover_);
      return deliver_all();
    }
  }
  if (received_.room().size() < kTlsRecordBytes) received_.compact();
  const auto count = socket.read(received_.room());
  if (!count) {
    if (count.error() == TlsError::kWantRead) return false;
    if (count.error() == TlsError::kWantWrite) {
      arm(true);
      return false;
    }
    finish(1006, count.error() == TlsError::kClosed ? "the connection ended" : "TLS protocol violation");
    return false;
  }
  received_.tail += *count;
  stats.received_bytes += *count;
  stats.last_received = loop_->now().monotonic;
  budget -= std::min(budget, *count);
  if (!deliver_all()) return false;
  if (budget > 0) return true;
  if (socket.pending()) read_soon();
  return false;
}

/// False: reading is over (closed, destroyed).
bool WebSocketConnection::Impl::deliver_all() {
  const Watch watch(*this);
  while (received_.size() > 0) {
    const auto item = reader_.next(received_.filled());
    if (item.event == WebSocketReader::Event::kNeedMore) break;
    if (item.event == WebSocketReader::Event::kFault) {
      fail(item.code, "");
      return !watch.gone() && state != State::kDone;
    }
    if (!deliver(item) || watch.gone()) return false;
    if (state == State::kDone) return false;
    received_.head += item.used;
    if (state == State::kLastWord) return true;
  }
  if (received_.size() == 0) received_.head = received_.tail = 0;
  return true;
}

/// False: nothing may be touched any more.
bool WebSocketConnection::Impl::deliver(const WebSocketReader::Item& item) {
  using Event = WebSocketReader::Event;
  const Watch watch(*this);
  switch (item.event) {
    case Event::kBinary:
    case Event::kText:
      if (state != State::kOpen) break;  // closing: the close frame is all that is waited for
      ++stats.received_messages;
      if (item.event == Event::kBinary)
        handler_->on_binary(item.payload);
      else
        handler_->on_text(as_text(item.payload));
      break;
    case Event::kPing:
      answer_ping(item.payload);
      break;
    case Event::kPong:
      if (state == State::kOpen) handler_->on_pong(item.payload);
      break;
    case Event::kClose:
      on_close_frame(item);
      break;
    default:
      break;
  }
  return !watch.gone();
}

/// Between reads a connection holds no more than what a frame has begun with.
void WebSocketConnection::Impl::put_away() {
  if (!received_) return;
  if (received_.size() >= kStashBytes && state != State::kDone) return;
  if (state != State::kDone && received_.size() > 0) {
    const auto rest = received_.filled();
    stash_.assign(rest.begin(), rest.end());
  }
  ChunkPool::of_this_thread().give_back(std::move(received_));
  received_ = Chunk();
}

void WebSocketConnection::Impl::discard_input() {
  if (!received_) received_ = ChunkPool::of_this_thread().take();
  for (std::size_t total = 0; total < kDiscardBytes;) {
    received_.head = received_.tail = 0;
    const auto count = socket.read(received_.room());
    if (!count) {
      if (count.error() != TlsError::kWantRead && count.error() != TlsError::kWantWrite)
        finish(final_code_, std::move(final_reason_));
      return;
    }
    total += *count;
  }
  finish(final_code_, std::move(final_reason_));
}

void WebSocketConnection::Impl::answer_ping(ByteView payload) {
  // RFC 6455, 5.5.3: only the latest ping need be answered; a flood of them must not pile up here.
  if (unsent.size() >= limits.unsent_bytes) {
    late_pong_.emplace();
    std::copy(payload.begin(), payload.end(), late_pong_->first.begin());
    late_pong_->second = payload.size();
    return;
  }
  send(WebSocketOpcode::kPong, {&payload, 1}, limits.unsent_hard_bytes);
}

// Writing

MaskKey WebSocketConnection::Impl::fresh_mask() noexcept {
  // RFC 6455, 5.3: "derived from a strong source of entropy", a fresh one for each frame.
  thread_local std::array<MaskKey, kMaskKeysAtOnce> keys;
  thread_local std::size_t next = kMaskKeysAtOnce;
  if (next == kMaskKeysAtOnce) {
    SystemRandom().fill(std::as_writable_bytes(std::span(keys)));
    next = 0;
  }
  return keys[next++];
}

bool WebSocketConnection::Impl::send(WebSocketOpcode opcode, std::span<const ByteView> parts, std::size_t limit) {
  if (state != State::kOpen && state != State::kIdle) return false;
  std::size_t payload_bytes = 0;
  for (const auto part : parts) payload_bytes += part.size();
  if (unsent.size() + payload_bytes + kFrameHeaderBytes > limit) {
    ++stats.refused_sends;
    if (opcode == WebSocketOpcode::kText) close(1008, "too much is unsent");
    return false;
  }
  std::byte* const out = unsent.reserve(payload_bytes + kFrameHeaderBytes);
  const auto mask = role_ == Role::kClient ? std::optional<MaskKey>(fresh_mask()) : std::nullopt;
  std::size_t at = write_frame_header(out, opcode, payload_bytes, mask);
  const std::size_t begin = at;
  for (const auto part : parts) {
    if (part.empty()) continue;
    if (mask)
      copy_masked(out + at, part, *mask, at - begin);
    else
      std::memcpy(out + at, part.data(), part.size());
    at += part.size();
  }
  unsent.commit(at);
  if (opcode == WebSocketOpcode::kBinary || opcode == WebSocketOpcode::kText) ++stats.sent_messages;
  stats.sent_bytes += at;
  if (unsent.size() >= limits.unsent_bytes) over_limit_ = true;
  if (flush_list_ && !armed_) flush_list_->add(*this);
  return true;
}

void WebSocketConnection::Impl::flush() {
  if (state == State::kDone || state == State::kIdle) return;
  const auto written = unsent.write_to(socket);
  if (!written && written.error() != TlsError::kWantWrite && written.error() != TlsError::kWantRead)
    return write_failed();
  arm(!written);
  if (state == State::kLastWord && unsent.empty() && !half_closed_) {
    half_closed_ = true;
    socket.shutdown();
    if (!wait_for_peer_) finish(final_code_, std::move(final_reason_));
    return;
  }
  if (state != State::kOpen || unsent.size() >= limits.unsent_bytes) return;
  if (late_pong_) {
    const ByteView payload = ByteView(late_pong_->first).first(late_pong_->second);
    send(WebSocketOpcode::kPong, {&payload, 1}, limits.unsent_hard_bytes);
    late_pong_.reset();
  }
  if (!std::exchange(over_limit_, false)) return;
  handler_->on_writable();
}

void WebSocketConnection::Impl::write_failed() {
  const Watch watch(*this);
  // A peer that has closed may have said why: its last frames can still be read.
  if (state != State::kLastWord && !reading_) read_ready();
  if (watch.gone() || state == State::kDone) return;
  if (state == State::kLastWord)
    finish(final_code_, std::move(final_reason_));
  else
    finish(1006, "the connection ended");
}

void WebSocketConnection::Impl::arm(bool writable) {
  if (armed_ == writable) return;
  armed_ = writable;
  const std::uint32_t events = writable ? static_cast<std::uint32_t>(EPOLLIN) | EPOLLOUT : EPOLLIN;
  loop_->modify(socket.fd(), events);
}

// Closing

void WebSocketConnection::Impl::send_close(std::uint16_t code, std::string_view reason) {
  ByteArray<2> number;
  store_be(number.data(), code);
  const ByteView parts[] = {number, as_bytes(fitting_reason(reason))};
  const bool given = code != 1005;  // RFC 6455, 7.4.1: 1005 "MUST NOT be set as a status code in a Close control frame"
  send(WebSocketOpcode::kClose, given ? std::span(parts) : std::span(parts).first(0), SIZE_MAX);
}

void WebSocketConnection::Impl::linger() {
  if (linger_timer_ != 0) return;
  linger_timer_ = loop_->after(limits.linger, [this] {
    linger_timer_ = 0;
    if (state == State::kLastWord)
      finish(final_code_, std::move(final_reason_));
    else
      finish(1006, "no answer to the close");
  });
}

void WebSocketConnection::Impl::close(std::uint16_t code, std::string_view reason) {
  if (state != State::kOpen) return;
  send_close(code, reason);
  state = State::kClosing;
  linger();
}

void WebSocketConnection::Impl::on_close_frame(const WebSocketReader::Item& item) {
  const std::string reason(as_text(item.payload));
  if (state == State::kClosing) {
    finish(item.code, reason);
    return;
  }
  last_word(item.code, "", false);
  final_reason_ = reason;
}

void WebSocketConnection::Impl::fail(std::uint16_t code, std::string_view reason) {
  if (state == State::kOpen) {
    last_word(code, reason, true);
  } else {
    finish(code, std::string(reason));
  }
}

void WebSocketConnection::Impl::last_word(std::uint16_t code, std::string_view reason, bool wait_for_peer) {
  send_close(code, reason);
  state = State::kLastWord;
  final_code_ = code;
  final_reason_ = reason;
  wait_for_peer_ = wait_for_peer;
  linger();
}

void WebSocketConnection::Impl::end() noexcept {
  if (state == State::kDone) return;
  state = State::kDone;
  if (flush_list_) flush_list_->remove(*this);
  if (loop_ != nullptr) {
    loop_->remove(socket.fd());
    loop_->cancel(linger_timer_);
  }
  alive_.reset();
  unsent.clear();
  const Endpoint remote = socket.remote();
  socket = TlsSocket(-1, nullptr, remote);
}

void WebSocketConnection::Impl::finish(std::uint16_t code, std::string reason) {
  if (state == State::kDone) return;
  end();
  // The handler may destroy this: what it is told must not lie in here.
  const std::string told = std::move(reason);
  handler_->on_closed(code, told);
}

}  // namespace higgs::net
