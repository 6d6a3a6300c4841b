#include "bosonserver/server/client_trust.h"

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

}  // namespace

void ask_for_certificates(net::TlsContext& context, const ServerSettings& settings) {
  if (!settings.client_ca) return;
  net::TlsClientTrust trust{read("tls.client_ca", *settings.client_ca), std::nullopt};
  if (settings.client_crl) trust.crl_pem = read("tls.client_crl", *settings.client_crl);
  const auto asked = context.ask_for_certificates(trust);
  if (!asked && asked.error() == net::TlsError::kBadClientCrl)
    fail("tls.client_crl", *settings.client_crl, asked.error());
  if (!asked) fail("tls.client_ca", *settings.client_ca, asked.error());
}

}  // namespace higgs::boson
