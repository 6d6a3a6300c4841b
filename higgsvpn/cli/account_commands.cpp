// login, logout and nodes: everything that only talks to the server.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <termios.h>
#include <unistd.h>

#include "higgsvpn/cli/commands.h"
#include "higgsvpn/cli/output.h"
#include "higgsvpn/cli/privileges.h"
#include "higgsvpn/login_certificate.h"
#include "higgsvpn/marks.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxPasswordBytes = 1024;

Failure not_logged_in() {
  return {ExitCode::kNotLoggedIn, "not logged in", "log in: higgsvpn login --server … --user …", false, {}};
}

std::string first_line(std::istream& in) {
  std::string line;
  std::getline(in, line);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

std::string ask(const char* prompt) {
  std::fputs(prompt, stderr);
  return first_line(std::cin);
}

std::string ask_without_echo() {
  std::fputs("Password: ", stderr);
  termios before{};
  ::tcgetattr(STDIN_FILENO, &before);
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::string line = first_line(std::cin);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::fputc('\n', stderr);
  return line;
}

Outcome<SecretString> read_password(const std::optional<std::string>& file) {
  if (file && *file == "-") return SecretString(first_line(std::cin));
  if (file) {
    auto text = runtime::read_file(*file, kMaxPasswordBytes);
    if (!text) return Failure::of(text.error(), "cannot read the password from " + *file);
    return SecretString(text->substr(0, text->find_first_of("\r\n")));
  }
  if (const char* given = std::getenv("HIGGS_PASSWORD"); given != nullptr) return SecretString(given);
  if (::isatty(STDIN_FILENO) != 0) return SecretString(ask_without_echo());
  return Failure{
      ExitCode::kUsage, "no password given", "use --password-file FILE, or - for the standard input", false, {}};
}

Outcome<std::optional<SecretString>> read_code(const LoginArguments& arguments) {
  if (arguments.totp) return std::optional(SecretString(*arguments.totp));
  if (!arguments.totp_file) return std::optional<SecretString>();
  auto text = runtime::read_file(*arguments.totp_file, kMaxPasswordBytes);
  if (!text) return Failure::of(text.error(), "cannot read the one-time code from " + *arguments.totp_file);
  return std::optional(SecretString(text->substr(0, text->find_first_of("\r\n"))));
}

/// Who logs in, and by what: a password, or a certificate.
struct Credentials {
  std::string username;
  SecretString password;
  std::optional<net::TlsIdentity> identity;
  std::optional<SecretString> code;
};

Outcome<Credentials> read_credentials(const LoginArguments& arguments) {
  Credentials credentials;
  if (arguments.certificate && arguments.key) {
    auto certificate = read_login_certificate(*arguments.certificate, *arguments.key);
    if (!certificate) return certificate.error();
    if (arguments.user && *arguments.user != certificate->username)
      return Failure{ExitCode::kUsage,
                     "the certificate is that of " + certificate->username + ", not of " + *arguments.user,
                     "leave --user out",
                     false,
                     {}};
    credentials.username = certificate->username;
    credentials.identity = std::move(certificate->identity);
  } else {
    if (!arguments.user)
      return Failure{ExitCode::kUsage, "no user given", "use --user NAME, or --certificate FILE --key FILE", false, {}};
    auto password = read_password(arguments.password_file);
    if (!password) return password.error();
    credentials.username = *arguments.user;
    credentials.password = std::move(*password);
  }
  auto code = read_code(arguments);
  if (!code) return code.error();
  credentials.code = std::move(*code);
  return credentials;
}

/// Why a login was refused, and what to do about it.
Failure explained(Failure failure, const Credentials& given) {
  if (failure.wants_code) {
    failure.remedy = given.code ? "wait for the next code, or use a recovery code"
                                : "give it with --totp CODE or --totp-file FILE, or log in on a terminal";
  } else if (failure.code == ExitCode::kNotLoggedIn && failure.remedy.empty()) {
    failure.remedy = given.identity ? "ask whoever issued the certificate, or log in with the password"
                                    : "check both; after many attempts the account is closed for a while";
  }
  return failure;
}

/// Runs one conversation with the server on an event loop of its own.
template <class T>
Outcome<T> talk(const StateDirectory& state, const Account& account,
                const std::function<asio::awaitable<Outcome<T>>(ApiClient&)>& conversation,
                const std::optional<net::TlsIdentity>& identity = std::nullopt) {
  asio::io_context context(1);
  // Marked where that is permitted, so that a closed kill switch lets it through.
  ApiClient client(context.get_executor(), state, account,
                   can_administer_network() ? std::optional(kFirewallMark) : std::nullopt, identity);
  std::optional<Outcome<T>> result;
  std::exception_ptr failure;
  auto done = [&](std::exception_ptr error, Outcome<T> value) {
    failure = std::move(error);
    result.emplace(std::move(value));
    client.close();
  };
  asio::co_spawn(context, conversation(client), done);
  context.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

Outcome<Account> stored_account(const StateDirectory& state) {
  auto account = load_account(state);
  if (!account)
    return Failure::of(account.error(), "cannot read " + state.account().string(), "log in again: higgsvpn login");
  if (!*account) return not_logged_in();
  return std::move(**account);
}

}  // namespace

int login(const Settings& settings, const LoginArguments& arguments, bool json) {
  const StateDirectory state(settings.state_dir);
  const auto origin = server_origin(arguments.server);
  if (!origin) {
    return fail({ExitCode::kUsage,
                 "not a server: " + arguments.server,
                 "give a URL such as https://vpn.example.org:8443",
                 false,
                 {}},
                json);
  }
  if (const auto prepared = state.prepare(); !prepared) {
    return fail(Failure::of(prepared.error(), "cannot use the state directory " + state.path().string()), json);
  }
  auto credentials = read_credentials(arguments);
  if (!credentials) return fail(credentials.error(), json);
  Account account;
  account.server = *origin;
  account.username = credentials->username;
  if (arguments.pin) account.trust.spki_pins = {*arguments.pin};
  account.trust.ca_file = arguments.ca;
  const auto attempt = [&] {
    const auto conversation = [&](ApiClient& client) {
      return credentials->identity ? client.login_by_certificate(credentials->code)
                                   : client.login(credentials->password, credentials->code);
    };
    return talk<void>(state, account, conversation, credentials->identity);
  };
  auto ended = attempt();
  if (!ended && ended.error().wants_code && !credentials->code && ::isatty(STDIN_FILENO) != 0) {
    credentials->code = SecretString(ask("One-time code: "));
    ended = attempt();
  }
  if (!ended) return fail(explained(ended.error(), *credentials), json);
  if (json) {
    std::puts("{\"ok\":true}");
  } else {
    std::printf("logged in to %s as %s\n", origin->c_str(), account.username.c_str());
  }
  return 0;
}

int logout(const Settings& settings, bool json) {
  const StateDirectory state(settings.state_dir);
  const auto account = stored_account(state);
  if (!account) return fail(account.error(), json);
  const auto ended = talk<void>(state, *account, [](ApiClient& client) { return client.logout(); });
  // The tokens are removed here in any case; that the server could not be told is worth knowing.
  if (!ended && ended.error().code != ExitCode::kNotLoggedIn) return fail(ended.error(), json);
  std::puts(json ? "{\"ok\":true}" : "logged out");
  return 0;
}

int list_nodes(const Settings& settings, const NodeFilter& filter, bool json) {
  const StateDirectory state(settings.state_dir);
  const auto account = stored_account(state);
  if (!account) return fail(account.error(), json);
  const auto nodes =
      talk<std::vector<api::NodeSummary>>(state, *account, [&](ApiClient& client) { return client.nodes(filter); });
  if (!nodes) return fail(nodes.error(), json);
  std::fputs((json ? nodes_json(*nodes) : nodes_table(*nodes)).c_str(), stdout);
  return 0;
}

}  // namespace higgs::vpn
