// The API document, proto/openapi.yaml, as JSON; made at build time by embed.py.
#pragma once

#include <string_view>

namespace higgs::boson {

std::string_view openapi_json();

}  // namespace higgs::boson
