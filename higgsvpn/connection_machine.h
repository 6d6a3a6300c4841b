// What `connect` does next: a state machine without IO. It is told what happened and asked what to do.
//
//   no session ──request route──▶ session ──open link──▶ linked ──session-ready──▶ ready ──handshake──▶ up
//        ▲                          │ ▲                     │                                           │
//        └── token expired, 401/403/404/410, refused, ended ─┘ └───────── link lost: back off ───────────┘
//
// With a direct path or TURN the tunnel is up without the link too; the link is then mended beside it.
// Retries back off from 100 ms to 2 s for the first 30 s of trouble, then to 4 s. A session is renewed at half its
// life. Before the tunnel was up for the first time some failures are final, and everything has to happen within
// `initial_patience`; afterwards only refused credentials end it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "higgsvpn/failure.h"
#include "relay/control.h"
#include "runtime/backoff.h"

namespace higgs::vpn {

struct ConnectionLimits {
  std::chrono::milliseconds initial_patience{30000};
  /// A link that stands this long without a tunnel: another node is asked for, unless the user named one.
  std::chrono::milliseconds node_patience{15000};
  /// After session-ready with `fresh`, the handshake on its way gets this long before a new one is started: long where
  /// its first message was sent on this link a moment ago and held by the server, short where it may have been lost.
  /// Never nothing: a responder drops initiations that follow each other within 20 ms.
  std::chrono::milliseconds first_handshake_grace{1000};
  std::chrono::milliseconds handshake_grace{30};
  std::chrono::milliseconds renewal_retry{5000};
};

class ConnectionMachine {
 public:
  enum class Do { kRequestRoute, kOpenLink, kRenew, kRestartHandshake, kWait, kGiveUp };
  struct Action {
    Do what = Do::kWait;
    Instant until{};  ///< of kWait
  };
  enum class State { kConnecting, kConnected, kReconnecting };

  ConnectionMachine(Instant now, RandomSource& random, bool node_is_pinned, ConnectionLimits limits = {});

  Action next(Instant now);
  State state() const noexcept;
  bool was_up() const noexcept { return was_up_; }
  bool has_session() const noexcept { return expires_at_.has_value(); }
  /// Why it gave up.
  const Failure& failure() const noexcept { return failure_; }
  /// What stands in the way just now; empty: nothing but time.
  const std::string& trouble() const noexcept { return trouble_; }

  void route_obtained(Instant now, std::chrono::seconds lifetime);
  void route_failed(Instant now, Failure failure);
  void link_opened(Instant now);
  /// `status`: of the HTTP answer that refused the upgrade; 0: there was none.
  void link_failed(Instant now, unsigned status, Failure failure);
  /// `code`: of the WebSocket (proto/relay.md, close codes).
  void link_lost(Instant now, std::uint16_t code);
  /// It does not answer, and there is another server: a new link at once, while the old one still stands.
  void link_doubtful(Instant now);
  /// Whether packets reach the node without the link: over a direct path or TURN.
  void carried_without_link(Instant now, bool carried);
  /// The host's address or way out changed: the link, if there is one, leads nowhere.
  void network_changed(Instant now);
  void session_ready(Instant now, bool fresh);
  void session_refused(Instant now, relay::RefusalReason reason);
  void session_closed(Instant now, relay::CloseReason reason);
  void handshake_completed();
  /// The device gave the handshake up or its keys ran out.
  void handshake_lost(Instant now);
  void renewed(Instant now, std::chrono::seconds lifetime);
  void renewal_failed(Instant now, const Failure& failure);
  /// The server wants us elsewhere: a new link, while the old one still stands.
  void drained(Instant now);

 private:
  bool is_up() const noexcept { return ((link_up_ && ready_) || carried_) && handshake_done_; }
  void note(Failure failure);
  void drop_session(Instant now);
  void settle();
  void give_up(Failure failure);

  RandomSource& random_;
  const bool pinned_;
  const ConnectionLimits limits_;
  const Instant started_;
  runtime::Backoff route_backoff_, link_backoff_;
  Failure failure_;
  std::string trouble_;
  bool given_up_ = false, was_up_ = false;
  bool link_up_ = false, link_wanted_ = true, ready_ = false, ready_before_ = false, handshake_done_ = false,
       carried_ = false;
  Instant route_at_, link_at_, link_since_{};
  std::optional<Instant> expires_at_, renew_at_, restart_at_, other_node_at_;
};

}  // namespace higgs::vpn
