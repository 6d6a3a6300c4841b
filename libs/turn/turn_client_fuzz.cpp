// A client that stands, and then any datagrams from its server (two bytes of length before each): what it hands out
// lies within the datagram, and what it sends is well-formed.
#include <cstdlib>

#include "stun/message.h"
#include "turn/turn_client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  SeededRandom random(1);
  const Instant start{};
  Instant now = start;
  turn::Client client(now, {.server = *Endpoint::parse("192.0.2.1:3478"), .username = "u", .password = {}}, random);
  client.add_peer(now, *Endpoint::parse("198.51.100.1:9"));
  ByteReader reader(std::as_bytes(std::span(data, size)));
  while (const auto length = reader.be<std::uint16_t>()) {
    const auto taken = reader.take(std::min<std::size_t>(*length, reader.remaining()));
    Bytes datagram = to_bytes(*taken);
    // The transaction id of the newest request, or no answer would ever be looked at.
    while (const auto sent = client.poll_transmit()) {
      if (!stun::parse(*sent)) std::abort();
      if (datagram.size() >= stun::kHeaderBytes) std::copy_n(sent->begin() + 4, 16, datagram.begin() + 4);
    }
    if (const auto peer = client.handle_packet(now, datagram)) {
      const auto* end = datagram.data() + datagram.size();
      if (peer->bytes.data() < datagram.data() || peer->bytes.data() + peer->bytes.size() > end) std::abort();
    }
    now += std::chrono::milliseconds(100);
    client.handle_timeout(now);
  }
  return 0;
}
