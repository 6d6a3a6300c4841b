// The version of this build.
#pragma once

namespace higgs {

inline constexpr const char kHiggsVersion[] = "0.1.0";

}  // namespace higgs
