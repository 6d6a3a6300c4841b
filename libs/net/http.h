// HTTP/1.1 messages as values. Beast parses and serialises them inside http_server.cpp and http_client.cpp only.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "net/client_certificate.h"

namespace higgs::net {

/// Header fields in order; names compare without case.
class HttpHeaders {
 public:
  void set(std::string_view name, std::string_view value);  ///< replaces all of that name
  void add(std::string_view name, std::string_view value);
  std::optional<std::string_view> get(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const noexcept { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
  std::string method;                                      ///< upper case
  std::string target;                                      ///< as sent: path and query
  std::string path;                                        ///< decoded, without the query
  std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order
  HttpHeaders headers;
  std::string body;
  Endpoint remote;
  std::optional<std::chrono::microseconds> round_trip;  ///< to `remote`, as the kernel measures it; not through a proxy
  std::optional<ClientCertificate> client_certificate;  ///< that `remote` itself has shown, where the server asks
  bool behind_tls_proxy =
      false;               ///< a proxy of ours ends TLS: the certificate that we see, if any, is not the client's
  std::string request_id;  ///< made by the server (or taken from X-Request-Id if it is sane)
};

struct HttpResponse {
  unsigned status = 200;
  HttpHeaders headers;
  std::string body;
  /// For so long the next request on this connection waits, unless it comes through a proxy that carries those of
  /// others, too: who asks too often gets an answer no more often for it.
  std::chrono::milliseconds hold{0};
};

}  // namespace higgs::net
