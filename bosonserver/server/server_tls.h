// TLS of the API's and of TURN's listeners, from the files that the settings name.
#pragma once

#include "bosonserver/server/settings.h"
#include "bosonserver/server/state_files.h"
#include "net/tls_stream.h"

namespace higgs::boson {

struct ServerTls {
  ServerCertificate certificate;
  net::TlsContext api;  ///< asks for clients' certificates where settings.client_ca is set
  net::TlsContext turn;
};

/// At the start: the first makes certificate and key. Throws std::runtime_error where a file cannot be read, made or
/// used.
ServerTls load_tls(const ServerSettings& settings);
/// The same for a server that serves: it makes nothing.
ServerTls reload_tls(const ServerSettings& settings);

}  // namespace higgs::boson
