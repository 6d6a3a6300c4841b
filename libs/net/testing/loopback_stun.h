// A STUN server with two loopback addresses and two ports, on the test's own event loop.
#pragma once

#include <array>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/bytes.h"
#include "base/ip.h"
#include "stun/binding.h"

namespace higgs::net::testing {

class LoopbackStun {
 public:
  explicit LoopbackStun(boost::asio::io_context& context) : context_(context) {
    // A free number of one address may be taken on the other.
    for (int attempts = 16; !open_all() && attempts > 0; --attempts) {
    }
  }
  Endpoint endpoint(std::size_t index) const {
    const auto local = sockets_[index]->local_endpoint();
    return {IpAddress::v4(local.address().to_v4().to_uint()), local.port()};
  }
  bool silent = false;
  unsigned asked = 0;

 private:
  bool open_all() try {
    open(0, {boost::asio::ip::make_address("127.0.0.1"), 0});
    open(3, {boost::asio::ip::make_address("127.0.0.2"), 0});
    open(1, {sockets_[0]->local_endpoint().address(), sockets_[3]->local_endpoint().port()});
    open(2, {sockets_[3]->local_endpoint().address(), sockets_[0]->local_endpoint().port()});
    for (std::size_t index = 0; index < sockets_.size(); ++index) receive(index);
    return true;
  } catch (const boost::system::system_error&) {
    return false;
  }
  void open(std::size_t index, const boost::asio::ip::udp::endpoint& where) {
    sockets_[index].emplace(context_, where);
  }
  void receive(std::size_t index) {
    auto& socket = *sockets_[index];
    socket.async_receive_from(boost::asio::buffer(buffers_[index]), sources_[index],
                              [this, index](const boost::system::error_code& error, std::size_t size) {
                                if (error) return;
                                answer(index, size);
                                receive(index);
                              });
  }
  void answer(std::size_t index, std::size_t size) {
    ++asked;
    if (silent) return;
    ByteArray<512> buffer;
    const Endpoint source{IpAddress::v4(sources_[index].address().to_v4().to_uint()), sources_[index].port()};
    const auto given = stun::answer_binding(ByteView(buffers_[index]).first(size), source,
                                            {"test", endpoint(index), endpoint(index ^ 3)}, buffer);
    const std::size_t from = index ^ (given.change_port ? 1u : 0u) ^ (given.change_address ? 2u : 0u);
    sockets_[from]->send_to(boost::asio::buffer(given.bytes.data(), given.bytes.size()), sources_[index]);
  }

  boost::asio::io_context& context_;
  std::array<std::optional<boost::asio::ip::udp::socket>, 4> sockets_;
  std::array<ByteArray<512>, 4> buffers_;
  std::array<boost::asio::ip::udp::endpoint, 4> sources_;
};

}  // namespace higgs::net::testing
