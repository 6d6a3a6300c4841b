#include "path/signal.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace higgs::path {

namespace {

using nlohmann::json;

template <class Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

// A port-mapped candidate is server-reflexive for whoever hears of it: RFC 8445 knows no fifth type.
constexpr Names<ice::CandidateType, 5> kTypes{{{ice::CandidateType::kHost, "host"},
                                               {ice::CandidateType::kServerReflexive, "srflx"},
                                               {ice::CandidateType::kPortMapped, "mapped"},
                                               {ice::CandidateType::kRelayed, "relay"},
                                               {ice::CandidateType::kPeerReflexive, "srflx"}}};
constexpr Names<Kind, 4> kKinds{
    {{Kind::kDirectV6, "direct-v6"}, {Kind::kDirectV4, "direct-v4"}, {Kind::kTurn, "turn"}, {Kind::kRelay, "relay"}}};

template <class Enum, std::size_t N>
std::string_view name_of(Enum value, const Names<Enum, N>& names) noexcept {
  for (const auto& [candidate, name] : names)
    if (candidate == value) return name;
  return names.back().second;
}

/// RFC 8839, section 5.1: ice-char = ALPHA / DIGIT / "+" / "/".
bool is_ice_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/// Reads the fields of one message and remembers the first fault.
class FieldReader {
 public:
  explicit FieldReader(const json& payload) : payload_(payload) {}

  std::uint64_t integer(const char* name, std::uint64_t least, std::uint64_t most) {
    const json* field = find(name);
    if (field == nullptr) return least;
    if (!field->is_number_unsigned()) return fail(), least;
    const auto value = field->get<std::uint64_t>();
    if (value < least || value > most) return fail(), least;
    return value;
  }
  std::uint32_t u32(const char* name) {
    return static_cast<std::uint32_t>(integer(name, 0, std::numeric_limits<std::uint32_t>::max()));
  }
  std::string_view text(const char* name) {
    const json* field = find(name);
    if (field == nullptr) return {};
    if (!field->is_string()) return fail(), std::string_view();
    return field->get_ref<const std::string&>();
  }
  std::string ice_text(const char* name, std::size_t least, std::size_t most) {
    const std::string_view value = text(name);
    if (error_) return {};
    if (value.size() < least || value.size() > most || !std::ranges::all_of(value, is_ice_char))
      return fail(), std::string();
    return std::string(value);
  }
  template <class Enum, std::size_t N>
  Enum one_of(const char* name, const Names<Enum, N>& names) {
    const std::string_view value = text(name);
    for (const auto& [candidate, spelled] : names)
      if (spelled == value) return candidate;
    return fail(), names.front().first;
  }
  IpAddress address(const char* name) {
    const auto value = IpAddress::parse(text(name));
    // A mapped IPv6 address would be the same place under a second name.
    if (!value || value->is_unspecified() || value->unmapped() != *value) return fail(), IpAddress();
    return *value;
  }

  Result<Signal> finish(Signal signal) {
    if (error_) return *error_;
    return signal;
  }

 private:
  const json* find(const char* name) {
    const auto field = payload_.find(name);
    if (field != payload_.end()) return &*field;
    if (!error_) error_ = SignalError::kMissingField;
    return nullptr;
  }
  void fail() {
    if (!error_) error_ = SignalError::kBadField;
  }

  const json& payload_;
  std::optional<SignalError> error_;
};

Result<Signal> read_description(FieldReader& in) {
  ice::Description out;
  out.generation = in.u32("generation");
  out.ufrag = in.ice_text("ufrag", kMinUfrag, kMaxUfrag);
  out.password = in.ice_text("password", kMinPassword, kMaxPassword);
  return in.finish(std::move(out));
}

Result<Signal> read_candidate(FieldReader& in) {
  CandidateSignal out;
  out.generation = in.u32("generation");
  out.candidate.type = in.one_of("type", kTypes);
  out.candidate.endpoint.address = in.address("address");
  out.candidate.endpoint.port = static_cast<std::uint16_t>(in.integer("port", 1, 65535));
  // RFC 8445, section 5.1.2: "a positive integer between 1 and (2**31 - 1)".
  out.candidate.priority = static_cast<std::uint32_t>(in.integer("priority", 1, 0x7FFFFFFF));
  out.candidate.foundation = in.ice_text("foundation", 1, kMaxFoundation);
  return in.finish(std::move(out));
}

Result<Signal> read_end(FieldReader& in) { return in.finish(CandidatesEnd{in.u32("generation")}); }

Result<Signal> read_path(FieldReader& in) {
  PathSignal out;
  // 0 means "said nothing" in probes.
  out.epoch = static_cast<std::uint32_t>(in.integer("epoch", 1, std::numeric_limits<std::uint32_t>::max()));
  out.kind = in.one_of("path", kKinds);
  return in.finish(out);
}

struct PayloadWriter {
  json operator()(const ice::Description& description) const {
    return {{"action", "ice-description"},
            {"generation", description.generation},
            {"ufrag", description.ufrag},
            {"password", description.password}};
  }
  json operator()(const CandidateSignal& signal) const {
    const auto& candidate = signal.candidate;
    return {{"action", "candidate"},
            {"generation", signal.generation},
            {"type", name_of(candidate.type, kTypes)},
            {"address", candidate.endpoint.address.to_string()},
            {"port", candidate.endpoint.port},
            {"priority", candidate.priority},
            {"foundation", candidate.foundation}};
  }
  json operator()(const CandidatesEnd& end) const {
    return {{"action", "candidates-end"}, {"generation", end.generation}};
  }
  json operator()(const PathSignal& signal) const {
    return {{"action", "path-changed"}, {"epoch", signal.epoch}, {"path", name_of(signal.kind, kKinds)}};
  }
};

}  // namespace

Result<Signal> parse_signal(const relay::PeerMessage& message) noexcept {
  if (message.payload_json.size() > kMaxSignalBytes) return SignalError::kTooLong;
  const json payload = json::parse(message.payload_json.begin(), message.payload_json.end(), nullptr, false);
  if (!payload.is_object()) return SignalError::kNotJson;
  FieldReader in(payload);
  if (message.action == "ice-description") return read_description(in);
  if (message.action == "candidate") return read_candidate(in);
  if (message.action == "candidates-end") return read_end(in);
  if (message.action == "path-changed") return read_path(in);
  return SignalError::kUnknownAction;
}

relay::PeerMessage encode_signal(const Signal& signal) {
  const json payload = std::visit(PayloadWriter{}, signal);
  return {payload["action"].get<std::string>(), payload.dump()};
}

}  // namespace higgs::path

HIGGS_ERROR_CATEGORY(higgs::path, SignalError, "path.signal") {
  switch (error) {
    case higgs::path::SignalError::kTooLong:
      return "the message is too long";
    case higgs::path::SignalError::kNotJson:
      return "the message is not a JSON object";
    case higgs::path::SignalError::kUnknownAction:
      return "the message is none that peers exchange";
    case higgs::path::SignalError::kMissingField:
      return "a field is missing";
    case higgs::path::SignalError::kBadField:
      return "a field has a wrong type or value";
  }
  return "unknown error";
}
