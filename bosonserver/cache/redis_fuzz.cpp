// What Redis, or who poses as it, answers; events of other servers; and URLs. No crash, whatever the cut; and what is
// taken is within the limits.
#include <cstdint>
#include <cstdlib>

#include "bosonserver/cache/event_bus.h"
#include "bosonserver/cache/event_message.h"
#include "bosonserver/cache/redis_reply.h"
#include "bosonserver/cache/redis_url.h"

namespace {

using namespace higgs::boson;

constexpr RedisReplyLimits kLimits{.bytes = 4'096};

std::size_t size_of(const RedisReply& reply) {
  std::size_t size = sizeof(reply) + reply.text.size();
  for (const auto& element : reply.elements) size += size_of(element);
  return size;
}

/// The number of replies, and whether the stream went bad after them.
std::pair<std::size_t, bool> read_all(higgs::ByteView input, std::size_t step) {
  RedisReplyReader reader(kLimits);
  std::size_t replies = 0;
  for (std::size_t at = 0; at < input.size(); at += step) {
    reader.put(input.subspan(at, std::min(step, input.size() - at)));
    for (;;) {
      const auto reply = reader.next();
      if (!reply) return {replies, true};
      if (!*reply) break;
      if (size_of(**reply) > kLimits.bytes) std::abort();
      for (const auto shape : {is_status, is_integer, is_text_or_nil, is_pair_of_integers, is_list}) shape(**reply);
      ++replies;
    }
  }
  return {replies, false};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 4 == 1) {
    const auto message = EventMessage::parse(higgs::as_text(input));
    if (message && message->to_string() != higgs::as_text(input)) std::abort();
    if (message && !message->is_resync() && !check_event(message->topic, message->payload)) std::abort();
    return 0;
  }
  if (data[0] % 4 == 0) {
    const auto url = RedisUrl::parse(higgs::as_text(input));
    if (url && (url->host.empty() || url->port == 0 || url->database > RedisUrl::kMaxDatabase)) std::abort();
    // What is shown leads to the same place again, without the secret.
    if (url && url->user.empty() && url->password.empty()) {
      const auto again = RedisUrl::parse(url->to_string());
      if (!again || again->to_string() != url->to_string()) std::abort();
    }
    return 0;
  }
  const auto whole = read_all(input, input.size() + 1);
  const auto cut = read_all(input, 1 + data[0] % 7);
  // A limit is reached earlier or later, as bytes come together; what was read before is the same.
  if (!whole.second && !cut.second && whole.first != cut.first) std::abort();
  return 0;
}
