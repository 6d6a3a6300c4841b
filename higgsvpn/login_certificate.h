// The certificate with which a user logs in instead of a password. It is read for that one login, and kept nowhere.
#pragma once

#include <filesystem>
#include <string>

#include "higgsvpn/failure.h"
#include "net/tls_stream.h"

namespace higgs::vpn {

struct LoginCertificate {
  net::TlsIdentity identity;
  std::string username;  ///< the subject's CN
};

/// Both in PEM; one file may hold both. Refused: a key that others may read, or one of another certificate, and a
/// certificate that names no user, or several, or whose time is over.
Outcome<LoginCertificate> read_login_certificate(const std::filesystem::path& certificate_file,
                                                 const std::filesystem::path& key_file);

}  // namespace higgs::vpn
