// How a NAT behaves, in the words of RFC 4787.
#pragma once

#include <string>

namespace higgs::sim {

enum class Dependence { kEndpointIndependent, kAddress, kAddressAndPort };
enum class Ports { kPreserved, kRandom, kSequential };

struct NatType {
  bool translates = true;  ///< false: a firewall, or with independent filtering nothing at all
  Dependence mapping = Dependence::kEndpointIndependent;
  Dependence filtering = Dependence::kEndpointIndependent;
  Ports ports = Ports::kPreserved;
};

inline constexpr NatType kOpen{false, Dependence::kEndpointIndependent, Dependence::kEndpointIndependent,
                               Ports::kPreserved};

inline std::string to_string(const NatType& type) {
  static constexpr const char* kDependence[] = {"EI", "AD", "APD"};
  static constexpr const char* kPorts[] = {"preserved", "random", "sequential"};
  if (!type.translates) return std::string("no NAT, filters ") + kDependence[static_cast<int>(type.filtering)];
  return std::string("maps ") + kDependence[static_cast<int>(type.mapping)] + " filters " +
         kDependence[static_cast<int>(type.filtering)] + " ports " + kPorts[static_cast<int>(type.ports)];
}

}  // namespace higgs::sim
