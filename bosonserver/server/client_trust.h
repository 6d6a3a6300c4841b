// Certificates of clients: what the settings say of them, for the API's listener.
#pragma once

#include "bosonserver/server/settings.h"
#include "net/tls_stream.h"

namespace higgs::boson {

/// Where settings.client_ca is set. Throws std::runtime_error where a file cannot be read or used.
void ask_for_certificates(net::TlsContext& context, const ServerSettings& settings);

}  // namespace higgs::boson
