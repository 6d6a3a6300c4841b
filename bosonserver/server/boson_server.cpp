#include "bosonserver/server/boson_server.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include "bosonserver/api/gateway.h"
#include "bosonserver/api/maintenance.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/cache/shared_state.h"
#include "bosonserver/geo/places.h"
#include "bosonserver/relay/relay_server.h"
#include "bosonserver/server/cluster.h"
#include "bosonserver/server/front_door.h"
#include "bosonserver/server/overload_gate.h"
#include "bosonserver/server/overload_watch.h"
#include "bosonserver/server/relay_adapter.h"
#include "bosonserver/server/relay_ledger.h"
#include "bosonserver/server/relay_meter.h"
#include "bosonserver/server/scrape.h"
#include "bosonserver/server/server_tls.h"
#include "bosonserver/server/server_traces.h"
#include "bosonserver/server/state_files.h"
#include "bosonserver/server/store_watch.h"
#include "bosonserver/server/store_worker.h"
#include "bosonserver/server/turn_desk.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/stun/stun_server.h"
#include "crypto/hash.h"
#include "net/http_server.h"
#include "net/tracing.h"
#include "runtime/blocking_pool.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/log.h"
#include "runtime/thread_priority.h"

namespace higgs::boson {
namespace asio = boost::asio;
namespace log = runtime::log;

namespace {

constexpr std::uint16_t kDefaultPort = 8443;
/// What requests under way get to end after the drain.
constexpr std::chrono::milliseconds kStopGrace{2000};
constexpr std::chrono::milliseconds kDrainPoll{20};
constexpr std::size_t kStoreQueue = 1024, kPasswordQueue = 64, kScrapeQueue = 4;
/// A client that logs in has waited long enough then to be told to come back.
constexpr std::chrono::milliseconds kPasswordWait{4000};
/// Tunnels first, then requests, then passwords: where processors are short, new work must not take them from what
/// stands. A step of 5 is about a third of the time (sched(7)).
constexpr int kControlNice = 10, kPasswordNice = 19;
/// A storm of logins leaves three quarters of their threads' time to others. Two dozen that a pause of another server
/// has held up are no storm, and come in time also where each takes a tenth of a second.
constexpr double kPasswordRest = 3;
constexpr std::size_t kPasswordCrowd = 32;

runtime::LockFile lock_state(const std::filesystem::path& directory) {
  if (const auto made = runtime::make_private_directory(directory); !made)
    throw std::runtime_error("cannot use the state directory " + directory.string() + ": " + made.error().message());
  auto lock = runtime::LockFile::acquire(directory / "lock");
  if (!lock)
    throw std::runtime_error("another server uses the state directory " + directory.string() + ": " +
                             lock.error().message());
  return std::move(*lock);
}

RelayOptions relay_options(const ServerSettings& settings) {
  RelayOptions options;
  options.workers = settings.relay_workers;
  options.sessions = settings.relay_sessions;
  options.session_rate_mbps = settings.session_rate_mbps;
  options.memory_bytes = std::min(options.memory_bytes, settings.memory_bytes() / 4);
  return options;
}

StoreSettings store_settings(const ServerSettings& settings) {
  auto store = settings.store_settings();
  store.replica_url = settings.store_replica;
  return store;
}

RelayMeterSettings meter_settings(const ServerSettings& settings) {
  RelayMeterSettings meter;
  meter.rate_mbps = settings.user_rate_mbps;
  meter.over_quota_mbps = settings.over_quota_rate_mbps;
  // Also those that have left a moment ago.
  meter.sessions = std::size_t{2} * settings.relay_sessions;
  return meter;
}

}  // namespace

class BosonServer::Impl {
 public:
  Impl(const ServerSettings& given, std::function<Now()> time, std::unique_ptr<Store> given_store)
      : settings(given),
        clock(time ? std::move(time) : std::function<Now()>(runtime::now)),
        lock(lock_state(settings.state_dir)),
        tls(load_tls(settings)),
        server_id(load_or_make_server_id(settings.state_dir, random)),
        turn(settings, random),
        store(given_store ? std::move(given_store) : open_store(store_settings(settings))),
        shared(settings.cache, random, [] { return runtime::now().monotonic; }),
        sealer(load_or_make_sealing_key(settings, random), random),
        grace(*store),
        keys(*store, sealer, random, settings.api.key_rotation, clock().wall),
        cluster(*store, shared.presence(), shared.events(), clock, server_id),
        directory(*store, cluster.view()),
        heartbeats(*store, [this](NodeId node) { node_moved(services, node); }),
        places(settings.geoip_database ? Places(*settings.geoip_database) : Places()),
        services{settings.api,
                 *store,
                 grace,
                 shared.cache(),
                 keys,
                 sealer,
                 passwords,
                 directory,
                 heartbeats,
                 candidates,
                 places,
                 adapter,
                 turn,
                 cluster.view(),
                 random,
                 clock,
                 LocalNames::of_this_machine(),
                 server_id},
        ledger(
            services, [this](std::function<void()> job) { worker->post(std::move(job)); }, turn, paths, cluster, meter,
            traces) {}

  void start() {
    worker.emplace(
        [this] {
          maintenance.run();
          ledger.write_endings();
        },
        kSweepInterval);
    heartbeat_writer.emplace([this] { write_heartbeats(); }, kHeartbeatFlush);
    relay.emplace(relay_options(settings), ledger);
    adapter.attach(&*relay);
    meter_worker.emplace([this] { meter.tick(); }, kMeterInterval);
    watch.emplace(services);
    door.emplace(services, metrics, store_pool, password_pool, overload, *relay, meter, settings.session_rate_mbps,
                 traces);
    auto handlers = door->handlers();
    handlers.has_room_for_connection = [this] { return overload.has_memory(OverloadGate::kForConnections); };
    handlers.has_room_for_request = [this] { return overload.has_memory(OverloadGate::kForRequests); };
    api_http.emplace(io.get_executor(), tls.api, std::move(handlers), net::HttpServerLimits{}, settings.proxies);
    overload_watch.emplace(io.get_executor(), overload, settings.overload_policy(), settings.memory_bytes(),
                           OverloadWatch::Sources{.queue = [this] {
                             return static_cast<double>(store_pool.queued()) / static_cast<double>(kStoreQueue);
                           }});
    metrics_http.emplace(io.get_executor(), std::nullopt, scrape_handlers());
    api_endpoint = listen_for_api();
    metrics_endpoint = bind(*metrics_http, settings.metrics_listen, "metrics");
    start_stun();
    cluster.start(io, services, *relay, own_entry(), settings.relay_sessions);
    tracing.start(tracing_strand);
    const auto count = settings.io_threads ? settings.io_threads : std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i) {
      threads.emplace_back([this] {
        runtime::set_thread_nice(kControlNice);
        io.run();
      });
    }
  }

  void start_stun() {
    StunOptions options;
    options.listen = settings.stun_listen;
    if (settings.stun_alternate_address)
      options.alternate = Endpoint{*settings.stun_alternate_address, settings.stun_alternate_port};
    else
      log::info(
          "STUN has one address: peers learn theirs, but not what their NAT does (no tests of mapping and "
          "filtering); a second one is stun.alternate_address");
    options.sink = turn.start(tls.turn, random);
    options.external = settings.stun_external_address;
    options.alternate_external = settings.stun_alternate_external_address;
    auto started = StunServer::start(options);
    if (!started)
      throw std::runtime_error("cannot listen on " + settings.stun_listen.to_string() +
                               (options.alternate ? " and " + options.alternate->to_string() : "") +
                               " (STUN): " + started.error().message());
    stun = std::move(*started);
    // Where the port was left to the system. No request is served before this.
    settings.api.stun_port = stun->local().port;
    turn.stun_port(settings.api.stun_port);
  }

  /// What the others are told. An address that was bound as such is where we are; a name has to be configured.
  ServerEntry own_entry() const {
    ServerEntry entry;
    entry.id = server_id;
    entry.url = settings.api.public_origin.value_or("");
    if (entry.url.empty() && !api_endpoint.address.is_unspecified()) entry.url = "https://" + api_endpoint.to_string();
    if (entry.url.empty())
      log::info("public_url is not set: other servers of the store, if there are any, hear nothing of this one");
    entry.pin = tls.certificate.pin;
    entry.relay_workers = relay->workers();
    entry.stun_port = settings.api.stun_port;
    return entry;
  }

  void reload() {
    auto read = reload_tls(settings);
    const bool other_key = read.certificate.pin != tls.certificate.pin;
    tls = std::move(read);
    api_http->use(tls.api);
    turn.use(tls.turn);
    log::info("certificates were read again", {{"pin", tls.certificate.pin}});
    if (!other_key) return;
    log::warn("the certificate has another key: who trusts this server by its pin needs the new one");
    cluster.change_pin(tls.certificate.pin);
  }

  /// Also after a start that failed half way.
  void stop() {
    if (!threads.empty()) close_gently();
    watch.reset();
    guard.reset();
    io.stop();
    for (auto& thread : threads) thread.join();
    threads.clear();
    overload_watch.reset();
    tracing.abandon();
    api_http.reset();
    metrics_http.reset();
    stun.reset();
    meter_worker.reset();
    adapter.detach();
    cluster.detach();
    if (relay) {
      relay.reset();
      meter.tick();  // what the relay told at its end
    }
    cluster.stop();
    worker.reset();
    if (const auto lost = ledger.endings().waiting(); lost > 0)
      log::warn("the store is away: the bytes of ended sessions are lost", {{"sessions", lost}});
    heartbeat_writer.reset();
    write_heartbeats();
    turn.stop();
  }

  void write_heartbeats() {
    if (!heartbeats.flush(runtime::now().monotonic)) log::debug("heartbeats wait for the store", {});
  }

  void close_gently() {
    log::info("stopping", {{"links", relay->links()}});
    std::vector<std::string> elsewhere;
    for (const auto& other : cluster.view().others())
      if (!other.draining) elsewhere.push_back(other.url);
    relay->drain(settings.drain, std::move(elsewhere));
    cluster.drain();
    const auto deadline = std::chrono::steady_clock::now() + settings.drain;
    while (relay->links() > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kDrainPoll);
    stop_listening(*api_http);
    stop_listening(*metrics_http);
    auto ending = tracing.stop();
    asio::co_spawn(tracing_strand, std::move(ending), asio::use_future).get();
  }

  static Endpoint bind(net::HttpServer& server, const Endpoint& where, const char* what) {
    const auto bound = server.listen(where);
    if (!bound)
      throw std::runtime_error("cannot listen on " + where.to_string() + " (" + what + "): " + bound.error().message());
    return *bound;
  }

  Endpoint listen_for_api() {
    if (settings.listen) return bind(*api_http, *settings.listen, "API");
    const auto both = api_http->listen({IpAddress::v6({}), kDefaultPort});
    return both ? *both : bind(*api_http, {IpAddress{}, kDefaultPort}, "API");
  }

  void stop_listening(net::HttpServer& server) {
    auto stopping = server.stop(kStopGrace);
    asio::co_spawn(io, std::move(stopping), asio::use_future).get();
  }

  net::HttpHandlers scrape_handlers() {
    net::HttpHandlers handlers;
    handlers.request = [this](net::HttpRequest request) -> asio::awaitable<net::HttpResponse> {
      return answer_scrape(std::move(request));
    };
    return handlers;
  }

  asio::awaitable<net::HttpResponse> answer_scrape(net::HttpRequest request) {
    auto work = [this, &request] {
      const ScrapeSources sources{
          services,  shared,     *relay,        meter,    ledger.endings(),        paths,   *stun,   turn,
          *api_http, store_pool, password_pool, overload, settings.memory_bytes(), *worker, tracing, begun};
      return scrape(request, metrics, sources);
    };
    auto running = scrape_pool.run(work);
    auto response = co_await std::move(running);
    co_return response ? std::move(*response) : net::HttpResponse{503, {}, {}};
  }

  ServerSettings settings;
  const std::function<Now()> clock;
  const WallTime begun = runtime::now().wall;
  SystemRandom random;
  runtime::LockFile lock;
  ServerTls tls;
  const ServerId server_id;
  TurnDesk turn;
  std::unique_ptr<Store> store;
  SharedState shared;
  Sealer sealer;
  StoreGrace grace;
  KeyRing keys;
  Cluster cluster;
  Passwords passwords{random};
  NodeDirectory directory;
  Heartbeats heartbeats;
  RouteCandidates candidates;
  Places places;
  RelayAdapter adapter;
  Services services;
  ServerMetrics metrics;
  PathStatistics paths{metrics};
  net::Tracing tracing{settings.tracing, "bosonserver", to_string(server_id), random};
  ServerTraces traces{tracing.tracer()};
  Maintenance maintenance{services};
  std::optional<StoreWorker> worker, heartbeat_writer, meter_worker;
  RelayMeter meter{services, meter_settings(settings),
                   [this](SessionId session) { return adapter.forwarded_bytes(session); }};
  RelayLedger ledger;
  std::optional<RelayServer> relay;
  std::optional<StoreWatch> watch;
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};
  asio::any_io_executor tracing_strand{asio::make_strand(io)};
  runtime::BlockingPool store_pool{{.threads = settings.store_threads, .queued = kStoreQueue, .nice = kControlNice}};
  runtime::BlockingPool password_pool{{.threads = settings.password_threads,
                                       .queued = kPasswordQueue,
                                       .nice = kPasswordNice,
                                       .crowd = kPasswordCrowd,
                                       .wait = kPasswordWait,
                                       .rest = kPasswordRest}};
  // Whoever looks what is wrong does not wait behind it.
  runtime::BlockingPool scrape_pool{{.threads = 1, .queued = kScrapeQueue, .nice = kControlNice}};
  OverloadGate overload;
  std::optional<OverloadWatch> overload_watch;
  std::optional<FrontDoor> door;
  std::optional<net::HttpServer> api_http, metrics_http;
  std::vector<std::thread> threads;
  std::unique_ptr<StunServer> stun;
  Endpoint api_endpoint, metrics_endpoint;
};

BosonServer::BosonServer(const ServerSettings& settings, std::function<Now()> clock, std::unique_ptr<Store> store)
    : impl_(std::make_unique<Impl>(settings, std::move(clock), std::move(store))) {}
BosonServer::~BosonServer() { stop(); }

void BosonServer::start() { impl_->start(); }
void BosonServer::stop() { impl_->stop(); }
void BosonServer::reload() { impl_->reload(); }
const std::string& BosonServer::pin() const { return impl_->tls.certificate.pin; }
Endpoint BosonServer::api_endpoint() const { return impl_->api_endpoint; }
Endpoint BosonServer::metrics_endpoint() const { return impl_->metrics_endpoint; }
Endpoint BosonServer::stun_endpoint() const { return impl_->stun->local(); }
Services& BosonServer::services() { return impl_->services; }

}  // namespace higgs::boson
