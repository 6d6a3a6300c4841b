// Every body a server or client decodes: no crash, and what decodes survives a second round unchanged.
#include <cstdint>
#include <cstdlib>

#include "api/account.h"
#include "api/node.h"
#include "api/node_config.h"
#include "api/problem.h"
#include "api/routing.h"

namespace {

template <class T>
void round_trip(std::string_view text) {
  const auto first = higgs::api::decode<T>(text);
  if (!first) return;
  const auto written = higgs::api::encode(*first);
  const auto second = higgs::api::decode<T>(written);
  if (!second || higgs::api::encode(*second) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs::api;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  round_trip<RegisterRequest>(text);
  round_trip<RegisterResponse>(text);
  round_trip<HeartbeatRequest>(text);
  round_trip<HeartbeatResponse>(text);
  round_trip<NodeList>(text);
  round_trip<MetricsReport>(text);
  round_trip<RoutingRequest>(text);
  round_trip<RoutingResponse>(text);
  round_trip<LoginRequest>(text);
  round_trip<TokenResponse>(text);
  round_trip<SignUpRequest>(text);
  round_trip<ChangePasswordRequest>(text);
  round_trip<DisableTotpRequest>(text);
  round_trip<CreateInviteRequest>(text);
  round_trip<CreateApiKeyRequest>(text);
  round_trip<CreateAllowEntryRequest>(text);
  round_trip<CreateUserRequest>(text);
  round_trip<UpdateUserRequest>(text);
  round_trip<CreateActionRequest>(text);
  round_trip<MaintenancePayload>(text);
  NodeConfig standing;
  standing.max_connections = 5;
  if (const auto merged = merge_node_config(standing, text)) {
    if (!decode_node_config(encode(*merged))) std::abort();
  }
  round_trip<Problem>(text);
  if (const auto certificate = decode<KeyCertificate>(text)) {
    (void)verify_key_certificate(*certificate, node_id_of(certificate->identity_key), higgs::WallTime{});
    (void)certificate->policy();
  }
  return 0;
}
