#include "net/websocket_handshake.h"

#include <openssl/evp.h>

#include "base/assert.h"
#include "base/base64.h"
#include "net/http_text.h"

namespace higgs::net {

namespace {

// RFC 6455, 1.3: "concatenate this with the Globally Unique Identifier".
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
// RFC 6455, 4.1: "The value of this header field MUST be 13."
constexpr std::string_view kVersion = "13";

std::string accept_value(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  ByteArray<20> digest;
  unsigned size = 0;
  const int done =
      EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha1(), nullptr);
  HIGGS_ASSERT(done == 1 && size == digest.size());
  return to_base64(digest);
}

bool field_has_token(const HttpHeaders& headers, std::string_view name, std::string_view token) {
  for (const auto& [key, value] : headers.all()) {
    if (equal_without_case(key, name) && list_has_token(value, token)) return true;
  }
  return false;
}

}  // namespace

bool asks_for_websocket(const HttpRequest& request) { return field_has_token(request.headers, "Upgrade", "websocket"); }

std::optional<HttpResponse> refuse_websocket(const HttpRequest& request) {
  if (request.method != "GET" || !field_has_token(request.headers, "Connection", "upgrade") || !request.body.empty())
    return problem_response(400, "a WebSocket is opened by GET with Connection: Upgrade and no body");
  if (request.headers.get("Sec-WebSocket-Version") != kVersion) {
    auto response = problem_response(426, "this server speaks WebSocket version 13");
    response.headers.set("Sec-WebSocket-Version", kVersion);
    response.headers.set("Upgrade", "websocket");
    return response;
  }
  const auto key = from_base64(request.headers.get("Sec-WebSocket-Key").value_or(""));
  if (!key || key->size() != 16) return problem_response(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  return std::nullopt;
}

HttpResponse accept_websocket(const HttpRequest& request, std::string_view subprotocol) {
  HttpResponse response{.status = 101, .headers = {}, .body = {}};
  response.headers.set("Upgrade", "websocket");
  response.headers.set("Sec-WebSocket-Accept", accept_value(request.headers.get("Sec-WebSocket-Key").value_or("")));
  if (!subprotocol.empty()) response.headers.set("Sec-WebSocket-Protocol", subprotocol);
  return response;
}

std::string websocket_key(const ByteArray<16>& nonce) { return to_base64(nonce); }

void add_websocket_request(HttpHeaders& headers, std::string_view key, std::string_view subprotocol) {
  headers.set("Connection", "Upgrade");
  headers.set("Upgrade", "websocket");
  headers.set("Sec-WebSocket-Version", kVersion);
  headers.set("Sec-WebSocket-Key", key);
  if (!subprotocol.empty()) headers.set("Sec-WebSocket-Protocol", subprotocol);
}

bool accepted_websocket(const HttpResponse& response, std::string_view key, std::string_view subprotocol) {
  return response.status == 101 && field_has_token(response.headers, "Upgrade", "websocket") &&
         field_has_token(response.headers, "Connection", "upgrade") &&
         response.headers.get("Sec-WebSocket-Accept") == accept_value(key) &&
         response.headers.get("Sec-WebSocket-Protocol").value_or("") == subprotocol &&
         !response.headers.get("Sec-WebSocket-Extensions");
}

}  // namespace higgs::net
