// A client that says anything: to a server where it has an allocation and where it has none.
#include <cstdlib>

#include "stun/message.h"
#include "turn/turn_server.h"

namespace {

using namespace higgs;

class Output final : public turn::ServerOutput {
 public:
  std::optional<Opened> open_relay(const turn::FiveTuple&, bool, bool, bool reserve) override {
    const auto id = ++last_;
    return Opened{id, Endpoint{IpAddress::v4(0xC6336401), 50000}, reserve ? std::optional(++last_) : std::nullopt};
  }
  std::optional<Endpoint> claim_reserved(turn::RelayId) override { return Endpoint{IpAddress::v4(0xC6336401), 50001}; }
  void close_relay(turn::RelayId) override {}
  void send_to_client(const turn::FiveTuple&, ByteView bytes) override { sent_ += bytes.size(); }
  void send_to_peer(turn::RelayId, const Endpoint&, ByteView, bool) override { std::abort(); }  // nobody is permitted
  bool may_answer_unproven(const turn::FiveTuple&) override { return true; }
  std::size_t sent_ = 0;

 private:
  turn::RelayId last_ = 0;
};

class Nobody final : public turn::Authority {
 public:
  std::optional<SecretString> password(WallTime, std::string_view) override { return SecretString("secret"); }
  bool permits(std::string_view, const IpAddress&) override { return false; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView message = std::as_bytes(std::span(data, size));
  SeededRandom random(1);
  Output output;
  Nobody nobody;
  turn::Server server({}, nobody, output, random);
  const turn::FiveTuple client{turn::Transport::kUdp, *Endpoint::parse("192.0.2.1:5000"),
                               *Endpoint::parse("192.0.2.9:3478")};
  const Now now{Instant(std::chrono::hours(1)), WallTime(std::chrono::hours(1))};
  server.on_client(now, client, message);
  if (output.sent_ > turn::kMaxUnprovenAmplification * size) std::abort();
  server.on_peer(now, 1, client.client, message);
  static_cast<void>(turn::stream_message_bytes(message));
  server.handle_timeout(now);
  return 0;
}
