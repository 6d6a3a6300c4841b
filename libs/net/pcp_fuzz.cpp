// Any datagram from a router: what is read must be in bounds, and a client that is asking must survive it.
#include "net/pcp_client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  const ByteView datagram = std::as_bytes(std::span(data, size));
  static_cast<void>(net::pcp::parse_response(datagram));
  SeededRandom random(1);
  Instant now{};
  net::pcp::Client client(now, {.address = *IpAddress::parse("10.0.0.2"), .port = 51820}, random);
  for (int round = 0; round < 4; ++round) {
    while (client.poll_transmit()) {
    }
    client.handle_packet(now, datagram);
    if (const auto next = client.poll_timeout()) now = *next;
    client.handle_timeout(now);
  }
  return 0;
}
