#include "bosonserver/server/server_tls.h"

#include <stdexcept>

#include "runtime/files.h"

namespace higgs::boson {
namespace {

/// Lists of what was revoked may grow.
constexpr std::size_t kLargestFileBytes = 16 * 1024 * 1024;

[[noreturn]] void fail(const char* setting, const std::filesystem::path& file, const ErrorCode& error) {
  throw std::runtime_error(std::string("cannot use ") + setting + ", " + file.string() + ": " + error.message());
}

std::string read(const char* setting, const std::filesystem::path& file) {
  auto text = runtime::read_file(file, kLargestFileBytes);
  if (!text) fail(setting, file, text.error());
  return std::move(*text);
}

void ask_for_certificates(net::TlsContext& context, const ServerSettings& settings) {
  if (!settings.client_ca) return;
  net::TlsClientTrust trust{read("tls.client_ca", *settings.client_ca), std::nullopt};
  if (settings.client_crl) trust.crl_pem = read("tls.client_crl", *settings.client_crl);
  const auto asked = context.ask_for_certificates(trust);
  if (!asked && asked.error() == net::TlsError::kBadClientCrl)
    fail("tls.client_crl", *settings.client_crl, asked.error());
  if (!asked) fail("tls.client_ca", *settings.client_ca, asked.error());
}

net::TlsContext context_of(const ServerCertificate& certificate) {
  auto context = net::TlsContext::server(certificate.certificate_pem, certificate.private_key_pem);
  if (!context) throw std::runtime_error("cannot use the certificate: " + context.error().message());
  return std::move(*context);
}

ServerTls tls_of(ServerCertificate certificate, const ServerSettings& settings) {
  auto api = context_of(certificate), turn = context_of(certificate);
  ask_for_certificates(api, settings);
  return {std::move(certificate), std::move(api), std::move(turn)};
}

}  // namespace

ServerTls load_tls(const ServerSettings& settings) { return tls_of(load_or_make_certificate(settings), settings); }
ServerTls reload_tls(const ServerSettings& settings) { return tls_of(load_certificate(settings), settings); }

}  // namespace higgs::boson
