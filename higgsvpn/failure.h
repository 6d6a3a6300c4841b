// A failure as the user meets it: what went wrong, how to mend it, and the exit status that says the same to a script.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include "base/result.h"

namespace higgs::vpn {

/// Exit statuses of higgsvpn, as its --help documents them.
enum class ExitCode {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kNotLoggedIn = 3,  ///< not logged in, or the credentials are refused
  kNoNodeFits = 4,
  kUnreachable = 5,  ///< the server does not answer, or is not the one that was pinned
  kNotPermitted = 6,
};

struct Failure {
  ExitCode code = ExitCode::kFailure;
  std::string message;  ///< a sentence without a full stop
  std::string remedy;   ///< what to do about it; may be empty
  /// The session that was asked for is not there (any more).
  bool gone = false;
  std::optional<std::chrono::seconds> retry_after;
  /// The password is right, and the account wants a one-time code as well.
  bool wants_code = false;

  static Failure of(const ErrorCode& error, std::string doing, std::string remedy = {});
  /// "cannot reach …: connection refused\n  → is the server running?"
  std::string to_string() const;
};

template <class T>
using Outcome = boost::system::result<T, Failure>;

/// What Outcome::value() throws: std::runtime_error.
[[noreturn]] void throw_exception_from_error(const Failure& failure, const boost::source_location& where);

}  // namespace higgs::vpn
