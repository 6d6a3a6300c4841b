#include "crypto/openssl_handle.h"

#include <stdexcept>
#include <string>

namespace higgs::crypto {

void require_openssl(bool succeeded, const char* call) {
  if (!succeeded) throw std::runtime_error(std::string("OpenSSL: ") + call + " failed");
}

}  // namespace higgs::crypto
