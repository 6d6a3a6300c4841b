#include "bosonserver/cli/password_input.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include <termios.h>
#include <unistd.h>

#include "crypto/password_hash.h"

namespace higgs::boson {
namespace {

/// Echo off for as long as it lives.
class QuietTerminal {
 public:
  QuietTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) throw std::runtime_error("cannot use the terminal");
    auto quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~QuietTerminal() { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

 private:
  termios before_{};
};

SecretString first_line(std::istream& in, const std::string& where) {
  std::string line;
  if (!std::getline(in, line)) throw std::runtime_error("there is no password in " + where);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.size() > crypto::kMaxPasswordBytes) throw std::runtime_error("the password is too long");
  return SecretString(std::move(line));
}

SecretString ask(const char* prompt) {
  std::cerr << prompt << std::flush;
  const QuietTerminal quiet;
  auto answer = first_line(std::cin, "the terminal");
  std::cerr << '\n';
  return answer;
}

}  // namespace

SecretString read_password(const std::optional<std::string>& file) {
  if (file && *file == "-") return first_line(std::cin, "standard input");
  if (file) {
    std::ifstream in(*file);
    if (!in) throw std::runtime_error("cannot read the password file " + *file);
    return first_line(in, *file);
  }
  if (const char* variable = std::getenv("HIGGS_PASSWORD")) return SecretString(variable);
  if (::isatty(STDIN_FILENO) == 0) throw std::runtime_error("no password: give --password-file or HIGGS_PASSWORD");
  auto first = ask("Password: ");
  if (!(first == ask("Again: "))) throw std::runtime_error("the passwords differ");
  return first;
}

}  // namespace higgs::boson
