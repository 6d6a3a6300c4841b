// The certificate that a client has shown in its TLS handshake, as those see it who decide what it opens.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace higgs::net {

struct ClientCertificate {
  std::vector<std::string> common_names;  ///< of the subject, in UTF-8; one that is no text is empty
  ByteArray<32> fingerprint{};            ///< SHA-256 of the whole certificate
  WallTime not_after;
};

/// Of the first certificate in PEM, whoever has signed it; else TlsError::kBadCertificate.
Result<ClientCertificate> read_client_certificate(const std::string& pem);

}  // namespace higgs::net
