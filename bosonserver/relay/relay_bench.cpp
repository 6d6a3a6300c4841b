// What the relay server costs: CPU time of its worker for each packet that it passes on, over TLS on the loopback.
//   relay_bench [seconds]
// The far ends run on threads of their own, whose time is not counted. One line of JSON for each row.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "bosonserver/relay/testing/relay_peer.h"
#include "relay/testing/frames.h"

namespace higgs::boson {
namespace {

using testing::RelayPeer;

constexpr std::uint64_t kWindowBytes = 768 * 1024;

class NoEvents : public RelayEvents {
  void on_session_opened(SessionId, NodeId) override {}
  void on_session_ready(SessionId, NodeId) override {}
  void on_session_refused(SessionId, NodeId, relay::RefusalReason) override {}
  void on_session_ended(SessionId, NodeId, relay::CloseReason, SessionBytes) override {}
  void on_candidate(SessionId, const IpAddress&) override {}
  void on_path_changed(SessionId, std::string_view) override {}
  void on_node_up(NodeId) override {}
  void on_node_down(NodeId) override {}
};

double cpu_seconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Case {
  const char* name;
  std::size_t packets_a_message, packet_bytes;
  unsigned sessions;
};

class Bench {
 public:
  Bench(const Case& what, double seconds) : case_(what), seconds_(seconds) {
    RelayOptions options;
    options.workers = 1;
    server_.emplace(options, events_);
    node_ = testing::connect_node(*server_, node_thread_, 1);
    node_->keep_messages = false;
    message_ = relay::testing::make_numbered(0, 0, what.packets_a_message, what.packet_bytes);
    for (unsigned i = 1; i <= what.sessions; ++i) {
      auto& user =
          users_.emplace_back(testing::connect_client(*server_, client_thread_, testing::make_ticket(i, 1), 100, {}));
      client_thread_.wait([&] { return user->last<relay::SessionReady>().has_value(); });
    }
  }
  ~Bench() {
    node_thread_.call([&] { node_->at_message = nullptr; });
    client_thread_.call([&] { users_.clear(); });
    node_thread_.call([&] { node_.reset(); });
  }

  void run() {
    node_thread_.call([&] {
      node_->at_message = [this] {
        arrived_.store(node_->bytes, std::memory_order_relaxed);
        if (!asked_.exchange(true)) client_thread_.loop().post([this] { fill_all(); });
      };
    });
    client_thread_.call([&] {
      for (auto& user : users_) user->at_writable = [this] { fill_all(); };
      fill_all();
    });
    const double far_before = far_ends(), all_before = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double wall_before = cpu_seconds(CLOCK_MONOTONIC);
    const std::uint64_t packets_before = packets();
    timespec pause{static_cast<time_t>(seconds_),
                   static_cast<long>((seconds_ - static_cast<double>(static_cast<long>(seconds_))) * 1e9)};
    ::nanosleep(&pause, nullptr);
    const double packets_passed = static_cast<double>(packets() - packets_before);
    const double used = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all_before - (far_ends() - far_before);
    const double wall = cpu_seconds(CLOCK_MONOTONIC) - wall_before;
    client_thread_.call([&] { stopped_ = true; });
    const auto stats = server_->stats();
    std::printf(
        "{\"bench\":\"relay\",\"case\":\"%s\",\"ns_per_packet\":%.0f,\"mbit_s\":%.0f,\"worker_load\":%.2f,"
        "\"lost_share\":%.3f}\n",
        case_.name, used / packets_passed * 1e9,
        packets_passed * static_cast<double>(case_.packet_bytes) * 8 / 1e6 / wall, used / wall,
        static_cast<double>(stats.drops.total()) / static_cast<double>(stats.drops.total() + stats.packets));
  }

 private:
  /// No more than a window is under way, as with TCP inside the tunnel: what the relay drops is not what is measured.
  void fill_all() {
    asked_ = false;
    bool any = !stopped_;
    while (any) {
      any = false;
      for (auto& user : users_) {
        if (sent_ - arrived_.load(std::memory_order_relaxed) > kWindowBytes || !user->can_send()) continue;
        if (!user->send(message_)) continue;
        sent_ += message_.size();
        any = true;
      }
    }
  }
  std::uint64_t packets() {
    return node_thread_.call([&] { return node_->packets; });
  }
  double far_ends() {
    const auto own = [] { return cpu_seconds(CLOCK_THREAD_CPUTIME_ID); };
    return client_thread_.call(own) + node_thread_.call(own) + own();
  }

  Case case_;
  double seconds_;
  NoEvents events_;
  std::optional<RelayServer> server_;
  net::testing::LoopThread client_thread_, node_thread_;
  Bytes message_;
  std::uint64_t sent_ = 0;
  bool stopped_ = false;
  std::atomic<std::uint64_t> arrived_{0};
  std::atomic<bool> asked_{false};
  std::unique_ptr<RelayPeer> node_;
  std::vector<std::unique_ptr<RelayPeer>> users_;
};

}  // namespace
}  // namespace higgs::boson

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  constexpr higgs::boson::Case kCases[] = {
      {"one session, batches of 44 x 1452", 44, 1452, 1}, {"eight sessions, batches of 44 x 1452", 44, 1452, 8},
      {"one session, batches of 8 x 1452", 8, 1452, 1},   {"one session, single packets of 1452", 1, 1452, 1},
      {"one session, single packets of 148", 1, 148, 1},
  };
  for (const auto& what : kCases) higgs::boson::Bench(what, seconds).run();
  return 0;
}
