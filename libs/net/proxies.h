// Which proxies stand before a server, and how they say for whom they speak. Nobody else is believed.
#pragma once

#include <optional>
#include <vector>

#include "base/ip.h"
#include "net/http.h"

namespace higgs::net {

struct TrustedProxies {
  /// One for all of them: where both were taken, a client behind a proxy that passes bytes on could name itself.
  enum class Header {
    kProxyProtocol,  ///< before TLS, on every connection from a proxy; see proxy_header.h
    kForwardedFor,   ///< X-Forwarded-For, in requests
  };
  std::vector<IpPrefix> networks;  ///< empty: there are none
  Header header = Header::kProxyProtocol;

  bool include(const IpAddress& address) const noexcept;
  bool speak_before(const IpAddress& address) const noexcept {
    return header == Header::kProxyProtocol && include(address);
  }
  /// Whether that peer ends its clients' TLS, so that it is not theirs that we see.
  bool end_tls(const IpAddress& address) const noexcept { return header == Header::kForwardedFor && include(address); }
  /// The request's client by X-Forwarded-For: the last address there that is no proxy of ours, as what stands before it
  /// is the client's own word. nullopt: the peer speaks for itself.
  std::optional<IpAddress> client_of(const IpAddress& peer, const HttpHeaders& headers) const;
};

}  // namespace higgs::net
