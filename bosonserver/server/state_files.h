// The server's own files in its state directory: certificate, its key, and the keys that seal the signing
// keys and make the credentials of TURN.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bosonserver/api/key_ring.h"
#include "bosonserver/server/settings.h"
#include "bosonserver/turn/turn_sessions.h"

namespace higgs::boson {

struct ServerCertificate {
  std::string certificate_pem, private_key_pem;
  std::string pin;  ///< "sha256/…"
};

/// Of the settings' files, or the state directory's own. Throws std::runtime_error where one of them is not there,
/// cannot be read or is not understood.
ServerCertificate load_certificate(const ServerSettings& settings);
/// The same; but where the settings name none, and neither of the state directory's own is there, they are made.
ServerCertificate load_or_make_certificate(const ServerSettings& settings);
/// Of the certificate that is there; throws where there is none.
std::string pin_of_certificate(const ServerSettings& settings);
/// Under which the others of a cluster know this server; made at first start.
ServerId load_or_make_server_id(const std::filesystem::path& state_dir, RandomSource& random);
/// That of settings.sealing_key_file, which must be there and be nobody else's to read, or else one of our own.
SealingKey load_or_make_sealing_key(const ServerSettings& settings, RandomSource& random);
/// That of settings.turn.secret_file, which must be there, or else one of our own.
TurnSecret load_or_make_turn_secret(const ServerSettings& settings, RandomSource& random);

}  // namespace higgs::boson
