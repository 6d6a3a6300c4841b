// Builds messages for tests.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "relay/frame.h"

namespace higgs::relay::testing {

/// A well-formed message of these packets.
inline Bytes make_message(Channel channel, const std::vector<Bytes>& packets) {
  Bytes buffer(kMaxMessageBytes);
  BatchBuilder builder(buffer);
  for (const auto& packet : packets) builder.append(packet);
  return to_bytes(builder.finish(channel));
}

inline Bytes make_message(Channel channel, std::initializer_list<std::string_view> packets) {
  std::vector<Bytes> bytes;
  for (const auto packet : packets) bytes.push_back(to_bytes(as_bytes(packet)));
  return make_message(channel, bytes);
}

/// `count` packets of `size` bytes whose first two bytes are `first`, `first` + 1, …
inline Bytes make_numbered(Channel channel, std::uint16_t first, std::size_t count, std::size_t size) {
  std::vector<Bytes> packets;
  for (std::size_t i = 0; i < count; ++i) {
    Bytes packet(size);
    store_be(packet.data(), static_cast<std::uint16_t>(first + i));
    packets.push_back(std::move(packet));
  }
  return make_message(channel, packets);
}

inline Bytes join(std::span<const ByteView> parts) {
  Bytes out;
  for (const auto part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

/// The numbers of make_numbered's packets, in order; empty if the message is malformed.
inline std::vector<unsigned> numbers_of(Bytes message) {
  Batch batch;
  std::vector<unsigned> numbers;
  if (!parse_batch(message, batch)) return numbers;
  for (const auto packet : batch.all()) numbers.push_back(load_be<std::uint16_t>(packet.data()));
  return numbers;
}

}  // namespace higgs::relay::testing
