#include "net/websocket_connection.h"

#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/testing/loop_thread.h"
#include "net/testing/socket_pair.h"
#include "net/websocket_frame.h"

namespace higgs::net {
namespace {

using std::chrono::milliseconds;
using testing::LoopThread;
using testing::make_socket_pair;
using Role = WebSocketConnection::Role;

/// Keeps what it is told; the hooks let a test act inside a callback.
struct Recorder : WebSocketConnection::Handler {
  void on_binary(MutableBytes message) override {
    binary_bytes += message.size();
    if (binary.size() < 1000) binary.emplace_back(message.begin(), message.end());
    if (at_binary) at_binary(message);
  }
  void on_text(std::string_view message) override { text.emplace_back(message); }
  void on_pong(ByteView payload) override {
    pongs.emplace_back(as_text(payload));
    if (at_pong) at_pong();
  }
  void on_writable() override {
    ++writable;
    if (at_writable) at_writable();
  }
  void on_closed(std::uint16_t code, std::string_view reason) override {
    ++closed;
    close_code = code;
    close_reason = reason;
    if (at_closed) at_closed();
  }
  std::vector<Bytes> binary;
  std::size_t binary_bytes = 0;
  std::vector<std::string> text, pongs;
  int writable = 0, closed = 0;
  int close_code = 0;
  std::string close_reason;
  std::function<void(MutableBytes)> at_binary;
  std::function<void()> at_pong, at_writable, at_closed;
};

bool send(WebSocketConnection& connection, ByteView message) {
  const ByteView parts[] = {message.first(message.size() / 2), message.subspan(message.size() / 2)};
  return connection.send_binary(parts);
}

Bytes pattern(std::size_t size, unsigned seed = 0) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251 + seed);
  return bytes;
}

class WebSocketTest : public ::testing::TestWithParam<bool> {
 protected:
  void connect(WebSocketLimits limits = {}) {
    auto pair = make_socket_pair(GetParam());
    thread_.call([&] {
      client_ =
          std::make_unique<WebSocketConnection>(Role::kClient, UpgradedSocket{std::move(pair.client), {}}, limits);
      server_ =
          std::make_unique<WebSocketConnection>(Role::kServer, UpgradedSocket{std::move(pair.server), {}}, limits);
      client_->start(thread_.loop(), at_client_);
      server_->start(thread_.loop(), at_server_);
    });
  }
  void TearDown() override {
    thread_.call([this] {
      client_.reset();
      server_.reset();
    });
  }
  Recorder at_client_, at_server_;
  LoopThread thread_;
  std::unique_ptr<WebSocketConnection> client_, server_;
};

INSTANTIATE_TEST_SUITE_P(Plain, WebSocketTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, WebSocketTest, ::testing::Values(true));

TEST_P(WebSocketTest, MessagesOfEverySizeBothWays) {
  connect();
  const std::size_t sizes[] = {0, 1, 125, 126, 1500, 16384, 65535, 65536};
  for (std::size_t round = 0; round < 3; ++round) {
    thread_.call([&] {
      for (const std::size_t size : sizes) {
        EXPECT_TRUE(send(*client_, pattern(size, static_cast<unsigned>(round))));
        EXPECT_TRUE(send(*server_, pattern(size, static_cast<unsigned>(round))));
      }
      EXPECT_TRUE(client_->send_text("t\xc3\xa9xt"));
      EXPECT_TRUE(client_->send_ping(as_bytes("are you there")));
    });
    thread_.wait([&] {
      return at_server_.binary.size() == std::size(sizes) * (round + 1) && at_server_.text.size() == round + 1 &&
             at_client_.binary.size() == std::size(sizes) * (round + 1) && at_client_.pongs.size() == round + 1;
    });
  }
  thread_.call([&] {
    for (std::size_t i = 0; i < at_server_.binary.size(); ++i) {
      const auto expected = pattern(sizes[i % std::size(sizes)], static_cast<unsigned>(i / std::size(sizes)));
      EXPECT_TRUE(at_server_.binary[i] == expected) << i;
      EXPECT_TRUE(at_client_.binary[i] == expected) << i;
    }
    EXPECT_EQ(at_server_.text[0], "t\xc3\xa9xt");
    EXPECT_EQ(at_client_.pongs[0], "are you there");
    EXPECT_EQ(client_->unsent_bytes(), 0u);
    EXPECT_EQ(server_->stats().received_messages, 3 * std::size(sizes) + 3);
    EXPECT_EQ(client_->stats().sent_bytes, server_->stats().received_bytes);
  });
}

TEST_P(WebSocketTest, FloodIsBoundedAndOnWritableFollows) {
  connect();
  const Bytes message = pattern(65536);
  constexpr std::size_t kMessages = 500;
  std::size_t sent = 0, most = 0;
  const auto fill = [&] {
    while (sent < kMessages && client_->can_send()) {
      EXPECT_TRUE(send(*client_, message));
      ++sent;
      most = std::max(most, client_->unsent_bytes());
    }
  };
  at_client_.at_writable = fill;
  thread_.call(fill);
  thread_.wait([&] { return at_server_.binary_bytes == kMessages * message.size(); });
  thread_.call([&] {
    EXPECT_GT(at_client_.writable, 10);
    EXPECT_LE(most, 128 * 1024 + message.size() + 14);
    EXPECT_TRUE(at_server_.binary.back() == message);
  });
}

TEST_P(WebSocketTest, HardLimitRefusesBinaryAndEndsOnText) {
  connect({.unsent_hard_bytes = 200'000, .linger = milliseconds(10'000)});
  thread_.call([&] {
    const Bytes message = pattern(60'000);
    EXPECT_TRUE(send(*client_, message));
    EXPECT_TRUE(send(*client_, message));
    EXPECT_TRUE(send(*client_, message));
    EXPECT_FALSE(client_->can_send());
    EXPECT_FALSE(send(*client_, message));
    EXPECT_EQ(client_->stats().refused_sends, 1u);
    EXPECT_FALSE(client_->send_text(std::string(30'000, 'x')));
    EXPECT_FALSE(send(*client_, {}));  // closing
  });
  thread_.wait([&] { return at_client_.closed == 1 && at_server_.closed == 1; });
  EXPECT_EQ(at_server_.close_code, 1008);
  EXPECT_EQ(at_server_.binary.size(), 3u);
}

TEST_P(WebSocketTest, CloseIsAnsweredAndToldOnceOnBothSides) {
  connect();
  thread_.call([&] {
    send(*server_, as_bytes("before"));
    server_->close(4001, "replaced");
    EXPECT_FALSE(server_->can_send());
    EXPECT_FALSE(send(*server_, as_bytes("after")));
    server_->close(1000, "again");
  });
  thread_.wait([&] { return at_client_.closed == 1 && at_server_.closed == 1; });
  EXPECT_EQ(at_client_.binary.size(), 1u);
  EXPECT_EQ(at_client_.close_code, 4001);
  EXPECT_EQ(at_client_.close_reason, "replaced");
  EXPECT_EQ(at_server_.close_code, 4001);
  thread_.call([&] {
    EXPECT_EQ(client_->fd(), -1);
    EXPECT_FALSE(send(*client_, as_bytes("x")));
    client_->close(1000, "");
    client_->abort();
  });
  EXPECT_EQ(at_client_.closed, 1);
}

TEST_P(WebSocketTest, BothCloseAtOnce) {
  connect();
  thread_.call([&] {
    client_->close(1000, "mine");
    server_->close(1001, "yours");
  });
  thread_.wait([&] { return at_client_.closed == 1 && at_server_.closed == 1; });
  EXPECT_EQ(at_client_.close_code, 1001);
  EXPECT_EQ(at_server_.close_code, 1000);
}

TEST_P(WebSocketTest, PeerThatNeverAnswersTheCloseIsLeftAfterLinger) {
  auto pair = make_socket_pair(GetParam());
  thread_.call([&] {
    server_ = std::make_unique<WebSocketConnection>(Role::kServer, UpgradedSocket{std::move(pair.server), {}},
                                                    WebSocketLimits{.linger = milliseconds(20)});
    server_->start(thread_.loop(), at_server_);
    server_->close(1001, "going away");
  });
  thread_.wait([&] { return at_server_.closed == 1; });
  EXPECT_EQ(at_server_.close_code, 1006);
}

TEST_P(WebSocketTest, PeerThatVanishesIs1006) {
  connect();
  thread_.call([&] {
    send(*client_, as_bytes("x"));
    client_.reset();  // without a word
  });
  thread_.wait([&] { return at_server_.closed == 1; });
  EXPECT_EQ(at_server_.close_code, 1006);
  EXPECT_EQ(at_client_.closed, 0);
}

TEST_P(WebSocketTest, OwnerMayDestroyOrAbortInsideCallbacks) {
  connect();
  at_client_.at_pong = [&] { client_.reset(); };
  at_server_.at_closed = [&] { server_.reset(); };
  thread_.call([&] {
    client_->send_ping(as_bytes("x"));
    send(*server_, pattern(100));
  });
  thread_.wait([&] { return !client_ && !server_; });
  EXPECT_EQ(at_server_.close_code, 1006);

  connect({.unsent_bytes = 1});
  at_server_.at_binary = [&](MutableBytes message) {
    message[0] = std::byte{1};
    server_->abort();
    message[1] = std::byte{2};  // the message is still there
  };
  at_client_.at_writable = [&] { client_.reset(); };
  const int closed_before = at_server_.closed;
  thread_.call([&] {
    send(*client_, pattern(5000));
    send(*client_, pattern(5000));
  });
  thread_.wait([&] { return !client_ && server_->fd() == -1; });
  EXPECT_EQ(at_server_.closed, closed_before);
}

TEST_P(WebSocketTest, SendInsideOnBinaryIsAnEcho) {
  connect();
  at_server_.at_binary = [&](MutableBytes message) { EXPECT_TRUE(send(*server_, message)); };
  thread_.call([&] {
    for (unsigned i = 0; i < 20; ++i) send(*client_, pattern(20'000, i));
  });
  thread_.wait([&] { return at_client_.binary.size() == 20; });
  for (unsigned i = 0; i < 20; ++i) EXPECT_TRUE(at_client_.binary[i] == pattern(20'000, i));
}

TEST_P(WebSocketTest, WhatCameBehindTheHeadIsNotLost) {
  auto pair = make_socket_pair(GetParam());
  // A whole message and the start of one are behind the head; the rest of it waits in the socket (and in OpenSSL).
  Bytes stream(kFrameHeaderBytes);
  const MaskKey key = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  stream.resize(write_frame_header(stream.data(), WebSocketOpcode::kBinary, 3, key));
  for (const int c : {'a' ^ 1, 'b' ^ 2, 'c' ^ 3}) stream.push_back(static_cast<std::byte>(c));
  const Bytes twice = [&] {
    Bytes b = stream;
    b.insert(b.end(), stream.begin(), stream.end());
    return b;
  }();
  ASSERT_TRUE(pair.client.write(ByteView(twice).subspan(stream.size() + 2)));
  UpgradedSocket upgraded{std::move(pair.server), to_bytes(ByteView(twice).first(stream.size() + 2))};
  thread_.call([&] {
    server_ = std::make_unique<WebSocketConnection>(Role::kServer, std::move(upgraded));
    server_->start(thread_.loop(), at_server_);
    EXPECT_TRUE(at_server_.binary.empty());  // never inside start()
  });
  thread_.wait([&] { return at_server_.binary.size() == 2; });
  EXPECT_EQ(as_text(at_server_.binary[1]), "abc");
}

TEST_P(WebSocketTest, WhatCameBehindTheHeadIsTakenThoughTheSocketIsSilent) {
  auto pair = make_socket_pair(GetParam());
  Bytes stream(kFrameHeaderBytes);
  stream.resize(write_frame_header(stream.data(), WebSocketOpcode::kBinary, 1, MaskKey{}));
  stream.push_back(std::byte{'a'});
  thread_.call([&] {
    UpgradedSocket upgraded{std::move(pair.server), stream};
    server_ = std::make_unique<WebSocketConnection>(Role::kServer, std::move(upgraded));
    server_->start(thread_.loop(), at_server_);
  });
  thread_.wait([&] { return at_server_.binary.size() == 1; });
}

/// A peer that writes what it likes.
class HostilePeerTest : public WebSocketTest {
 protected:
  void start(WebSocketLimits limits = {}) {
    auto pair = make_socket_pair(GetParam());
    peer_ = std::move(pair.client);
    thread_.call([&] {
      server_ =
          std::make_unique<WebSocketConnection>(Role::kServer, UpgradedSocket{std::move(pair.server), {}}, limits);
      server_->start(thread_.loop(), at_server_);
    });
  }
  /// False: the connection is broken.
  bool write(ByteView bytes) {
    while (!bytes.empty()) {
      const auto count = peer_.write(bytes);
      if (count)
        bytes = bytes.subspan(*count);
      else if (count.error() != TlsError::kWantWrite)
        return false;
    }
    return true;
  }
  /// Everything up to the end of the stream.
  Bytes read_all() {
    Bytes all;
    Bytes buffer(4096);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      const auto count = peer_.read(buffer);
      if (count)
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*count));
      else if (count.error() != TlsError::kWantRead)
        return all;
      else
        std::this_thread::yield();
    }
    ADD_FAILURE() << "the connection did not end";
    return all;
  }
  static Bytes masked(int first_byte, std::string_view payload) {
    Bytes out(kFrameHeaderBytes);
    out.resize(write_frame_header(out.data(), WebSocketOpcode::kBinary, payload.size(), MaskKey{}));
    out[0] = static_cast<std::byte>(first_byte);
    out.insert(out.end(), as_bytes(payload).begin(), as_bytes(payload).end());
    return out;
  }
  TlsSocket peer_;
};

INSTANTIATE_TEST_SUITE_P(Plain, HostilePeerTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HostilePeerTest, ::testing::Values(true));

TEST_P(HostilePeerTest, FaultIsAnsweredWithItsCodeAndTheEnd) {
  const struct {
    Bytes bytes;
    int code;
  } cases[] = {{masked(0x82, std::string(65'537, 'x')), 1009},
               {masked(0x81, "\xff"), 1007},
               {masked(0x83, "x"), 1002},
               {to_bytes(as_bytes("\x82\x01x")), 1002}};
  for (const auto& one : cases) {
    at_server_ = Recorder();
    start();
    ASSERT_TRUE(write(one.bytes));
    Bytes expected = {std::byte{0x88}, std::byte{2}, std::byte{}, std::byte{}};
    store_be(expected.data() + 2, static_cast<std::uint16_t>(one.code));
    EXPECT_EQ(read_all(), expected);
    peer_ = TlsSocket();
    thread_.wait([&] { return at_server_.closed == 1; });
    EXPECT_EQ(at_server_.close_code, one.code);
    EXPECT_TRUE(at_server_.binary.empty() && at_server_.text.empty());
    thread_.call([&] { server_.reset(); });
  }
}

TEST_P(HostilePeerTest, OneThatTalksOnAfterItsFaultIsCutOff) {
  start({.linger = milliseconds(100)});
  ASSERT_TRUE(write(masked(0x83, "x")));
  const Bytes more = masked(0x82, std::string(60'000, 'x'));
  while (write(more)) {
  }
  thread_.wait([&] { return at_server_.closed == 1; });
  EXPECT_EQ(at_server_.close_code, 1002);
}

TEST_P(HostilePeerTest, DrippedAndFragmentedBytesMakeWholeMessages) {
  start();
  Bytes stream = masked(0x02, std::string(20'000, 'a'));
  for (const auto& part : {masked(0x89, "ping"), masked(0x00, std::string(20'000, 'b')), masked(0x80, "c")})
    stream.insert(stream.end(), part.begin(), part.end());
  for (std::size_t at = 0; at < stream.size(); at += 997)
    ASSERT_TRUE(write(ByteView(stream).subspan(at, std::min<std::size_t>(997, stream.size() - at))));
  thread_.wait([&] { return at_server_.binary.size() == 1; });
  EXPECT_EQ(as_text(at_server_.binary[0]), std::string(20'000, 'a') + std::string(20'000, 'b') + "c");
}

TEST_P(HostilePeerTest, PingFloodFromOneWhoNeverReadsStaysBounded) {
  start();
  Bytes pings;
  for (int i = 0; i < 500; ++i) {
    const auto ping = masked(0x89, std::string(125, 'p'));
    pings.insert(pings.end(), ping.begin(), ping.end());
  }
  // 32 MB of pings: far more than the sockets and the limit hold of pongs.
  std::size_t most = 0;
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(write(pings));
    if (i % 50 == 0) most = std::max(most, thread_.call([&] { return server_->unsent_bytes(); }));
  }
  ASSERT_TRUE(write(masked(0x82, "last")));
  thread_.wait([&] { return at_server_.binary.size() == 1; });
  most = std::max(most, thread_.call([&] { return server_->unsent_bytes(); }));
  EXPECT_GT(most, 100'000u);
  EXPECT_LT(most, 128 * 1024 + 200);
}

TEST_P(HostilePeerTest, HalfOpenPeerIsToldByTheSocketAndItsLastWordsAreHeard) {
  start();
  ASSERT_TRUE(write(masked(0x82, "last words")));
  peer_.shutdown();
  thread_.wait([&] { return at_server_.closed == 1; });
  EXPECT_EQ(at_server_.binary.size(), 1u);
  EXPECT_EQ(at_server_.close_code, 1006);
}

TEST_P(HostilePeerTest, CloseWithTheStreamEndedBehindItIsAClose) {
  start();
  ASSERT_TRUE(write(masked(0x88, std::string("\x0f\xa1", 2) + "replaced")));
  peer_.shutdown();
  const Bytes answer = read_all();
  EXPECT_EQ(answer, (Bytes{std::byte{0x88}, std::byte{2}, std::byte{0x0f}, std::byte{0xa1}}));
  thread_.wait([&] { return at_server_.closed == 1; });
  EXPECT_EQ(at_server_.close_code, 4001);
  EXPECT_EQ(at_server_.close_reason, "replaced");
}

}  // namespace
}  // namespace higgs::net
