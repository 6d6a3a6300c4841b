#include "higgsvpn/failure.h"

#include <stdexcept>

#include "tunnel/firewall.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::vpn {
namespace {

bool is_permission(const ErrorCode& error) {
  return error == boost::system::errc::make_error_condition(boost::system::errc::permission_denied) ||
         error == boost::system::errc::make_error_condition(boost::system::errc::operation_not_permitted) ||
         error == tunnel::make_error_code(tunnel::FirewallError::kNotPermitted) ||
         error == tunnel::make_error_code(tunnel::TunnelError::kNotPermitted);
}

}  // namespace

Failure Failure::of(const ErrorCode& error, std::string doing, std::string remedy) {
  Failure failure;
  failure.message = std::move(doing) + ": " + error.message();
  failure.remedy = std::move(remedy);
  if (is_permission(error)) {
    failure.code = ExitCode::kNotPermitted;
    if (failure.remedy.empty()) failure.remedy = "run it as root: sudo higgsvpn …";
  }
  return failure;
}

std::string Failure::to_string() const { return remedy.empty() ? message : message + "\n  → " + remedy; }

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::runtime_error(failure.message);
}

}  // namespace higgs::vpn
