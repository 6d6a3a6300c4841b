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

struct CertificateFiles {
  std::filesystem::path certificate, key;
};

CertificateFiles certificate_files(const ServerSettings& settings) {
  if (settings.certificate) return {*settings.certificate, *settings.private_key};
  return {settings.state_dir / kCertificateFile, settings.state_dir / kPrivateKeyFile};
}

std::optional<std::string> read_if_there(const std::filesystem::path& file) {
  return must(runtime::read_file_if_there(file), "cannot read " + file.string());
}

/// A new key in place of one that was lost would be another server to everybody who has pinned this one.
[[noreturn]] void fail_without(const CertificateFiles& files, bool has_certificate, bool has_key, bool named) {
  const std::string certificate = files.certificate.string(), key = files.key.string();
  const std::string others = "name others with tls.certificate and tls.private_key";
  if (!has_certificate && !has_key)
    throw std::runtime_error("neither the certificate, " + certificate + ", nor its key, " + key +
                             ", is there: put both back" +
                             (named ? ", or " + others : "; new ones, with another pin, are made at a start only"));
  const auto& missing = has_certificate ? key : certificate;
  const auto& standing = has_certificate ? certificate : key;
  throw std::runtime_error(missing + " is not there, though " + standing + " is: put it back, or " +
                           (named ? others : "remove that too: the next start makes new ones then, with another pin"));
}

}  // namespace

ServerCertificate load_certificate(const ServerSettings& settings) {
  const auto files = certificate_files(settings);
  auto certificate = read_if_there(files.certificate), key = read_if_there(files.key);
  if (!certificate || !key)
    fail_without(files, certificate.has_value(), key.has_value(), settings.certificate.has_value());
  return with_pin(std::move(*certificate), std::move(*key));
}

ServerCertificate load_or_make_certificate(const ServerSettings& settings) {
  const auto [certificate_file, key_file] = certificate_files(settings);
  if (settings.certificate || read_if_there(certificate_file) || read_if_there(key_file))
    return load_certificate(settings);
  const auto made =
      must(net::make_self_signed(certificate_names(settings), kCertificateDays), "cannot make a certificate");
  // The key first: a certificate that stands without its key would be taken for a whole one.
  must(runtime::write_file_atomic(key_file, made.private_key_pem), "cannot write " + key_file.string());
  must(runtime::write_file_atomic(certificate_file, made.certificate_pem), "cannot write " + certificate_file.string());
  return with_pin(made.certificate_pem, made.private_key_pem);
}

std::string pin_of_certificate(const ServerSettings& settings) {
  return must(net::spki_pin_of(read(certificate_files(settings).certificate)), "cannot read the certificate");
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
