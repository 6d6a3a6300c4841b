#include "net/default_gateway.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/number.h"

namespace higgs::net {
namespace {

/// More than any host's routes before the default one; the rest of the file is not read.
constexpr std::size_t kMostBytes = 1024 * 1024;
constexpr std::uint32_t kUp = 1, kGateway = 2, kReject = 0x200;  // linux/route.h: RTF_UP, RTF_GATEWAY, RTF_REJECT

}  // namespace

std::optional<DefaultGateway> parse_default_gateway(std::string_view routes) {
  std::istringstream lines{std::string(routes)};
  std::optional<DefaultGateway> best;
  std::uint32_t best_metric = 0;
  for (std::string line; std::getline(lines, line);) {
    // Iface Destination Gateway Flags RefCnt Use Metric Mask …
    std::istringstream words(line);
    std::array<std::string, 8> word;
    for (auto& each : word) words >> each;
    const auto destination = parse_number<std::uint32_t>(word[1], 16),
               gateway = parse_number<std::uint32_t>(word[2], 16), flags = parse_number<std::uint32_t>(word[3], 16);
    const auto metric = parse_number<std::uint32_t>(word[6], 10), mask = parse_number<std::uint32_t>(word[7], 16);
    if (!destination || !gateway || !flags || !metric || !mask) continue;
    if (*destination != 0 || *mask != 0 || (*flags & (kUp | kGateway)) != (kUp | kGateway) || (*flags & kReject) != 0) {
      continue;
    }
    if (best && best_metric <= *metric) continue;
    // The kernel prints the address as the number that its bytes make in the host's order.
    ByteArray<4> bytes;
    std::memcpy(bytes.data(), &*gateway, bytes.size());
    best = DefaultGateway{IpAddress::v4(bytes), word[0]};
    best_metric = *metric;
  }
  return best;
}

std::optional<DefaultGateway> read_default_gateway() {
  // Not /proc/net, which is the first thread's: a thread may have a network namespace of its own.
  std::ifstream file("/proc/thread-self/net/route");
  std::string text(kMostBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_default_gateway(text);
}

bool is_behind_nat(const IpAddress& outside) noexcept {
  static const auto kPrefixes = [] {
    std::vector<IpPrefix> all;
    for (const auto* text : {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
                             "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16"}) {
      all.push_back(*IpPrefix::parse(text));
    }
    return all;
  }();
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](const auto& prefix) { return prefix.contains(outside); });
}

}  // namespace higgs::net
