#include "net/http_client.h"

#include <algorithm>
#include <set>
#include <utility>

#include <boost/asio/error.hpp>

#include "base/random.h"
#include "net/http_parser.h"
#include "net/http_target.h"
#include "net/http_text.h"
#include "net/tcp_connect.h"
#include "net/websocket_handshake.h"

HIGGS_ERROR_CATEGORY(higgs::net, HttpClientError, "net.http_client") {
  switch (error) {
    case HttpClientError::kBadUrl:
      return "not a URL that can be asked";
    case HttpClientError::kResolve:
      return "the server's name could not be resolved";
    case HttpClientError::kConnect:
      return "no connection to the server";
    case HttpClientError::kTimedOut:
      return "the server did not answer in time";
    case HttpClientError::kProtocol:
      return "the server's answer is not HTTP";
    case HttpClientError::kTooLarge:
      return "the server's answer is too large";
    case HttpClientError::kUpgradeRefused:
      return "the server refused the upgrade";
  }
  return "unknown HTTP client error";
}

namespace higgs::net {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kResponseReadBytes = 16 * 1024;
constexpr std::size_t kKeptConnections = 16;
constexpr std::size_t kRememberedHosts = 64;
constexpr std::size_t kAddressesPerHost = 16;
constexpr std::size_t kHeaderBytes = 32 * 1024;

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

ErrorCode mapped(const ErrorCode& error) {
  if (error == TlsError::kTimedOut || error == asio::error::timed_out) return HttpClientError::kTimedOut;
  if (error == asio::error::operation_aborted) return TlsError::kClosed;
  return error;
}

}  // namespace

class HttpClient::Impl : public std::enable_shared_from_this<HttpClient::Impl> {
 public:
  Impl(asio::any_io_executor e, HttpClientOptions o)
      : executor(std::move(e)), options(std::move(o)), tls(TlsContext::client(options.trust, options.identity)) {}

  struct Exchange {
    Result<HttpResponse> response = HttpClientError::kProtocol;
    Bytes leftover;
    bool answered = false;  ///< at least one byte came
    bool reusable = false;
  };

  /// While it lives, close() ends what it names.
  class Running {
   public:
    Running(Impl& impl, std::function<void()> end) : impl_(impl), end_(std::move(end)) { impl_.running.insert(&end_); }
    ~Running() { impl_.running.erase(&end_); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Impl& impl_;
    std::function<void()> end_;
  };

  asio::awaitable<Result<HttpResponse>> request(std::string method, std::string url, HttpHeaders headers,
                                                std::string body);
  asio::awaitable<Result<UpgradedSocket>> upgrade(std::string url, HttpHeaders headers, std::string subprotocol);
  asio::awaitable<Result<TlsStream>> establish(const HttpUrl& url);
  asio::awaitable<Result<TlsStream>> establish_to(const HttpUrl& url, const std::vector<IpAddress>& addresses);
  asio::awaitable<Result<std::vector<IpAddress>>> look_up(const std::string& host);
  asio::awaitable<Exchange> exchange(TlsStream& stream, const std::string& text, bool head);
  std::optional<TlsStream> take_kept(const std::string& origin);
  void keep(const std::string& origin, TlsStream stream);
  void close();

  asio::any_io_executor executor;
  HttpClientOptions options;
  Result<TlsContext> tls;
  std::map<std::string, TlsStream> kept;
  std::map<std::string, std::vector<IpAddress>> resolved;
  std::optional<HttpResponse> last_refusal;
  std::set<std::function<void()>*> running;
  std::uint64_t closings = 0;
};

std::optional<TlsStream> HttpClient::Impl::take_kept(const std::string& origin) {
  auto node = kept.extract(origin);
  if (!node || !node.mapped().quiet()) return std::nullopt;
  return std::move(node.mapped());
}

void HttpClient::Impl::keep(const std::string& origin, TlsStream stream) {
  if (kept.size() >= kKeptConnections && !kept.contains(origin)) kept.erase(kept.begin());
  stream.expires_never();
  kept.erase(origin);
  kept.emplace(origin, std::move(stream));
}

void HttpClient::Impl::close() {
  ++closings;
  kept.clear();
  for (auto* end : std::vector<std::function<void()>*>(running.begin(), running.end())) (*end)();
}

asio::awaitable<Result<std::vector<IpAddress>>> HttpClient::Impl::look_up(const std::string& host) {
  ConnectCancel cancel;
  const Running registered(*this, [&cancel] { cancel.cancel(); });
  auto resolving = resolve_host(executor, host, options.connect_deadline, cancel);
  auto found = co_await std::move(resolving);
  if (found && !found->empty()) {
    if (found->size() > kAddressesPerHost) found->resize(kAddressesPerHost);
    if (resolved.size() >= kRememberedHosts && !resolved.contains(host)) resolved.erase(resolved.begin());
    resolved[host] = *found;
  }
  co_return found;
}

asio::awaitable<Result<TlsStream>> HttpClient::Impl::establish_to(const HttpUrl& url,
                                                                  const std::vector<IpAddress>& addresses) {
  std::vector<Endpoint> endpoints;
  for (const auto& address : interleave_families(addresses)) endpoints.push_back({address, url.port});
  ConnectCancel cancel;
  std::optional<TlsStream> stream;
  auto end = [&cancel, &stream] {
    cancel.cancel();
    if (stream) stream->abort();
  };
  const Running registered(*this, std::move(end));
  auto connecting = connect_any(executor, std::move(endpoints), options.mark, options.connect_deadline, cancel);
  auto socket = co_await std::move(connecting);
  if (!socket) {
    if (mapped(socket.error()) == TlsError::kClosed) co_return TlsError::kClosed;
    co_return HttpClientError::kConnect;
  }
  if (url.scheme == "http")
    stream.emplace(std::move(*socket));
  else
    stream.emplace(std::move(*socket), *tls);
  stream->expires_after(options.connect_deadline);
  auto connecting_tls = stream->connect(url.host);
  const auto connected = co_await std::move(connecting_tls);
  if (!connected && connected.error() == TlsError::kTimedOut) co_return HttpClientError::kConnect;
  if (!connected) co_return mapped(connected.error());
  co_return std::move(*stream);
}

/// Remembered addresses first: DNS may be down, or may be what the tunnel is there for. What they lead to may be out of
/// date, so DNS has the second word.
asio::awaitable<Result<TlsStream>> HttpClient::Impl::establish(const HttpUrl& url) {
  if (!tls) co_return tls.error();
  const auto started = closings;
  if (const auto literal = IpAddress::parse(url.host)) {
    const std::vector<IpAddress> only{*literal};
    co_return co_await establish_to(url, only);
  }
  ErrorCode first_error = HttpClientError::kResolve;
  std::vector<IpAddress> known;
  if (const auto it = options.known_hosts.find(url.host); it != options.known_hosts.end()) known = it->second;
  if (!known.empty()) {
    auto stream = co_await establish_to(url, known);
    if (stream) co_return std::move(stream);
    first_error = stream.error();
  }
  if (started != closings) co_return TlsError::kClosed;
  auto before = resolved.find(url.host) == resolved.end() ? std::vector<IpAddress>() : resolved[url.host];
  auto found = co_await look_up(url.host);
  if (started != closings) co_return TlsError::kClosed;
  std::vector<IpAddress> addresses = found ? *found : before;
  if (addresses.empty() || addresses == known) co_return first_error;
  co_return co_await establish_to(url, addresses);
}

asio::awaitable<HttpClient::Impl::Exchange> HttpClient::Impl::exchange(TlsStream& stream, const std::string& text,
                                                                       bool head) {
  Exchange out;
  const Running registered(*this, [&stream] { stream.abort(); });
  stream.expires_after(options.request_deadline);
  // A server may answer, with a refusal, before it has read all: its answer counts even where writing failed.
  const auto written = co_await stream.write_all(as_bytes(text));
  HttpResponseParser parser({.header_bytes = kHeaderBytes, .body_bytes = options.response_bytes}, head);
  Bytes buffer;
  while (parser.state() == HttpResponseParser::State::kReading) {
    const std::size_t before = buffer.size();
    if (before > kHeaderBytes + kResponseReadBytes)
      co_return out;  // the parser waits for the end of a line that has none
    buffer.resize(before + kResponseReadBytes);
    const auto count = co_await stream.read_some(MutableBytes(buffer).subspan(before));
    buffer.resize(before + (count ? *count : 0));
    if (!count) {
      if (out.answered && count.error() == TlsError::kClosed) parser.put_end();
      if (parser.state() == HttpResponseParser::State::kReading || !out.answered) {
        // A server that refuses our certificate says so after our handshake has ended, and closes.
        const bool refused = count.error() == TlsError::kCertificateRefused;
        out.response = mapped(written || refused ? count.error() : written.error());
        co_return out;
      }
      break;
    }
    out.answered = true;
    const std::size_t used = parser.put(buffer);
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(used));
  }
  if (parser.state() == HttpResponseParser::State::kTooLarge) out.response = HttpClientError::kTooLarge;
  if (parser.state() == HttpResponseParser::State::kComplete) {
    out.reusable = written && parser.keep_alive() && buffer.empty();
    out.response = parser.take();
    out.leftover = std::move(buffer);
  }
  co_return out;
}

asio::awaitable<Result<HttpResponse>> HttpClient::Impl::request(std::string method, std::string url,
                                                                HttpHeaders headers, std::string body) {
  const auto self = shared_from_this();
  const auto parsed = parse_url(url);
  const bool plain = parsed && parsed->scheme == "http" && options.plain_http;
  if (!parsed || (parsed->scheme != "https" && !plain) || !is_token(method)) co_return HttpClientError::kBadUrl;
  if (!headers.get("User-Agent")) headers.set("User-Agent", options.user_agent);
  const std::string origin = parsed->scheme + " " + parsed->host + " " + std::to_string(parsed->port);
  const std::string text = write_request(method, parsed->target, parsed->authority, headers, body);
  const auto started = closings;
  for (bool retried = false;; retried = true) {
    auto stream = retried ? std::nullopt : take_kept(origin);
    const bool was_kept = stream.has_value();
    if (!was_kept) {
      auto fresh = co_await establish(*parsed);
      if (!fresh) co_return fresh.error();
      if (started != closings) co_return TlsError::kClosed;
      stream.emplace(std::move(*fresh));
    }
    auto result = co_await exchange(*stream, text, method == "HEAD");
    if (started != closings) co_return TlsError::kClosed;
    if (result.response) {
      if (result.reusable) keep(origin, std::move(*stream));
      co_return std::move(result.response);
    }
    const bool died = result.response.error() == TlsError::kClosed;
    if (!was_kept || !died || (result.answered && !is_idempotent(method))) co_return result.response.error();
  }
}

asio::awaitable<Result<UpgradedSocket>> HttpClient::Impl::upgrade(std::string url, HttpHeaders headers,
                                                                  std::string subprotocol) {
  const auto self = shared_from_this();
  last_refusal.reset();
  const auto parsed = parse_url(url);
  if (!parsed || (parsed->scheme != "wss" && parsed->scheme != "https")) co_return HttpClientError::kBadUrl;
  const auto started = closings;
  auto stream = co_await establish(*parsed);
  if (!stream) co_return stream.error();
  if (started != closings) co_return TlsError::kClosed;
  SystemRandom random;
  const std::string key = websocket_key(random.array<16>());
  if (!headers.get("User-Agent")) headers.set("User-Agent", options.user_agent);
  add_websocket_request(headers, key, subprotocol);
  const std::string text = write_request("GET", parsed->target, parsed->authority, headers, "");
  auto result = co_await exchange(*stream, text, false);
  if (started != closings) co_return TlsError::kClosed;
  if (!result.response) co_return result.response.error();
  if (result.response->status != 101) {
    last_refusal = std::move(*result.response);
    co_return HttpClientError::kUpgradeRefused;
  }
  if (!accepted_websocket(*result.response, key, subprotocol)) co_return HttpClientError::kProtocol;
  UpgradedSocket upgraded{stream->release(), std::move(result.leftover)};
  co_return std::move(upgraded);
}

HttpClient::HttpClient(asio::any_io_executor executor, HttpClientOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options))) {}
HttpClient::~HttpClient() { impl_->close(); }

asio::awaitable<Result<HttpResponse>> HttpClient::request(std::string method, std::string url, HttpHeaders headers,
                                                          std::string body) {
  return impl_->request(std::move(method), std::move(url), std::move(headers), std::move(body));
}

asio::awaitable<Result<UpgradedSocket>> HttpClient::upgrade(std::string url, HttpHeaders headers,
                                                            std::string subprotocol) {
  return impl_->upgrade(std::move(url), std::move(headers), std::move(subprotocol));
}

void HttpClient::set_trust(const TlsTrust& trust) {
  if (trust == impl_->options.trust) return;
  impl_->options.trust = trust;
  impl_->tls = TlsContext::client(trust, impl_->options.identity);
  impl_->kept.clear();
}

const std::optional<HttpResponse>& HttpClient::last_refusal() const noexcept { return impl_->last_refusal; }
void HttpClient::know(const std::string& host, std::vector<IpAddress> addresses) {
  impl_->options.known_hosts[host] = std::move(addresses);
}
std::map<std::string, std::vector<IpAddress>> HttpClient::resolved() const { return impl_->resolved; }
void HttpClient::close() { impl_->close(); }

}  // namespace higgs::net
