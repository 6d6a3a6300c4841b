// Where a password comes from: never from the command line, which everybody can see.
#pragma once

#include <optional>
#include <string>

#include "base/secret.h"

namespace higgs::boson {

/// `file`: a path, or "-" for standard input; unset: the variable HIGGS_PASSWORD, else asked for (twice) on a terminal.
/// Without the line's end. Throws std::runtime_error where there is none.
SecretString read_password(const std::optional<std::string>& file);

}  // namespace higgs::boson
