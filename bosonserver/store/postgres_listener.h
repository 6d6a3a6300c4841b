// Hears what is notified in a PostgreSQL database, on a connection and a thread of its own.
//
// It dials again by itself, with back-off. Whenever it has begun to listen it tells of the gap before, since what was
// notified meanwhile is lost; between notifications it asks the server for a sign of life.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bosonserver/store/postgres_connection.h"
#include "bosonserver/store/socket_watchdog.h"
#include "bosonserver/store/sql_database.h"
#include "runtime/descriptor.h"

namespace higgs::boson {

class PostgresListener final : public SqlListener {
 public:
  using Dial = std::function<std::unique_ptr<PostgresConnection>()>;
  /// How long the server may be silent before it is asked whether it is there.
  static constexpr std::chrono::seconds kSilence{2};

  PostgresListener(Dial dial, SocketWatchdog& watchdog, Handler handler);
  ~PostgresListener() override;

 private:
  void run();
  /// Until the connection is lost or it is time to stop.
  void listen(PostgresConnection& connection);
  /// Asks for a sign of life where nothing has come.
  std::vector<std::string> hear(PostgresConnection& connection);
  /// False: it is time to stop.
  bool wait(int socket, std::chrono::milliseconds time) const;
  bool stopping() const { return !wait(-1, std::chrono::milliseconds(0)); }

  const Dial dial_;
  SocketWatchdog& watchdog_;
  const Handler handler_;
  SocketWatchdog::Clock::time_point heard_ = SocketWatchdog::Clock::now();
  bool lost_ = false;
  runtime::Descriptor stop_;  // an event that says so
  std::thread thread_;
};

}  // namespace higgs::boson
