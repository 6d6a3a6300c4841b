// The opening handshake of RFC 6455, section 4: what a server demands and answers, what a client asks and checks. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/http.h"

namespace higgs::net {

/// Whether a request asks for a WebSocket at all.
bool asks_for_websocket(const HttpRequest& request);
/// RFC 6455, 4.2.1: nullopt, or the refusal (400, or 426 with the version we speak).
std::optional<HttpResponse> refuse_websocket(const HttpRequest& request);
/// The 101. `subprotocol` empty: none.
HttpResponse accept_websocket(const HttpRequest& request, std::string_view subprotocol);

/// A fresh key for Sec-WebSocket-Key, from 16 random bytes.
std::string websocket_key(const ByteArray<16>& nonce);
void add_websocket_request(HttpHeaders& headers, std::string_view key, std::string_view subprotocol);
/// RFC 6455, 4.1, of a 101: the right accept value, exactly the sub-protocol asked for, no extension.
bool accepted_websocket(const HttpResponse& response, std::string_view key, std::string_view subprotocol);

}  // namespace higgs::net
