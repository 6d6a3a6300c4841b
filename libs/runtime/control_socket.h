// How `status` and `disconnect` speak to the running program: a Unix socket in its state directory, mode 0600.
// One request (a line) a connection, one answer (a line), usually JSON.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"

namespace higgs::runtime {

struct ControlLimits {
  std::size_t line_bytes = 256 * 1024;
  std::size_t connections = 16;  ///< further ones are closed at once
  std::chrono::milliseconds deadline{10000};
};

class ControlServer {
 public:
  using Handler = std::function<boost::asio::awaitable<std::string>(std::string request)>;

  /// Replaces a socket file that a crash left (the caller holds the state directory's lock).
  static Result<std::unique_ptr<ControlServer>> listen(const boost::asio::any_io_executor& executor,
                                                       const std::filesystem::path& path, Handler handler,
                                                       ControlLimits limits = {});
  /// Removes the socket file.
  ~ControlServer();
  /// Ends listening and what is being answered; to be awaited before destruction.
  boost::asio::awaitable<void> stop();

 private:
  class Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Asks the program that listens on `path`; blocks. Nobody there: connection_refused or no_such_file_or_directory.
Result<std::string> control_request(const std::filesystem::path& path, const std::string& request,
                                    std::chrono::milliseconds deadline = std::chrono::seconds(10));

}  // namespace higgs::runtime
