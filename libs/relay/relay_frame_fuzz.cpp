// Any binary message: the endpoint's parser, and the server's queue that cuts and drops what it did not check.
#include <cstdlib>

#include "relay/fair_queue.h"
#include "relay/testing/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  using namespace higgs::relay;
  Bytes message = to_bytes(std::as_bytes(std::span(data, size)));
  Batch batch;
  const bool whole = parse_batch(message, batch).has_value();
  if (whole) {
    Bytes again(kMaxMessageBytes);
    BatchBuilder copy(again);
    for (const auto packet : batch.all())
      if (!copy.append(packet)) std::abort();
    if (to_bytes(copy.finish(batch.channel)) != message) std::abort();
  }
  if (!parse_header(message)) return 0;

  QueueContext context;
  FairQueue queue({kMaxMessageBytes + 1024, std::chrono::milliseconds(1000)}, context);
  Instant now{std::chrono::seconds(1)};
  const std::size_t quantum = kMinQuantumBytes + size % 20000;
  for (Channel channel = 1; channel <= 3; ++channel) queue.push(now, channel, message);
  queue.push(now, 1, message);
  while (const auto out = queue.pop(now += std::chrono::milliseconds(60), quantum)) {
    Bytes sent = testing::join(out.parts);
    if (sent.size() > kMaxMessageBytes || sent.size() != out.bytes || !parse_header(sent)) std::abort();
    if (whole && !parse_batch(sent, batch)) std::abort();
  }
  if (!queue.empty() || context.memory.used() != 0) std::abort();
  return 0;
}
