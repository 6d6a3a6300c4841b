// `higgsnode status` for people.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace higgs::node {

std::string status_text(const nlohmann::json& status);

}  // namespace higgs::node
