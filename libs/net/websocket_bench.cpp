// What a WebSocket over TLS costs on the loopback: processor time per 1,452 B packet, throughput, and memory of a
// connection that is silent.
//
//   net_bench [--seconds S]        one line of JSON per measurement
#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/testing/loop_thread.h"
#include "net/testing/socket_pair.h"
#include "net/websocket_connection.h"

namespace higgs::net {
namespace {

using testing::LoopThread;
using testing::make_socket_pair;
using Role = WebSocketConnection::Role;

constexpr double kPacketBytes = 1452;
constexpr std::size_t kIdleConnections = 1000;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Sink : WebSocketConnection::Handler {
  void on_binary(MutableBytes message) override {
    received.fetch_add(message.size(), std::memory_order_relaxed);
    if (next == nullptr) return;
    const ByteView part = message;
    if (next->can_send()) next->send_binary({&part, 1});
  }
  void on_text(std::string_view) override {}
  void on_pong(ByteView) override {}
  void on_writable() override {}
  void on_closed(std::uint16_t, std::string_view) override {}
  std::atomic<std::uint64_t> received{0};
  WebSocketConnection* next = nullptr;  ///< the relay's other side
};

struct Source : Sink {
  void on_writable() override { fill(); }
  void fill() {
    const ByteView part = message;
    while (connection->can_send()) connection->send_binary({&part, 1});
  }
  WebSocketConnection* connection = nullptr;
  Bytes message;
};

struct Figures {
  double gbit_s, ns_per_packet;
};

template <class F>
Figures measure(double seconds, const Sink& sink, F warm_up) {
  warm_up();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto bytes = sink.received.load();
  const double cpu = cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double moved = static_cast<double>(sink.received.load() - bytes);
  return {moved * 8 / took / 1e9, (cpu_seconds() - cpu) * 1e9 / (moved / kPacketBytes)};
}

void report(const char* what, const Figures& figures) {
  std::printf(R"({"what":"%s","gbit_s":%.2f,"cpu_ns_per_1452_bytes":%.0f})"
              "\n",
              what, figures.gbit_s, figures.ns_per_packet);
  std::fflush(stdout);
}

/// `other` is the loop of the receiving end: another thread's, or the sender's own.
Figures one_way(double seconds, std::size_t message_bytes, bool tls, LoopThread& at, LoopThread& other) {
  auto pair = make_socket_pair(tls);
  WebSocketConnection client(Role::kClient, {std::move(pair.client), {}});
  WebSocketConnection server(Role::kServer, {std::move(pair.server), {}});
  Source source;
  Sink sink;
  source.connection = &client;
  source.message.resize(message_bytes);
  other.call([&] { server.start(other.loop(), sink); });
  at.call([&] { client.start(at.loop(), source); });
  const auto figures = measure(seconds, sink, [&] { at.call([&] { source.fill(); }); });
  at.call([&] { client.abort(); });
  other.call([&] { server.abort(); });
  return figures;
}

/// Client → relay → node: the ends on one thread, the relay on another.
Figures relayed(double seconds, std::size_t message_bytes) {
  LoopThread ends, relay;
  auto left = make_socket_pair(true);
  auto right = make_socket_pair(true);
  WebSocketConnection client(Role::kClient, {std::move(left.client), {}});
  WebSocketConnection from_client(Role::kServer, {std::move(left.server), {}});
  WebSocketConnection to_node(Role::kServer, {std::move(right.server), {}});
  WebSocketConnection node(Role::kClient, {std::move(right.client), {}});
  Source source;
  Sink forward, back, sink;
  source.connection = &client;
  source.message.resize(message_bytes);
  forward.next = &to_node;
  relay.call([&] {
    from_client.start(relay.loop(), forward);
    to_node.start(relay.loop(), back);
  });
  ends.call([&] {
    client.start(ends.loop(), source);
    node.start(ends.loop(), sink);
  });
  const auto figures = measure(seconds, sink, [&] { ends.call([&] { source.fill(); }); });
  ends.call([&] {
    client.abort();
    node.abort();
  });
  relay.call([&] {
    from_client.abort();
    to_node.abort();
  });
  return figures;
}

double rss_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Server's ends here, the clients' in a child, so that each counts its own.
void idle_memory() {
  namespace asio = boost::asio;
  using asio::ip::tcp;
  asio::io_context context;
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const auto endpoint = acceptor.local_endpoint();
  const auto& [server_context, client_context] = testing::pinned_contexts();
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) return;
  const pid_t child = ::fork();
  if (child < 0) return;
  if (child == 0) {
    ::close(pipe_ends[1]);
    asio::io_context own;
    std::vector<TlsStream> streams;
    for (std::size_t i = 0; i < kIdleConnections; ++i) {
      tcp::socket socket(own);
      socket.connect(endpoint);
      streams.emplace_back(std::move(socket), client_context);
      auto shaking = streams.back().connect("boson.test");
      if (!testing::run(own, std::move(shaking))) ::_exit(1);
    }
    char byte = 0;
    const auto ended = ::read(pipe_ends[0], &byte, 1);
    ::_exit(ended == 0 ? 0 : 1);
  }
  ::close(pipe_ends[0]);
  EventLoop loop;
  Sink sink;
  std::vector<std::unique_ptr<WebSocketConnection>> connections;
  double before = 0;
  for (std::size_t i = 0; i < kIdleConnections + 10; ++i) {
    if (i == 10) before = rss_bytes();  // what the first ones allocate once is not theirs alone
    if (i == kIdleConnections) break;
    tcp::socket socket(context);
    acceptor.accept(socket);
    TlsStream stream(std::move(socket), server_context);
    auto shaking = stream.accept();
    if (!testing::run(context, std::move(shaking))) break;
    connections.push_back(std::make_unique<WebSocketConnection>(Role::kServer, UpgradedSocket{stream.release(), {}}));
    connections.back()->start(loop, sink);
  }
  const double each = (rss_bytes() - before) / static_cast<double>(kIdleConnections - 10);
  std::printf(R"({"what":"idle TLS WebSocket, server's end","rss_bytes":%.0f})"
              "\n",
              each);
  ::close(pipe_ends[1]);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace higgs::net

int main(int argc, char** argv) {
  using namespace higgs::net;
  double seconds = 2;
  if (argc == 3 && std::string_view(argv[1]) == "--seconds") seconds = std::stod(argv[2]);
  idle_memory();
  constexpr std::size_t kBatch = 8 + 45 * (2 + 1452);
  {
    LoopThread one;
    report("TLS, batches of 45, one thread", one_way(seconds, kBatch, true, one, one));
    report("TLS, single packets, one thread", one_way(seconds, 8 + 2 + 1452, true, one, one));
    report("plain, batches of 45, one thread", one_way(seconds, kBatch, false, one, one));
    LoopThread two;
    report("TLS, batches of 45, two threads", one_way(seconds, kBatch, true, one, two));
  }
  report("TLS, batches of 45, through a relay", relayed(seconds, kBatch));
  return 0;
}
