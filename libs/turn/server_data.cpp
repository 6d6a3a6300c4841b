// What is relayed: ChannelData (RFC 8656, section 12), Send and Data indications (section 11).
#include <algorithm>

#include "turn/server_impl.h"

namespace higgs::turn {

namespace {
using stun::AttributeType;
constexpr std::size_t kFramingBytes = 4;
/// No UDP payload is longer, and an indication around it still fits a STUN message.
constexpr std::size_t kMaxDataBytes = 65000;
}  // namespace

void Server::Impl::on_channel_data(Instant now, const FiveTuple& from, ByteView bytes) {
  Allocation* allocation = find(from);
  const auto data = read_channel_data(bytes);
  const auto* channel = allocation != nullptr && data ? allocation->channel(now, data->channel) : nullptr;
  if (channel == nullptr) {
    ++counters_.dropped_malformed;
    return;
  }
  relay_to_peer(now, *allocation, channel->peer, data->data, false);
}

void Server::Impl::on_send(Instant now, const FiveTuple& from, const stun::Message& message) {
  Allocation* allocation = find(from);
  const auto peer = message.xor_address(AttributeType::kXorPeerAddress);
  const auto data = message.find(AttributeType::kData);
  const bool understood = std::all_of(message.all().begin(), message.all().end(), [](const stun::Attribute& attribute) {
    const auto type = static_cast<AttributeType>(attribute.type);
    return !stun::comprehension_required(attribute.type) || type == AttributeType::kXorPeerAddress ||
           type == AttributeType::kData || type == AttributeType::kDontFragment;
  });
  if (allocation == nullptr || !peer || !data || !understood) {
    ++counters_.dropped_malformed;
    return;
  }
  relay_to_peer(now, *allocation, *peer, *data, message.has(AttributeType::kDontFragment));
}

void Server::Impl::relay_to_peer(Instant now, Allocation& allocation, const Endpoint& peer, ByteView data,
                                 bool dont_fragment) {
  const auto& relay = allocation.relay(peer.address.is_v6());
  // Section 12.6: a channel does not replace the permission, which may have run out while the binding stands.
  if (!relay || !allocation.permitted(now, peer.address)) {
    ++counters_.dropped_no_permission;
    return;
  }
  if (!allocation.take_to_peer(now, data.size())) {
    ++counters_.dropped_rate;
    return;
  }
  ++counters_.relayed_packets;
  counters_.relayed_bytes += data.size();
  output_.send_to_peer(relay->id, peer, data, dont_fragment);
}

void Server::Impl::on_peer(Instant now, RelayId relay, const Endpoint& peer, ByteView payload) {
  const auto found = relays_.find(relay);
  if (found == relays_.end() || payload.size() > kMaxDataBytes) {
    ++counters_.dropped_malformed;
    return;
  }
  Allocation& allocation = *found->second;
  if (!allocation.permitted(now, peer.address)) {
    ++counters_.dropped_no_permission;
    return;
  }
  if (!allocation.take_to_client(now, payload.size())) {
    ++counters_.dropped_rate;
    return;
  }
  ++counters_.relayed_packets;
  counters_.relayed_bytes += payload.size();
  const auto* channel = allocation.channel_of(now, peer);
  output_.send_to_client(allocation.client(), channel != nullptr ? as_channel_data(allocation, channel->number, payload)
                                                                 : as_indication(peer, payload));
}

ByteView Server::Impl::as_channel_data(const Allocation& allocation, std::uint16_t channel, ByteView data) {
  store_be(scratch_.data(), channel);
  store_be(scratch_.data() + 2, static_cast<std::uint16_t>(data.size()));
  std::copy(data.begin(), data.end(), scratch_.begin() + kFramingBytes);
  std::size_t size = kFramingBytes + data.size();
  // Section 12.5: over a stream, padded to four bytes; over UDP not needed.
  if (allocation.client().transport != Transport::kUdp)
    while (size % 4 != 0) scratch_[size++] = std::byte{0};
  return ByteView(scratch_).first(size);
}

ByteView Server::Impl::as_indication(const Endpoint& peer, ByteView data) {
  // Nothing answers an indication: its transaction id need only differ from the last one.
  store_be(next_indication_.data(), load_be<std::uint64_t>(next_indication_.data()) + 1);
  stun::MessageBuilder builder(scratch_, stun::MessageClass::kIndication, stun::kDataMethod, next_indication_);
  builder.add_xor_address(AttributeType::kXorPeerAddress, peer).add(AttributeType::kData, data);
  return builder.finish();
}

}  // namespace higgs::turn
