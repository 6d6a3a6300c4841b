#include "bosonserver/store/sql_connection.h"

#include "net/websocket_frame.h"

namespace higgs::boson {

std::string storable_text(std::string text) {
  const bool utf8 = net::is_utf8(as_bytes(text));
  for (char& c : text)
    if (c == '\0' || (!utf8 && static_cast<unsigned char>(c) >= 0x80)) c = '?';
  return text;
}

}  // namespace higgs::boson
