#include "bosonserver/store/store.h"

HIGGS_ERROR_CATEGORY(higgs::boson, StoreError, "boson.store") {
  using Error = higgs::boson::StoreError;
  switch (error) {
    case Error::kUnavailable:
      return "the store does not answer";
    case Error::kNotFound:
      return "no such record";
    case Error::kExists:
      return "it exists already";
    case Error::kKeyTaken:
      return "the WireGuard key is in use";
    case Error::kIdentityTaken:
      return "the node id belongs to another identity";
    case Error::kStaleSequence:
      return "a newer key certificate is known";
    case Error::kFull:
      return "a limit is reached";
    case Error::kNotAdmitted:
      return "the node is not admitted";
    case Error::kTooMany:
      return "as many as one user may have";
    case Error::kLastAdmin:
      return "this is the last admin: make another one first";
  }
  return "unknown error";
}
