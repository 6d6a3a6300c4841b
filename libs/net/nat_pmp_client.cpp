#include "net/nat_pmp_client.h"

#include <algorithm>
#include <span>
#include <utility>

#include <arpa/inet.h>
#include <natpmp.h>
#include <sys/socket.h>

namespace higgs::net {
namespace {

using namespace std::chrono_literals;

// Constants of our choosing.
/// The library repeats a request after 250 ms, 500 ms, …; after this long it is given up.
constexpr std::chrono::seconds kPatience{4};
constexpr std::chrono::seconds kNatPmpAskAgain{120};
constexpr std::chrono::seconds kShortest{30}, kLongest{24 * 3600};

std::string describe_nat_pmp(int error) {
  switch (error) {
    case NATPMP_ERR_NOGATEWAYSUPPORT:
      return "the router does not speak it";
    case NATPMP_ERR_UNSUPPORTEDVERSION:
      return "the router does not speak this version";
    case NATPMP_ERR_UNSUPPORTEDOPCODE:
      return "the router maps no UDP ports";
    case NATPMP_ERR_NOTAUTHORIZED:
      return "the router does not allow it";
    case NATPMP_ERR_NETWORKFAILURE:
      return "the router has no public address: it is behind another NAT, or offline";
    case NATPMP_ERR_OUTOFRESOURCES:
      return "the router has no room for more mappings";
    case NATPMP_ERR_SENDERR:
      return "the router cannot be sent to";
    default:
      return "the library reports error " + std::to_string(error);
  }
}

}  // namespace

class NatPmpClient::Impl {
 public:
  Impl(Instant now, const Options& options) : options_(options), wished_port_(options.port), next_(now) {
    in_addr gateway{};
    const auto bytes = options_.gateway.bytes();
    if (bytes.size() != sizeof gateway.s_addr) return;
    std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(&gateway.s_addr, 1)).begin());
    open_ = initnatpmp(&library_, 1, gateway.s_addr) == 0;
    if (!open_) {
      failure_ = "no socket could be made";
      return;
    }
    if (options_.mark != 0) ::setsockopt(library_.s, SOL_SOCKET, SO_MARK, &options_.mark, sizeof options_.mark);
    run(now);
  }
  ~Impl() {
    if (open_) closenatpmp(&library_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void run(Instant now) {
    if (!open_) return;
    if (mapping_ && now >= mapping_->until) forget("the router does not answer any more");
    if (asking_ != Asking::kNothing) read(now);
    if (asking_ != Asking::kNothing && now >= give_up_) unanswered(now, NATPMP_ERR_NOGATEWAYSUPPORT);
    if (asking_ == Asking::kNothing && now >= next_ && !released_) ask_address(now);
  }

  std::optional<Instant> poll_timeout(Instant now) {
    if (!open_ || release_done_) return std::nullopt;
    if (asking_ == Asking::kNothing) return released_ ? std::nullopt : std::optional(next_);
    timeval wait{};
    if (getnatpmprequesttimeout(&library_, &wait) != 0) return give_up_;
    const auto left = std::max(std::chrono::microseconds(0),
                               std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec));
    return std::min(give_up_, now + left + 1ms);
  }

  void refresh(Instant now) {
    if (!open_ || released_) return;
    renew_at_.reset();
    next_ = now;
    if (asking_ == Asking::kNothing) run(now);
  }

  void release(Instant now) {
    if (released_) return;
    released_ = true;
    if (!mapping_ && asking_ != Asking::kMapping) {
      release_done_ = true;
      return;
    }
    mapping_.reset();
    ask_removal(now);
  }

  int fd() const noexcept { return open_ ? library_.s : -1; }

  std::optional<Mapping> mapping_;
  std::string failure_;
  std::uint64_t restarts_ = 0;
  bool no_outside_address_ = false, release_done_ = false;

 private:
  enum class Asking { kNothing, kAddress, kMapping };

  void drop_request() {
    library_.has_pending_request = 0;
    asking_ = Asking::kNothing;
  }

  void forget(const char* why) {
    mapping_.reset();
    renew_at_.reset();
    failure_ = why;
  }

  void ask_address(Instant now) {
    if (const int sent = sendpublicaddressrequest(&library_); sent < 0) {
      unanswered(now, sent);
      return;
    }
    asking_ = Asking::kAddress;
    give_up_ = now + kPatience;
  }

  void ask_mapping(Instant now) {
    const auto lifetime = static_cast<std::uint32_t>(options_.lifetime.count());
    const int sent = sendnewportmappingrequest(&library_, NATPMP_PROTOCOL_UDP, options_.port, wished_port_, lifetime);
    if (sent < 0) {
      unanswered(now, sent);
      return;
    }
    asking_ = Asking::kMapping;
    give_up_ = now + kPatience;
  }

  /// RFC 6886, 3.4: a lifetime and an outside port of zero remove the mapping.
  void ask_removal(Instant now) {
    drop_request();
    if (!open_ || sendnewportmappingrequest(&library_, NATPMP_PROTOCOL_UDP, options_.port, 0, 0) < 0) {
      release_done_ = true;
      return;
    }
    asking_ = Asking::kMapping;
    give_up_ = now + kPatience;
  }

  void read(Instant now) {
    natpmpresp_t response{};
    const int result = readnatpmpresponseorretry(&library_, &response);
    if (result == NATPMP_TRYAGAIN) return;
    if (result < 0) {
      unanswered(now, result);
      return;
    }
    const auto asked = asking_;
    drop_request();
    if (released_) {
      // Any other answers what was asked before: the removal is asked for again, since the library has let go of it.
      const bool removed = response.type == NATPMP_RESPTYPE_UDPPORTMAPPING && response.pnu.newportmapping.lifetime == 0;
      if (removed) {
        release_done_ = true;
      } else {
        ask_removal(now);
      }
      return;
    }
    const bool kept = epoch_fits(now, response.epoch);
    if (!kept) ++restarts_;
    if (asked == Asking::kAddress && response.type == NATPMP_RESPTYPE_PUBLICADDRESS) {
      outside_ = IpAddress::v4(ntohl(response.pnu.publicaddress.addr.s_addr));
      const bool renew = !kept || !mapping_ || !renew_at_ || now >= *renew_at_;
      if (renew) {
        ask_mapping(now);
      } else {
        mapping_->external.address = outside_;
        next_ = std::min(now + options_.check, *renew_at_);
      }
    } else if (asked == Asking::kMapping && response.type == NATPMP_RESPTYPE_UDPPORTMAPPING) {
      mapped(now, response);
    } else {
      next_ = now + options_.check;
    }
  }

  void mapped(Instant now, const natpmpresp_t& response) {
    const auto& granted = response.pnu.newportmapping;
    next_ = now + options_.check;
    if (granted.privateport != options_.port || granted.lifetime == 0 || granted.mappedpublicport == 0) return;
    const auto lifetime = std::clamp(std::chrono::seconds(granted.lifetime), kShortest, kLongest);
    wished_port_ = granted.mappedpublicport;
    mapping_ = Mapping{{outside_, granted.mappedpublicport}, lifetime, now + lifetime};
    renew_at_ = now + lifetime / 2;
    failure_.clear();
    no_outside_address_ = false;
  }

  /// RFC 6886, 3.6: the router's clock may run an eighth slower than ours, and two seconds are for rounding.
  bool epoch_fits(Instant now, std::uint32_t epoch) {
    const auto before = std::exchange(epoch_, Epoch{now, epoch});
    if (!before) return true;
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(now - before->at).count();
    return std::int64_t{epoch} + 2 >= std::int64_t{before->seconds} + passed * 7 / 8;
  }

  void unanswered(Instant now, int error) {
    drop_request();
    if (released_) {
      release_done_ = true;
      return;
    }
    failure_ = describe_nat_pmp(error);
    no_outside_address_ = error == NATPMP_ERR_NETWORKFAILURE;
    // What stands goes on standing until its life ends: a router that is away for a moment may not have forgotten.
    next_ = now + (mapping_ || restarts_ > 0 || ++failures_ < 3 ? options_.check : kNatPmpAskAgain);
  }

  struct Epoch {
    Instant at;
    std::uint32_t seconds;
  };
  Options options_;
  natpmp_t library_{};
  bool open_ = false, released_ = false;
  Asking asking_ = Asking::kNothing;
  std::uint16_t wished_port_;
  IpAddress outside_;
  std::optional<Epoch> epoch_;
  std::optional<Instant> renew_at_;
  Instant next_, give_up_{};
  unsigned failures_ = 0;
};

NatPmpClient::NatPmpClient(Instant now, const Options& options) : impl_(std::make_unique<Impl>(now, options)) {}
NatPmpClient::~NatPmpClient() = default;
int NatPmpClient::fd() const noexcept { return impl_->fd(); }
std::optional<Instant> NatPmpClient::poll_timeout(Instant now) const { return impl_->poll_timeout(now); }
void NatPmpClient::run(Instant now) { impl_->run(now); }
void NatPmpClient::refresh(Instant now) { impl_->refresh(now); }
void NatPmpClient::release(Instant now) { impl_->release(now); }
bool NatPmpClient::release_done() const noexcept { return impl_->release_done_; }
const std::optional<NatPmpClient::Mapping>& NatPmpClient::mapping() const noexcept { return impl_->mapping_; }
const std::string& NatPmpClient::failure() const noexcept { return impl_->failure_; }
bool NatPmpClient::no_outside_address() const noexcept { return impl_->no_outside_address_; }
std::uint64_t NatPmpClient::restarts() const noexcept { return impl_->restarts_; }

}  // namespace higgs::net
