#include "net/server_probe.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "runtime/clock.h"
#include "runtime/deadline.h"

namespace higgs::net {
namespace asio = boost::asio;
namespace {

constexpr unsigned kGood = 200;

asio::awaitable<void> measure(HttpClient& client, api::ServerChoice& choice, const std::string& origin) {
  const auto begin = runtime::now().monotonic;
  auto asking = client.request("GET", origin + "/healthz", {}, "");
  const auto answer = co_await std::move(asking);
  if (answer && answer->status == kGood) choice.measured(origin, runtime::now().monotonic - begin);
}

/// From this one to the last, at once.
asio::awaitable<void> measure_from(HttpClient& client, api::ServerChoice& choice,
                                   const std::vector<std::string>& origins, std::size_t first) {
  using namespace asio::experimental::awaitable_operators;
  auto here = measure(client, choice, origins[first]);
  if (first + 1 == origins.size()) {
    co_await std::move(here);
    co_return;
  }
  auto others = measure_from(client, choice, origins, first + 1);
  co_await (std::move(here) && std::move(others));
}

}  // namespace

asio::awaitable<void> measure_servers(HttpClient& client, api::ServerChoice& choice,
                                      std::chrono::milliseconds deadline) {
  if (choice.alone()) co_return;
  const auto origins = choice.origins();
  auto measuring = measure_from(client, choice, origins, 0);
  const bool all = co_await runtime::with_deadline(std::move(measuring), deadline);
  (void)all;
}

}  // namespace higgs::net
