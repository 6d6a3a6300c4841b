// Messages of a far end that has the passwords but means no good: raw datagrams, and requests and answers with valid
// integrity around attributes of the fuzzer's choice. The agent must keep its budget and come to no harm.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>

#include "ice/agent.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace {

using namespace higgs;
using namespace std::chrono_literals;

class Fuzz {
 public:
  Fuzz() {
    agent_.add_local_candidate(now_, ice::CandidateType::kHost, *Endpoint::parse("203.0.113.1:1"));
    agent_.add_local_candidate(now_, ice::CandidateType::kHost, *Endpoint::parse("[2001:db8::1]:1"));
    agent_.add_local_candidate(now_, ice::CandidateType::kRelayed, *Endpoint::parse("203.0.113.2:1"));
    agent_.set_remote_description(now_, far_);
    for (const auto* text : {"203.0.113.9:9", "[2001:db8::9]:9"})
      agent_.add_remote_candidate(now_, {ice::CandidateType::kHost, *Endpoint::parse(text), 1, "1"}, 1);
    drain();
  }

  /// kind, address, time, then the message or its attributes.
  void step(ByteView input) {
    ByteReader reader(input);
    const auto kind = reader.be<std::uint8_t>(), where = reader.be<std::uint8_t>(), wait = reader.be<std::uint8_t>();
    if (!kind || !where || !wait) return;
    now_ += std::chrono::milliseconds(*wait * 4);
    const auto base = static_cast<ice::Base>(*where % 3);
    const Endpoint from = *where >= 128 ? last_to_ : Endpoint{IpAddress::v4(0xCB007100u + *where), 9};
    switch (*kind % 8) {
      case 0:
        agent_.handle_packet(now_, base, from, reader.rest());
        break;
      case 1:
      case 2:
        built(base, from, stun::MessageClass::kRequest, reader.rest());
        break;
      case 3:
        built(base, from, stun::MessageClass::kSuccess, reader.rest());
        break;
      case 4:
        built(base, from, stun::MessageClass::kError, reader.rest());
        break;
      case 5:
        agent_.restart(now_);
        break;
      case 6:
        ++far_.generation;
        agent_.set_remote_description(now_, far_);
        break;
      default:
        agent_.send_probe(now_, *where % 4, *wait, *wait);
    }
    agent_.handle_timeout(now_);
    // No owner may be made to spin.
    if (const auto next = agent_.poll_timeout(); next && *next <= now_) std::abort();
    drain();
  }

 private:
  void built(ice::Base base, const Endpoint& from, stun::MessageClass of, ByteView attributes) {
    const bool request = of == stun::MessageClass::kRequest;
    const auto& local = agent_.local_description();
    stun::MessageBuilder builder(buffer_, of, stun::kBindingMethod, request ? random_.array<12>() : last_transaction_);
    if (request) builder.add_text(stun::AttributeType::kUsername, local.ufrag + ":" + far_.ufrag);
    ByteReader reader(attributes);
    while (const auto type = reader.be<std::uint16_t>()) {
      const auto length = reader.be<std::uint8_t>();
      const auto value = reader.take(std::min<std::size_t>(length.value_or(0), reader.remaining()));
      builder.add(static_cast<stun::AttributeType>(*type), *value);
    }
    builder.add_message_integrity(stun::IntegrityKey::short_term(request ? local.password : far_.password));
    agent_.handle_packet(now_, base, from, builder.add_fingerprint().finish());
  }

  void drain() {
    while (const auto sent = agent_.poll_transmit()) {
      const auto message = stun::parse(sent->bytes);
      if (!message) std::abort();
      if (message->message_class != stun::MessageClass::kRequest) continue;
      last_transaction_ = message->transaction;
      last_to_ = sent->to;
      requests_.push_back(now_);
      while (now_ - requests_.front() >= 1s) requests_.pop_front();
      if (requests_.size() > 40) std::abort();
    }
    while (agent_.poll_event()) {
    }
  }

  Instant now_{1000s};
  SeededRandom random_{1};
  ice::Agent agent_{now_, {}, random_};
  ice::Description far_{1, "farfarfa", "abcdefghijklmnopqrstuvwx"};
  stun::TransactionId last_transaction_{};
  Endpoint last_to_;
  std::deque<Instant> requests_;
  ByteArray<1024> buffer_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Fuzz fuzz;
  ByteReader reader(std::as_bytes(std::span(data, size)));
  while (const auto length = reader.be<std::uint8_t>())
    fuzz.step(*reader.take(std::min<std::size_t>(*length, reader.remaining())));
  return 0;
}
