// Serves the UAPI on /var/run/wireguard/NAME.sock: several clients, each any number of requests, bounded buffers.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "net/event_loop.h"

namespace higgs::wg {

class UapiServer {
 public:
  /// The answer to one request: `text` is what precedes its empty line.
  using Answer = std::function<std::string(std::string_view text)>;

  static constexpr std::size_t kClients = 64;                     ///< more are turned away
  static constexpr std::size_t kRequestBytes = 16 * 1024 * 1024;  ///< a longer request ends the connection

  /// Takes the place of a socket that nobody listens on; address_in_use if somebody does.
  static Result<std::unique_ptr<UapiServer>> open(net::EventLoop& loop, const std::string& path, Answer answer);
  /// Removes the socket.
  ~UapiServer();

  /// Called when somebody deletes the socket: with wireguard-go that is a way to end it.
  void on_removed(std::function<void()> action) { on_removed_ = std::move(action); }
  std::size_t clients() const noexcept { return clients_.size(); }

 private:
  class Client;
  /// Readiness of one descriptor, as a call.
  class Readiness : public net::FdHandler {
   public:
    Readiness(UapiServer& server, void (UapiServer::*action)()) : server_(server), action_(action) {}
    void on_events(std::uint32_t) override { (server_.*action_)(); }

   private:
    UapiServer& server_;
    void (UapiServer::*action_)();
  };

  UapiServer(net::EventLoop& loop, std::string path, int listener, Answer answer);
  void accept();
  void watch();
  void drop(int fd);

  net::EventLoop& loop_;
  std::string path_;
  int listener_;
  int watcher_;
  Answer answer_;
  std::function<void()> on_removed_;
  Readiness accept_ready_, watch_ready_;
  std::unordered_map<int, std::unique_ptr<Client>> clients_;
};

}  // namespace higgs::wg
