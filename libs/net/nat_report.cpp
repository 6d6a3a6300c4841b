#include "net/nat_report.h"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace higgs::net {

namespace {

using stun::Behaviour;
using stun::BehaviourReport;
using stun::NatClass;
using stun::PortAllocation;

constexpr std::array kBehaviours = {Behaviour::kUnknown, Behaviour::kEndpointIndependent, Behaviour::kAddressDependent,
                                    Behaviour::kAddressAndPortDependent};
constexpr std::array kAllocations = {PortAllocation::kUnknown, PortAllocation::kPreserved, PortAllocation::kSequential,
                                     PortAllocation::kRandom};
constexpr std::array kClasses = {NatClass::kUnknown,        NatClass::kOpen,           NatClass::kFullCone,
                                 NatClass::kRestrictedCone, NatClass::kPortRestricted, NatClass::kSymmetric,
                                 NatClass::kUdpBlocked};

template <class T, std::size_t N>
std::optional<T> named(const std::array<T, N>& all, const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  for (const T value : all)
    if (stun::to_string(value) == found->get_ref<const std::string&>()) return value;
  return std::nullopt;
}

const char* headline(const BehaviourReport& report) {
  switch (report.nat) {
    case NatClass::kOpen:
      return "none: this host is on the internet, and no firewall is before it (Open)";
    case NatClass::kFullCone:
      return "full cone: whoever knows the outside port reaches this host (FullCone)";
    case NatClass::kRestrictedCone:
      return "address-restricted: an address that was sent to may answer from any port (RestrictedCone)";
    case NatClass::kPortRestricted:
      return report.translated ? "port-restricted: only what was sent to may answer (PortRestricted)"
                               : "none, but a firewall: only what was sent to may answer (PortRestricted)";
    case NatClass::kSymmetric:
      return "symmetric: another outside port for each destination (Symmetric)";
    case NatClass::kUdpBlocked:
      return "UDP does not pass: the server was silent (UdpBlocked)";
    case NatClass::kUnknown:
      break;
  }
  return "unknown (Unknown)";
}

const char* consequence(const BehaviourReport& report) {
  switch (report.nat) {
    case NatClass::kOpen:
    case NatClass::kFullCone:
    case NatClass::kRestrictedCone:
      return "with every peer whose UDP passes";
    case NatClass::kPortRestricted:
      return "with every peer whose UDP passes, but for symmetric NATs";
    case NatClass::kSymmetric:
      return report.allocation == PortAllocation::kSequential
                 ? "with peers that are not themselves symmetric; the next port can be predicted"
                 : "only with peers behind no NAT, a full cone or an address-restricted one";
    case NatClass::kUdpBlocked:
      return "none; the relay carries everything";
    case NatClass::kUnknown:
      break;
  }
  return report.server_complete ? "not known: some ends of the server did not answer"
                                : "not known: this server has one address only and cannot test more";
}

std::string ports(const BehaviourReport& report) {
  if (report.allocation != PortAllocation::kSequential) return std::string(to_string(report.allocation));
  return fmt::format("sequential, {:+}", report.port_step);
}

}  // namespace

std::string nat_report_text(const BehaviourReport& report) {
  return fmt::format(
      "NAT:                {}\n"
      "outside address:    {}\n"
      "mapping:            {}\n"
      "filtering:          {}\n"
      "outside ports:      {}\n"
      "direct connections: {}\n",
      headline(report), report.mapped ? report.mapped->to_string() : "not known", to_string(report.mapping),
      to_string(report.filtering), ports(report), consequence(report));
}

nlohmann::json nat_report_json(const BehaviourReport& report) {
  nlohmann::json json;
  json["natType"] = to_string(report.nat);
  json["mapping"] = to_string(report.mapping);
  json["filtering"] = to_string(report.filtering);
  json["allocation"] = to_string(report.allocation);
  json["portStep"] = report.port_step;
  json["translated"] = report.translated;
  json["mappedAddress"] = report.mapped ? nlohmann::json(report.mapped->to_string()) : nlohmann::json(nullptr);
  json["serverComplete"] = report.server_complete;
  return json;
}

std::optional<BehaviourReport> parse_nat_report(const nlohmann::json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto nat = named(kClasses, json, "natType");
  const auto mapping = named(kBehaviours, json, "mapping"), filtering = named(kBehaviours, json, "filtering");
  const auto allocation = named(kAllocations, json, "allocation");
  if (!nat || !mapping || !filtering || !allocation) return std::nullopt;
  BehaviourReport report;
  report.nat = *nat;
  report.mapping = *mapping;
  report.filtering = *filtering;
  report.allocation = *allocation;
  const auto step = json.find("portStep"), translated = json.find("translated"), mapped = json.find("mappedAddress"),
             complete = json.find("serverComplete");
  if (step != json.end() && step->is_number_integer()) report.port_step = step->get<int>();
  if (translated != json.end() && translated->is_boolean()) report.translated = translated->get<bool>();
  if (complete != json.end() && complete->is_boolean()) report.server_complete = complete->get<bool>();
  if (mapped != json.end() && mapped->is_string()) report.mapped = Endpoint::parse(mapped->get<std::string>());
  return report;
}

}  // namespace higgs::net
