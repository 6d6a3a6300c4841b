#include "bosonserver/server/state_files.h"

#include <stdexcept>

#include "base/base64.h"
#include "bosonserver/api/local_names.h"
#include "net/tls_stream.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

constexpr unsigned kCertificateDays = 3650;
constexpr const char* kCertificateFile = "server.crt";
constexpr const char* kPrivateKeyFile = "server.key";
constexpr const char* kSealingKeyFile = "sealing.key";
constexpr const char* kServerIdFile = "server-id";
constexpr const char* kTurnSecretFile = "turn.key";
constexpr std::size_t kKeyBytes = 32;

template <class T>
T must(Result<T> result, const std::string& what) {
  if (!result) throw std::runtime_error(what + ": " + result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string read(const std::filesystem::path& file) {
  return must(runtime::read_file(file), "cannot read " + file.string());
}

/// The names under which clients may check the certificate; most pin it instead.
std::vector<std::string> certificate_names(const ServerSettings& settings) {
  const auto names = LocalNames::of_this_machine().all();
  std::vector<std::string> all(names.begin(), names.end());
  if (settings.api.public_origin) {
    const auto authority = settings.api.public_origin->substr(std::string_view("https://").size());
    auto host = authority.substr(0, authority.rfind(':'));
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    all.insert(all.begin(), host);
  }
  return all;
}

/// In base64.
std::string load_or_make_key(const std::filesystem::path& file, RandomSource& random) {
  auto text = must(runtime::read_file_if_there(file), "cannot read " + file.string());
  if (text) return std::move(*text);
  auto made = to_base64(random.array<kKeyBytes>());
  must(runtime::write_file_atomic(file, made), "cannot write " + file.string());
  return made;
}

SecretBytes<kKeyBytes> parse_key(std::string text, const std::filesystem::path& file) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const auto bytes = from_base64(text);
  if (!bytes || bytes->size() != kKeyBytes)
    throw std::runtime_error(file.string() + " holds no key of 32 bytes in base64");
  SecretBytes<kKeyBytes> key;
  std::copy(bytes->begin(), bytes->end(), key.reveal_mutable().begin());
  return key;
}

ServerCertificate with_pin(std::string certificate, std::string key) {
  auto pin = must(net::spki_pin_of(certificate), "cannot read the certificate");
  return {std::move(certificate), std::move(key), std::move(pin)};
}

}  // namespace

ServerCertificate load_or_make_certificate(const ServerSettings& settings) {
  if (settings.certificate) return with_pin(read(*settings.certificate), read(*settings.private_key));
  const auto certificate_file = settings.state_dir / kCertificateFile, key_file = settings.state_dir / kPrivateKeyFile;
  const auto certificate = must(runtime::read_file_if_there(certificate_file), "cannot read the certificate");
  const auto key = must(runtime::read_file_if_there(key_file), "cannot read the certificate's key");
  if (certificate && key) return with_pin(*certificate, *key);
  const auto made =
      must(net::make_self_signed(certificate_names(settings), kCertificateDays), "cannot make a certificate");
  // The key first: a certificate that stands without its key would be taken for a whole one.
  must(runtime::write_file_atomic(key_file, made.private_key_pem), "cannot write " + key_file.string());
  must(runtime::write_file_atomic(certificate_file, made.certificate_pem), "cannot write " + certificate_file.string());
  return with_pin(made.certificate_pem, made.private_key_pem);
}

std::string pin_of_certificate(const ServerSettings& settings) {
  const auto file = settings.certificate.value_or(settings.state_dir / kCertificateFile);
  return must(net::spki_pin_of(read(file)), "cannot read the certificate");
}

ServerId load_or_make_server_id(const std::filesystem::path& state_dir, RandomSource& random) {
  const auto file = state_dir / kServerIdFile;
  auto text = must(runtime::read_file_if_there(file), "cannot read " + file.string());
  if (!text) {
    text = Uuid::random(random).to_string();
    must(runtime::write_file_atomic(file, *text), "cannot write " + file.string());
  }
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  const auto id = parse_id<ServerId>(*text);
  if (!id) throw std::runtime_error(file.string() + " holds no id");
  return *id;
}

SealingKey load_or_make_sealing_key(const ServerSettings& settings, RandomSource& random) {
  if (const auto& file = settings.sealing_key_file) {
    must(runtime::check_private(*file), "cannot use " + file->string());
    return parse_key(read(*file), *file);
  }
  const auto file = settings.state_dir / kSealingKeyFile;
  return parse_key(load_or_make_key(file, random), file);
}

TurnSecret load_or_make_turn_secret(const ServerSettings& settings, RandomSource& random) {
  if (const auto& file = settings.turn.secret_file) return parse_key(read(*file), *file);
  const auto file = settings.state_dir / kTurnSecretFile;
  return parse_key(load_or_make_key(file, random), file);
}

}  // namespace higgs::boson
