#include "higgsvpn/login_certificate.h"

#include "runtime/clock.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

constexpr std::size_t kLargestFileBytes = 256 * 1024;

Failure unusable(std::string message, std::string remedy) {
  return {ExitCode::kUsage, std::move(message), std::move(remedy), false, {}};
}

/// What is wrong with the two together; nullopt: nothing.
std::optional<Failure> fault_of(const net::TlsIdentity& identity, const std::string& certificate_file,
                                const std::string& key_file) {
  const auto context = net::TlsContext::client({}, identity);
  if (context) return std::nullopt;
  const auto& error = context.error();
  if (error == net::TlsError::kBadPrivateKey)
    return unusable("cannot use the key " + key_file + ": " + error.message(), "openssl pkey takes a password off");
  if (error == net::TlsError::kKeyMismatch)
    return unusable(key_file + " is not the key of " + certificate_file, "give the two that belong together");
  return unusable("cannot use the certificate " + certificate_file + ": " + error.message(), "");
}

}  // namespace

Outcome<LoginCertificate> read_login_certificate(const std::filesystem::path& certificate_file,
                                                 const std::filesystem::path& key_file) {
  const auto certificate_name = certificate_file.string(), key_name = key_file.string();
  auto certificate = runtime::read_file(certificate_file, kLargestFileBytes);
  if (!certificate) return Failure::of(certificate.error(), "cannot read the certificate " + certificate_name);
  if (const auto own = runtime::check_private(key_file); !own && own.error() == runtime::FileError::kOpenToOthers)
    return unusable("others may read the key " + key_name, "chmod 600 " + key_name);
  auto key = runtime::read_file(key_file, kLargestFileBytes);
  if (!key) return Failure::of(key.error(), "cannot read the key " + key_name);
  const auto read = net::read_client_certificate(*certificate);
  if (!read) return unusable("cannot use the certificate " + certificate_name + ": " + read.error().message(), "");
  if (read->common_names.size() != 1 || read->common_names.front().empty())
    return unusable(certificate_name + " does not name one user", "its subject needs one CN, the user's name");
  if (read->not_after <= runtime::now().wall)
    return unusable("the certificate " + certificate_name + " has expired", "ask for a new one");
  LoginCertificate made{{std::move(*certificate), SecretString(std::move(*key))}, read->common_names.front()};
  if (auto fault = fault_of(made.identity, certificate_name, key_name)) return std::move(*fault);
  return made;
}

}  // namespace higgs::vpn
