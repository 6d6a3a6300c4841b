// What is wrong with a configuration, said so that whoever wrote it can mend it.
#pragma once

#include <string>
#include <vector>

namespace higgs::config {

struct Problem {
  std::string where;    ///< "higgsnode.toml:12", "environment HIGGS_SERVER", "flag --server"; empty: nowhere given
  std::string key;      ///< "egress.deny"; empty: the file as a whole
  std::string message;  ///< what is wrong and how to mend it, without the value of a secret
};
using Problems = std::vector<Problem>;

/// "higgsnode.toml:12: max_conections: unknown key; did you mean max_connections?"
std::string to_string(const Problem& problem);

}  // namespace higgs::config
