#include "net/upnp_gateway.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnpdev.h>

namespace higgs::net {
namespace {

// Constants of the specification: WANIPConnection:2, 2.3.16 and 2.5.
constexpr int kNoSuchEntry = 714, kConflict = 718, kOnlyPermanentLeases = 725;

// Constants of our choosing.
constexpr int kSearchMilliseconds = 700;
constexpr unsigned char kTtl = 2;
/// Answers to a search that are looked at.
constexpr int kMostDevices = 32;
/// Ports that are asked for when the wished one is taken.
constexpr int kMostPorts = 4;
/// What the library writes texts of the router into: its own buffers are of these sizes.
constexpr std::size_t kAddressBytes = 16, kPortBytes = 6, kDescriptionBytes = 80, kFlagBytes = 4, kLeaseBytes = 16;

std::string describe_upnp(int error) {
  switch (error) {
    case UPNPCOMMAND_HTTP_ERROR:
      return "the router does not answer";
    case UPNPCOMMAND_INVALID_RESPONSE:
      return "the router answers nonsense";
    case 501:
      return "the router failed";  // NOLINT(readability-magic-numbers): UPnP architecture 1.1, table 3-3
    case 606:
      return "the router does not allow it";
    case kConflict:
      return "the router has given the ports to others";
    default:
      return "the router answered " + std::to_string(error);
  }
}

}  // namespace

bool url_is_at(std::string_view url, const IpAddress& address) noexcept {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return false;
  url.remove_prefix(kScheme.size());
  return IpAddress::parse(url.substr(0, url.find_first_of(":/?#"))) == address;
}

class UpnpGateway::Impl {
 public:
  Impl(Options options, RandomSource& random)
      : options_(std::move(options)), random_(random), inside_port_(std::to_string(options_.port)) {}
  ~Impl() { forget(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool find() {
    forget();
    int error = 0;
    // No minissdpd: its socket may belong to another network namespace.
    UPNPDev* devices = upnpDiscover(kSearchMilliseconds, options_.address.to_string().c_str(), "", UPNP_LOCAL_PORT_ANY,
                                    0, kTtl, &error);
    int looked_at = 0;
    for (const auto* device = devices; device != nullptr && looked_at < kMostDevices && !found_;
         device = device->pNext, ++looked_at) {
      found_ = url_is_at(device->descURL, options_.gateway) && take(device->descURL);
    }
    freeUPNPDevlist(devices);
    if (!found_) failure_ = "no router answers the search";
    return found_;
  }

  std::optional<Endpoint> map() {
    std::array<char, kAddressBytes> outside{};
    int result = UPNP_GetExternalIPAddress(urls_.controlURL, service(), outside.data());
    const auto address = result == UPNPCOMMAND_SUCCESS ? IpAddress::parse(outside.data()) : std::nullopt;
    if (!address || address->is_unspecified()) {
      failure_ = result == UPNPCOMMAND_SUCCESS
                     ? "the router has no public address: it is behind another NAT, or offline"
                     : describe_upnp(result);
      return std::nullopt;
    }
    auto port = outside_port_ != 0 ? outside_port_ : options_.port;
    for (int attempt = 0; attempt < kMostPorts; ++attempt) {
      result = add(port);
      if (result == UPNPCOMMAND_SUCCESS) {
        outside_port_ = port;
        failure_.clear();
        return Endpoint{*address, port};
      }
      if (result != kConflict) break;
      port = static_cast<std::uint16_t>(20000 + random_.below(40000));
    }
    failure_ = describe_upnp(result);
    return std::nullopt;
  }

  Check check() {
    std::array<char, kAddressBytes> client{};
    std::array<char, kPortBytes> port{};
    std::array<char, kDescriptionBytes> description{};
    std::array<char, kFlagBytes> enabled{};
    std::array<char, kLeaseBytes> lease{};
    const int result = UPNP_GetSpecificPortMappingEntry(
        urls_.controlURL, service(), std::to_string(outside_port_).c_str(), "UDP", nullptr, client.data(), port.data(),
        description.data(), enabled.data(), lease.data());
    if (result == UPNPCOMMAND_SUCCESS) {
      const bool ours = IpAddress::parse(client.data()) == options_.address && inside_port_ == port.data();
      return ours ? Check::kStands : Check::kForgotten;
    }
    if (result == kNoSuchEntry) return Check::kForgotten;
    // Some routers do not let their entries be read: their word at mapping must do.
    return result > 0 ? Check::kStands : Check::kGone;
  }

  void unmap() {
    if (!found_ || outside_port_ == 0) return;
    UPNP_DeletePortMapping(urls_.controlURL, service(), std::to_string(outside_port_).c_str(), "UDP", nullptr);
  }

  std::chrono::seconds lease() const noexcept { return permanent_ ? std::chrono::seconds(0) : options_.lifetime; }
  const std::string& failure() const noexcept { return failure_; }

 private:
  const char* service() const noexcept { return data_.first.servicetype; }

  bool take(const char* description_url) {
    std::array<char, 64> local{};
    if (UPNP_GetIGDFromUrl(description_url, &urls_, &data_, local.data(), static_cast<int>(local.size())) != 1) {
      return false;
    }
    // The description may name any host: its word is good for the router alone.
    if (urls_.controlURL != nullptr && url_is_at(urls_.controlURL, options_.gateway) &&
        data_.first.servicetype[0] != 0) {
      return true;
    }
    FreeUPNPUrls(&urls_);
    return false;
  }

  int add(std::uint16_t outside_port) {
    const auto outside = std::to_string(outside_port), address = options_.address.to_string();
    const auto with_lease = [&](const std::string& lease) {
      return UPNP_AddPortMapping(urls_.controlURL, service(), outside.c_str(), inside_port_.c_str(), address.c_str(),
                                 options_.description.c_str(), "UDP", nullptr, lease.c_str());
    };
    permanent_ = false;
    int result = with_lease(std::to_string(options_.lifetime.count()));
    if (result == kOnlyPermanentLeases) {
      permanent_ = true;
      result = with_lease("0");
    }
    return result;
  }

  void forget() {
    if (found_) FreeUPNPUrls(&urls_);
    found_ = false;
    urls_ = {};
    data_ = {};
  }

  Options options_;
  RandomSource& random_;
  std::string inside_port_;
  UPNPUrls urls_{};
  IGDdatas data_{};
  bool found_ = false, permanent_ = false;
  std::uint16_t outside_port_ = 0;
  std::string failure_;
};

UpnpGateway::UpnpGateway(Options options, RandomSource& random)
    : impl_(std::make_unique<Impl>(std::move(options), random)) {}
UpnpGateway::~UpnpGateway() = default;
bool UpnpGateway::find() { return impl_->find(); }
std::optional<Endpoint> UpnpGateway::map() { return impl_->map(); }
UpnpGateway::Check UpnpGateway::check() { return impl_->check(); }
void UpnpGateway::unmap() { impl_->unmap(); }
std::chrono::seconds UpnpGateway::lease() const noexcept { return impl_->lease(); }
const std::string& UpnpGateway::failure() const noexcept { return impl_->failure(); }

}  // namespace higgs::net
