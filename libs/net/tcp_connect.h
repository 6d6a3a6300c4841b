// Names to addresses, and addresses to a connected socket, within a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/ip.h"
#include "base/result.h"

namespace higgs::net {

/// Lets somebody else end a wait of these functions early. Same executor.
class ConnectCancel {
 public:
  void cancel() {
    cancelled_ = true;
    if (wake_) wake_();
  }
  bool cancelled() const noexcept { return cancelled_; }

 private:
  friend class ConnectWait;
  bool cancelled_ = false;
  std::function<void()> wake_;
};

/// RFC 8305, 5: "Connection Attempt Delay", recommended 250 ms.
inline constexpr std::chrono::milliseconds kConnectionAttemptDelay{250};

/// The families take turns, beginning with the first one's (RFC 8305, 4).
std::vector<IpAddress> interleave_families(std::vector<IpAddress> addresses);

/// The system's resolver. A lookup that is given up goes on inside the resolver's thread until it ends by itself.
boost::asio::awaitable<Result<std::vector<IpAddress>>> resolve_host(boost::asio::any_io_executor executor,
                                                                    std::string host,
                                                                    std::chrono::milliseconds deadline,
                                                                    ConnectCancel& cancel);

/// Tries the addresses in order, a new one when the last has failed or has been silent for kConnectionAttemptDelay;
/// the first that connects wins. `mark`: SO_MARK, set before connecting. TCP_NODELAY is on.
boost::asio::awaitable<Result<boost::asio::ip::tcp::socket>> connect_any(boost::asio::any_io_executor executor,
                                                                         std::vector<Endpoint> endpoints,
                                                                         std::optional<std::uint32_t> mark,
                                                                         std::chrono::milliseconds deadline,
                                                                         ConnectCancel& cancel);

}  // namespace higgs::net
