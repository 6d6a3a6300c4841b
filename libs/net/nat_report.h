// What was found of a NAT, in words, and as JSON for scripts and for the next run.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "stun/behaviour.h"

namespace higgs::net {

/// Several lines.
std::string nat_report_text(const stun::BehaviourReport& report);
/// {natType, mapping, filtering, allocation, portStep, translated, mappedAddress|null, serverComplete}
nlohmann::json nat_report_json(const stun::BehaviourReport& report);
/// Of nat_report_json(); nullopt: it is none.
std::optional<stun::BehaviourReport> parse_nat_report(const nlohmann::json& json);

}  // namespace higgs::net
