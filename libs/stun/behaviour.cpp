#include "stun/behaviour.h"

#include <algorithm>
#include <array>
#include <deque>

#include "stun/message.h"
#include "stun/transaction.h"

namespace higgs::stun {

namespace {

using namespace std::chrono_literals;

// RFC 5780, section 7.2.
constexpr std::uint32_t kChangeAddress = 4, kChangePort = 2;

// Of our choosing.
/// Between the mapping tests, so that a NAT sees them in their order.
constexpr auto kStagger = 20ms;
/// Ports that another flow of the home may have taken between two of ours, plus one.
constexpr int kMaxStep = 16;
constexpr std::size_t kRequestBytes = 64;

enum TestName : unsigned { kMap1, kMap2, kMap3, kMap4, kFilter1, kFilter2, kFilter3, kTests };

enum class State {
  kIdle,
  kRunning,
  kAnswered,
  kSilent,
  kRefused,  ///< an error response, or not what was asked for
};

struct Test {
  unsigned socket = 0;
  Endpoint to, expected;  ///< where the answer must come from
  TransactionId transaction{};
  std::optional<TransactionTimer> timer;
  Bytes request;
  State state = State::kIdle;
  std::optional<Endpoint> mapped, other;

  bool over() const noexcept { return state != State::kIdle && state != State::kRunning; }
};

/// Addresses that only mean something in their own network. A server outside it that names one as its other address
/// would have us send into somebody's private network.
bool is_local_only(const IpAddress& address) noexcept {
  static const std::array kPrefixes = {
      *IpPrefix::parse("0.0.0.0/8"),   *IpPrefix::parse("10.0.0.0/8"),     *IpPrefix::parse("100.64.0.0/10"),
      *IpPrefix::parse("127.0.0.0/8"), *IpPrefix::parse("169.254.0.0/16"), *IpPrefix::parse("172.16.0.0/12"),
      *IpPrefix::parse("224.0.0.0/3"), *IpPrefix::parse("192.168.0.0/16"), *IpPrefix::parse("::/16"),
      *IpPrefix::parse("fc00::/7"),    *IpPrefix::parse("fe80::/10"),      *IpPrefix::parse("ff00::/8")};
  return std::ranges::any_of(kPrefixes, [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

NatClass classify(const BehaviourReport& report) noexcept {
  if (report.mapping == Behaviour::kUnknown) return NatClass::kUnknown;
  if (report.mapping != Behaviour::kEndpointIndependent) return NatClass::kSymmetric;
  switch (report.filtering) {
    case Behaviour::kEndpointIndependent:
      return report.translated ? NatClass::kFullCone : NatClass::kOpen;
    case Behaviour::kAddressDependent:
      return NatClass::kRestrictedCone;
    case Behaviour::kAddressAndPortDependent:
      return NatClass::kPortRestricted;
    case Behaviour::kUnknown:
      break;
  }
  return NatClass::kUnknown;
}

}  // namespace

std::string_view to_string(Behaviour behaviour) noexcept {
  switch (behaviour) {
    case Behaviour::kEndpointIndependent:
      return "endpoint-independent";
    case Behaviour::kAddressDependent:
      return "address-dependent";
    case Behaviour::kAddressAndPortDependent:
      return "address-and-port-dependent";
    case Behaviour::kUnknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(PortAllocation allocation) noexcept {
  switch (allocation) {
    case PortAllocation::kPreserved:
      return "preserved";
    case PortAllocation::kSequential:
      return "sequential";
    case PortAllocation::kRandom:
      return "random";
    case PortAllocation::kUnknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(NatClass nat) noexcept {
  switch (nat) {
    case NatClass::kOpen:
      return "Open";
    case NatClass::kFullCone:
      return "FullCone";
    case NatClass::kRestrictedCone:
      return "RestrictedCone";
    case NatClass::kPortRestricted:
      return "PortRestricted";
    case NatClass::kSymmetric:
      return "Symmetric";
    case NatClass::kUdpBlocked:
      return "UdpBlocked";
    case NatClass::kUnknown:
      break;
  }
  return "Unknown";
}

class BehaviourDiscovery::Impl {
 public:
  Impl(Instant now, Options options, RandomSource& random) : options_(std::move(options)), random_(random) {
    options_.server.address = options_.server.address.unmapped();
    start(kMap1, now, 0, options_.server, options_.server, 0);
    start(kFilter1, now, 1, options_.server, options_.server, 0);
    handle_timeout(now);
  }

  void handle_packet(Instant now, unsigned socket, const Endpoint& from, ByteView datagram) {
    if (report_) return;
    const auto response = parse(datagram);
    if (!response || response->method != kBindingMethod) return;
    const bool success = response->message_class == MessageClass::kSuccess;
    if (!success && response->message_class != MessageClass::kError) return;
    const auto test = std::ranges::find_if(tests_, [&](const Test& candidate) {
      return candidate.state == State::kRunning && candidate.transaction == response->transaction;
    });
    if (test == tests_.end() || test->socket != socket) return;
    const Endpoint source{from.address.unmapped(), from.port};
    // A refusal comes from where the request went, and so does the answer of a server that ignores CHANGE-REQUEST.
    if (success && source == test->expected)
      take(*test, *response);
    else if (source == test->to)
      refused(*test);
    else
      return;
    go_on(now);
  }

  void handle_timeout(Instant now) {
    for (Test& test : tests_) {
      if (test.state != State::kRunning) continue;
      const auto step = test.timer->step(now);
      if (step == TransactionTimer::Step::kSend) outgoing_.push_back({test.socket, test.to, test.request});
      if (step == TransactionTimer::Step::kGiveUp) test.state = State::kSilent;
    }
    go_on(now);
  }

  std::optional<Instant> poll_timeout() const {
    std::optional<Instant> next;
    if (report_) return next;
    for (const Test& test : tests_)
      if (test.state == State::kRunning) next = std::min(next.value_or(test.timer->next()), test.timer->next());
    return next;
  }

  std::optional<Transmit> poll_transmit() {
    if (outgoing_.empty()) return std::nullopt;
    Transmit transmit = std::move(outgoing_.front());
    outgoing_.pop_front();
    return transmit;
  }

  const std::optional<BehaviourReport>& report() const noexcept { return report_; }

 private:
  void start(TestName name, Instant when, unsigned socket, const Endpoint& to, const Endpoint& expected,
             std::uint32_t change) {
    Test& test = tests_[name];
    test.socket = socket;
    test.to = to;
    test.expected = expected;
    test.transaction = random_.array<12>();
    // The last wait is as the doubling has it: RFC 8489's 16 would double the time that a filtered test takes.
    test.timer.emplace(when, RetransmissionPolicy{options_.rto, options_.attempts, 1u << (options_.attempts - 1)});
    ByteArray<kRequestBytes> buffer;
    MessageBuilder builder(buffer, MessageClass::kRequest, kBindingMethod, test.transaction);
    if (change != 0) builder.add_u32(AttributeType::kChangeRequest, change);
    test.request = to_bytes(builder.add_fingerprint().finish());
    test.state = State::kRunning;
  }

  void take(Test& test, const Message& response) {
    test.mapped = mapped_address(response);
    if (!test.mapped) return refused(test);
    heard_ = true;
    test.state = State::kAnswered;
    test.other = response.address(AttributeType::kOtherAddress);
  }

  void refused(Test& test) {
    heard_ = true;
    test.state = State::kRefused;
  }

  /// Starts what the last answers make possible, or ends.
  void go_on(Instant now) {
    if (report_) return;
    if (tests_[kMap1].state == State::kRunning) return;
    if (!other_) other_ = usable_other(tests_[kMap1].other);
    if (tests_[kMap1].state == State::kAnswered && other_) {
      if (tests_[kMap2].state == State::kIdle) start_mapping(now);
      if (tests_[kFilter1].state == State::kAnswered && tests_[kFilter2].state == State::kIdle) start_filtering(now);
      for (const Test& test : tests_)
        if (test.state == State::kRunning) return;
    } else if (!heard_ && !tests_[kFilter1].over()) {
      return;  // an answer to the other socket still tells that UDP passes
    }
    finish();
  }

  std::optional<Endpoint> usable_other(const std::optional<Endpoint>& other) const noexcept {
    const Endpoint& server = options_.server;
    if (!other || other->address == server.address || other->port == server.port || other->port == 0 ||
        other->address.is_v4() != server.address.is_v4())
      return std::nullopt;
    if (is_local_only(other->address) && !is_local_only(server.address)) return std::nullopt;
    return other;
  }

  void start_mapping(Instant now) {
    const Endpoint second{other_->address, options_.server.port}, fourth{options_.server.address, other_->port};
    start(kMap2, now, 0, second, second, 0);
    start(kMap3, now + kStagger, 0, *other_, *other_, 0);
    start(kMap4, now + 2 * kStagger, 0, fourth, fourth, 0);
    send_due(now);
  }

  void start_filtering(Instant now) {
    const Endpoint other_port{options_.server.address, other_->port};
    start(kFilter2, now, 1, options_.server, *other_, kChangeAddress | kChangePort);
    start(kFilter3, now, 1, options_.server, other_port, kChangePort);
    send_due(now);
  }

  void send_due(Instant now) {
    for (Test& test : tests_) {
      if (test.state != State::kRunning || test.timer->sent() != 0) continue;
      if (test.timer->step(now) == TransactionTimer::Step::kSend)
        outgoing_.push_back({test.socket, test.to, test.request});
    }
  }

  void finish() {
    BehaviourReport report;
    report.mapped = tests_[kMap1].mapped;
    report.server_complete = other_.has_value();
    if (report.mapped)
      report.translated = std::ranges::find(options_.local, report.mapped->address) == options_.local.end();
    if (!heard_) {
      report.nat = NatClass::kUdpBlocked;
    } else {
      report.mapping = mapping();
      report.filtering = filtering();
      report.nat = classify(report);
    }
    allocation(report);
    outgoing_.clear();
    report_ = report;
  }

  bool answered(TestName name) const noexcept { return tests_[name].state == State::kAnswered; }
  bool server_reached() const noexcept {
    return answered(kMap1) && answered(kMap2) && answered(kMap3) && answered(kMap4);
  }

  /// RFC 5780, section 4.3; the fourth answer must agree.
  Behaviour mapping() const noexcept {
    if (!server_reached()) return Behaviour::kUnknown;
    const auto &one = tests_[kMap1].mapped, &two = tests_[kMap2].mapped, &three = tests_[kMap3].mapped,
               &four = tests_[kMap4].mapped;
    if (one == two && one == three && one == four) return Behaviour::kEndpointIndependent;
    if (one == four && two == three) return Behaviour::kAddressDependent;
    return Behaviour::kAddressAndPortDependent;
  }

  /// RFC 5780, section 4.4. Silence counts only if the silent end has answered elsewhere and did not refuse.
  Behaviour filtering() const noexcept {
    if (answered(kFilter2)) return Behaviour::kEndpointIndependent;
    if (!server_reached() || tests_[kFilter2].state != State::kSilent) return Behaviour::kUnknown;
    if (answered(kFilter3)) return Behaviour::kAddressDependent;
    return tests_[kFilter3].state == State::kSilent ? Behaviour::kAddressAndPortDependent : Behaviour::kUnknown;
  }

  void allocation(BehaviourReport& report) const {
    if (!server_reached()) return;
    std::vector<int> ports;  // in the order of sending
    for (const TestName name : {kMap1, kMap2, kMap3, kMap4}) ports.push_back(tests_[name].mapped->port);
    if (std::ranges::all_of(ports, [&](int port) { return port == options_.local_port; })) {
      report.allocation = PortAllocation::kPreserved;
      return;
    }
    if (report.mapping == Behaviour::kEndpointIndependent) return;      // one port: nothing to compare it with
    if (report.mapping != Behaviour::kAddressAndPortDependent) return;  // too few ports to compare
    // Most of the pairs tell the direction: a lost first request may have changed the order.
    int rising = 0;
    for (std::size_t i = 1; i < ports.size(); ++i) rising += ports[i - 1] < ports[i] ? 1 : -1;
    // Between the first two flows lies the other socket's: only what follows comes one after the other.
    std::sort(ports.begin() + 1, ports.end());
    int step = kMaxStep;
    for (std::size_t i = 2; i < ports.size(); ++i) {
      const int gap = ports[i] - ports[i - 1];
      step = gap <= kMaxStep ? std::min(step, gap) : 0;
      if (step == 0) break;
    }
    report.allocation = step > 0 ? PortAllocation::kSequential : PortAllocation::kRandom;
    report.port_step = rising > 0 ? step : -step;
  }

  Options options_;
  RandomSource& random_;
  std::array<Test, kTests> tests_;
  std::optional<Endpoint> other_;
  std::deque<Transmit> outgoing_;  ///< at most one of each test and attempt
  bool heard_ = false;
  std::optional<BehaviourReport> report_;
};

BehaviourDiscovery::BehaviourDiscovery(Instant now, Options options, RandomSource& random)
    : impl_(std::make_unique<Impl>(now, std::move(options), random)) {}
BehaviourDiscovery::~BehaviourDiscovery() = default;
void BehaviourDiscovery::handle_packet(Instant now, unsigned socket, const Endpoint& from, ByteView datagram) {
  impl_->handle_packet(now, socket, from, datagram);
}
void BehaviourDiscovery::handle_timeout(Instant now) { impl_->handle_timeout(now); }
std::optional<Instant> BehaviourDiscovery::poll_timeout() const { return impl_->poll_timeout(); }
std::optional<BehaviourDiscovery::Transmit> BehaviourDiscovery::poll_transmit() { return impl_->poll_transmit(); }
const std::optional<BehaviourReport>& BehaviourDiscovery::report() const noexcept { return impl_->report(); }

}  // namespace higgs::stun
