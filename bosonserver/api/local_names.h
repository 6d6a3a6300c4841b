// Under which names this machine may be addressed when nobody configured a public URL. A registration is signed for the
// server's origin; taking any Host header for it would let one server pass a registration on to another.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace higgs::boson {

class LocalNames {
 public:
  /// The addresses of this machine's interfaces (in their text form, IPv6 without brackets), its host name, localhost.
  static LocalNames of_this_machine();
  explicit LocalNames(std::set<std::string> names) : names_(std::move(names)) {}

  /// `origin`: as api::origin_of() yields it.
  bool covers(std::string_view origin) const;
  const std::set<std::string>& all() const noexcept { return names_; }

 private:
  std::set<std::string> names_;
};

}  // namespace higgs::boson
