// One kept HTTPS connection, opened when it is first used and again after it broke. One exchange at a time.
#pragma once

#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "net/http.h"
#include "net/tls_stream.h"
#include "node_load/options.h"

namespace higgs::node_load {

class Connection {
 public:
  /// `number` chooses the own address.
  Connection(boost::asio::any_io_executor executor, const Options& options, const net::TlsContext& tls,
             std::size_t number);

  boost::asio::awaitable<Result<void>> open();
  boost::asio::awaitable<Result<net::HttpResponse>> exchange(std::string method, std::string target,
                                                             net::HttpHeaders headers, std::string body);
  void close() noexcept { stream_.reset(); }

 private:
  boost::asio::awaitable<Result<net::HttpResponse>> read_response();

  boost::asio::any_io_executor executor_;
  const Options& options_;
  const net::TlsContext& tls_;
  const std::size_t number_;
  const std::string authority_;
  const std::string host_;
  std::optional<net::TlsStream> stream_;
};

}  // namespace higgs::node_load
