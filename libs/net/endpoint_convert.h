// Endpoints as Asio has them, and ours.
#pragma once

#include <algorithm>

#include <boost/asio/ip/tcp.hpp>

#include "base/ip.h"

namespace higgs::net {

inline Endpoint from_asio(const boost::asio::ip::tcp::endpoint& endpoint) {
  if (endpoint.address().is_v4()) return {IpAddress::v4(endpoint.address().to_v4().to_uint()), endpoint.port()};
  ByteArray<16> bytes;
  const auto raw = endpoint.address().to_v6().to_bytes();
  std::transform(raw.begin(), raw.end(), bytes.begin(), [](unsigned char b) { return std::byte{b}; });
  return {IpAddress::v6(bytes).unmapped(), endpoint.port()};
}

inline boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint) {
  const ByteView bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4())
    return {boost::asio::ip::address_v4(load_be<std::uint32_t>(bytes.data())), endpoint.port};
  boost::asio::ip::address_v6::bytes_type raw;
  std::transform(bytes.begin(), bytes.end(), raw.begin(),
                 [](std::byte b) { return std::to_integer<unsigned char>(b); });
  return {boost::asio::ip::address_v6(raw), endpoint.port};
}

}  // namespace higgs::net
