#include "relay/queue_context.h"

namespace higgs::relay {

std::string_view to_string(DropReason reason) noexcept {
  switch (reason) {
    case DropReason::kQueueFull:
      return "queue_full";
    case DropReason::kAge:
      return "age";
    case DropReason::kCoDel:
      return "codel";
    case DropReason::kMemory:
      return "memory";
    case DropReason::kRate:
      return "rate";
    case DropReason::kHold:
      return "hold";
    case DropReason::kUnknownChannel:
      return "unknown_channel";
    case DropReason::kNoReceiver:
      return "no_receiver";
    case DropReason::kClosed:
      return "closed";
    case DropReason::kMalformed:
      return "malformed";
  }
  return "unknown";
}

}  // namespace higgs::relay
