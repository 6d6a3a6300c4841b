// Numbers of the protocol, and numbers of our own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace higgs::wireguard {

// --- set by the WireGuard paper ------------------------------------------------------------------------------------

// Section 6.1, the table of constants. "Rekey-After-Messages 2^60, Reject-After-Messages 2^64 - 2^13 - 1,
// Rekey-After-Time 120 seconds, Reject-After-Time 180 seconds, Rekey-Attempt-Time 90 seconds, Rekey-Timeout 5 seconds,
// Keepalive-Timeout 10 seconds".
inline constexpr std::uint64_t kRekeyAfterMessages = std::uint64_t{1} << 60;
inline constexpr std::uint64_t kRejectAfterMessages = ~std::uint64_t{0} - (std::uint64_t{1} << 13);
inline constexpr std::chrono::seconds kRekeyAfterTime{120};
inline constexpr std::chrono::seconds kRejectAfterTime{180};
inline constexpr std::chrono::seconds kRekeyAttemptTime{90};
inline constexpr std::chrono::seconds kRekeyTimeout{5};
inline constexpr std::chrono::seconds kKeepaliveTimeout{10};
// Section 6.3: all keys are erased "after Reject-After-Time * 3" without a new session.
inline constexpr std::chrono::seconds kEraseKeysAfterTime = kRejectAfterTime * 3;
// Section 6.1: "a jitter" is added to the retransmission; the implementations draw it from [0, 333] ms.
inline constexpr std::chrono::milliseconds kMaxRetransmitJitter{333};
// Section 5.4.7: "Rm changes every two minutes".
inline constexpr std::chrono::seconds kCookieSecretLifetime{120};
// Section 5.4.6: "zero padded … a multiple of 16".
inline constexpr std::size_t kPaddingMultiple = 16;

// --- chosen as the Linux kernel has chosen, so that both ends behave alike -----------------------------------------

/// Retries before a handshake is given up: as many as fit into kRekeyAttemptTime.
inline constexpr unsigned kMaxHandshakeAttempts =
    static_cast<unsigned>(kRekeyAttemptTime.count() / kRekeyTimeout.count());
/// A cookie is not used in its last seconds, since it has to arrive too.
inline constexpr std::chrono::seconds kCookieLatency{5};
/// Initiations that one peer may have consumed.
inline constexpr std::chrono::nanoseconds kMinInitiationInterval =
    std::chrono::nanoseconds(std::chrono::seconds(1)) / 50;
/// Timestamps are rounded down to this, so that they are no clock for side channels (about 17 ms; a power of two below
/// kMinInitiationInterval).
inline constexpr std::uint32_t kTimestampGranularityNanoseconds = std::uint32_t{1} << 24;
/// Handshake messages of one source under load: a rate, and how many may come at once.
inline constexpr std::uint64_t kHandshakesPerSecondPerSource = 20;
inline constexpr std::uint64_t kHandshakeBurstPerSource = 5;

// --- our own -------------------------------------------------------------------------------------------------------

/// Counters behind the greatest one that are still accepted once.
inline constexpr std::uint64_t kReplayWindow = 8192;
/// How long the interface stays "under load" after the rate was exceeded.
inline constexpr std::chrono::seconds kUnderLoadTime{1};

}  // namespace higgs::wireguard
