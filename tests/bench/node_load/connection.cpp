#include "node_load/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/endpoint_convert.h"
#include "net/http_parser.h"
#include "net/http_target.h"
#include "net/http_text.h"

namespace higgs::node_load {
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::chrono::seconds kHandshakeTime{10};
constexpr std::chrono::seconds kExchangeTime{10};
constexpr std::size_t kReadBytes = 4096;
constexpr net::HttpParserLimits kLimits{.header_bytes = 16 * 1024, .body_bytes = 1024 * 1024};

net::HttpUrl url_of(const std::string& server) {
  auto url = net::parse_url(server);
  if (!url) throw std::runtime_error("not a URL: " + server);
  return std::move(*url);
}

}  // namespace

Connection::Connection(asio::any_io_executor executor, const Options& options, const net::TlsContext& tls,
                       std::size_t number)
    : executor_(std::move(executor)),
      options_(options),
      tls_(tls),
      number_(number),
      authority_(url_of(options.server).authority),
      host_(url_of(options.server).host) {}

asio::awaitable<Result<void>> Connection::open() {
  stream_.reset();
  const auto to = net::to_asio(options_.at);
  tcp::socket socket(executor_);
  boost::system::error_code error;
  (void)socket.open(to.protocol(), error);
  if (error) co_return error;
  if (!options_.sources.empty()) {
    (void)socket.bind(net::to_asio({options_.sources[number_ % options_.sources.size()], 0}), error);
    if (error) co_return error;
  }
  const auto [failed] = co_await socket.async_connect(to, asio::as_tuple(asio::use_awaitable));
  if (failed) co_return failed;
  (void)socket.set_option(tcp::no_delay(true), error);
  net::TlsStream stream(std::move(socket), tls_);
  stream.expires_after(kHandshakeTime);
  auto connecting = stream.connect(host_);
  const auto connected = co_await std::move(connecting);
  if (!connected) co_return connected.error();
  stream.expires_never();
  stream_.emplace(std::move(stream));
  co_return Result<void>();
}

asio::awaitable<Result<net::HttpResponse>> Connection::exchange(std::string method, std::string target,
                                                                net::HttpHeaders headers, std::string body) {
  if (!stream_) {
    const auto opened = co_await open();
    if (!opened) co_return opened.error();
  }
  const auto text = net::write_request(method, target, authority_, headers, body);
  stream_->expires_after(kExchangeTime);
  const auto written = co_await stream_->write_all(as_bytes(text));
  if (!written) {
    stream_.reset();
    co_return written.error();
  }
  auto reading = read_response();
  auto response = co_await std::move(reading);
  if (response) {
    stream_->expires_never();
  } else {
    stream_.reset();
  }
  co_return response;
}

asio::awaitable<Result<net::HttpResponse>> Connection::read_response() {
  net::HttpResponseParser parser(kLimits, false);
  Bytes buffer;
  while (parser.state() == net::HttpResponseParser::State::kReading) {
    const auto before = buffer.size();
    buffer.resize(before + kReadBytes);
    const auto count = co_await stream_->read_some(MutableBytes(buffer).subspan(before));
    if (!count) co_return count.error();
    buffer.resize(before + *count);
    const auto used = parser.put(buffer);
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(used));
  }
  if (parser.state() != net::HttpResponseParser::State::kComplete) co_return net::TlsError::kProtocol;
  co_return parser.take();
}

}  // namespace higgs::node_load
