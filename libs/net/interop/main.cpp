// The library's WebSocket for tests against other implementations, over TLS on the loopback.
//
//   websocket_peer serve              prints {"port":…,"pin":…}, then echoes until its input ends
//   websocket_peer connect URL PIN    sends messages that a peer echoes; prints one line of JSON, exit status 0 if
//   right
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "net/interop/echo_client.h"
#include "net/interop/echo_server.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() == 1 && words[0] == "serve") return higgs::net::interop::serve();
    if (words.size() == 3 && words[0] == "connect") return higgs::net::interop::connect(words[1], words[2]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
  std::cerr << "usage: websocket_peer serve | connect URL PIN" << std::endl;
  return 2;
}
