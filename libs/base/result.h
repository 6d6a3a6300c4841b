// Expected failure is a value: Result<T> holds a T or an error code. Each module declares an enum of its errors and
// makes it an error code with HIGGS_ERROR_ENUM (in the header, global namespace) and HIGGS_ERROR_CATEGORY (in a
// source).
#pragma once

#include <cerrno>
#include <string>
#include <type_traits>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace higgs {

using ErrorCode = boost::system::error_code;
template <class T>
using Result = boost::system::result<T, ErrorCode>;

/// A value of errno; by default what the system call that has just failed says.
inline ErrorCode errno_code(int value = errno) noexcept { return {value, boost::system::generic_category()}; }

#pragma GCC diagnostic push
// Boost's category has a protected destructor that is not virtual, which is safe: categories are never deleted.
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// What HIGGS_ERROR_CATEGORY derives from.
class ErrorCategory : public boost::system::error_category {
 public:
  ErrorCategory() = default;
  virtual ~ErrorCategory() = default;
};
#pragma GCC diagnostic pop

}  // namespace higgs

/// In the header, at global namespace: HIGGS_ERROR_ENUM(higgs::relay, FrameError)
/// declares higgs::relay::make_error_code(FrameError).
#define HIGGS_ERROR_ENUM(NAMESPACE, ENUM)                \
  namespace NAMESPACE {                                  \
  boost::system::error_code make_error_code(ENUM error); \
  }                                                      \
  template <>                                            \
  struct boost::system::is_error_code_enum<NAMESPACE::ENUM> : std::true_type {};

/// In a source: HIGGS_ERROR_CATEGORY(higgs::relay, FrameError, "relay.frame") { switch (error) { case …: return "…"; }
/// } The body maps `FrameError error` to a sentence for people.
#define HIGGS_ERROR_CATEGORY(NAMESPACE, ENUM, NAME)                                                    \
  namespace NAMESPACE {                                                                                \
  static std::string ENUM##_message(ENUM error);                                                       \
  namespace {                                                                                          \
  struct ENUM##Category final : ::higgs::ErrorCategory {                                               \
    const char* name() const noexcept override { return NAME; }                                        \
    std::string message(int value) const override { return ENUM##_message(static_cast<ENUM>(value)); } \
  };                                                                                                   \
  }                                                                                                    \
  boost::system::error_code make_error_code(ENUM error) {                                              \
    static const ENUM##Category category;                                                              \
    return {static_cast<int>(error), category};                                                        \
  }                                                                                                    \
  }                                                                                                    \
  std::string NAMESPACE::ENUM##_message(ENUM error)
