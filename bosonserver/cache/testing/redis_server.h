// For tests: a real Redis on the loopback that can be killed, paused and started again on the same port, and is gone
// with the test however that ends.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bosonserver/cache/redis_stream.h"
#include "net/tls_stream.h"
#include "runtime/descriptor.h"

namespace higgs::boson::testing {

struct RedisServerOptions {
  std::string password;
  bool tls = false;
};

class RedisServer {
 public:
  explicit RedisServer(RedisServerOptions options = {}) : options_(std::move(options)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-redis-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a directory");
    directory_ = pattern;
    hold_port();
    if (options_.tls) write_certificate();
    start();
  }
  ~RedisServer() {
    kill();
    std::filesystem::remove_all(directory_);
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  /// On the port that it had before. It answers a moment later.
  void start() {
    std::vector<std::string> words{"setpriv",   "--pdeathsig", "KILL",      "redis-server",     "--bind",
                                   "127.0.0.1", "--save",      "",          "--appendonly",     "no",
                                   "--dir",     directory_,    "--logfile", directory_ + "/log"};
    const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
    if (!options_.password.empty()) add({"--requirepass", options_.password});
    if (options_.tls)
      add({"--port", "0", "--tls-port", std::to_string(port_), "--tls-auth-clients", "no", "--tls-cert-file",
           directory_ + "/cert", "--tls-key-file", directory_ + "/key"});
    else
      add({"--port", std::to_string(port_)});
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    if (::posix_spawnp(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
      throw std::runtime_error("cannot start redis-server");
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void pause() { ::kill(pid_, SIGSTOP); }
  void resume() { ::kill(pid_, SIGCONT); }

  std::uint16_t port() const { return port_; }
  std::string certificate_file() const { return directory_ + "/cert"; }
  RedisOptions options() const {
    RedisOptions options{
        RedisUrl::parse((options_.tls ? "rediss://127.0.0.1:" : "redis://127.0.0.1:") + std::to_string(port_)).value()};
    options.url.password = SecretString(options_.password);
    if (options_.tls) options.trust.ca_file = certificate_file();
    return options;
  }

 private:
  /// Bound here as well, and never listened on: nobody else is given this port while Redis is down (SO_REUSEADDR, which
  /// Redis sets too, lets two bind as long as one does not listen; socket(7)).
  void hold_port() {
    held_ = runtime::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(held_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(held_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(held_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("cannot bind a port");
    port_ = ntohs(address.sin_port);
  }
  void write_certificate() {
    const auto made = net::make_self_signed({"127.0.0.1"}, 30).value();
    std::ofstream(directory_ + "/cert") << made.certificate_pem;
    std::ofstream(directory_ + "/key") << made.private_key_pem;
  }

  const RedisServerOptions options_;
  std::string directory_;
  runtime::Descriptor held_;
  std::uint16_t port_ = 0;
  pid_t pid_ = 0;
};

/// The one that tests of a program share that neither kill nor fill it.
inline RedisServer& shared_redis() {
  static RedisServer server;
  return server;
}

}  // namespace higgs::boson::testing
