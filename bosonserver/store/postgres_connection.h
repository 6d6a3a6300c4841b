// One connection to PostgreSQL. It is dialled once: one that is lost is thrown away.
//
// One thread at a time. Waits for the server without limit: whoever calls has a SocketWatchdog look after socket().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "bosonserver/store/socket_watchdog.h"
#include "bosonserver/store/sql_database.h"
#include "runtime/descriptor.h"

namespace pqxx {  // NOLINT(readability-identifier-naming): the library's
class transaction_base;
}

namespace higgs::boson {

/// Others were in the way: the transaction has to be tried again.
class SqlConflict : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class PostgresConnection final : public SqlConnection {
 public:
  /// Dials; the parameters limit how long that takes. Throws SqlError. The watchdog must outlive it.
  PostgresConnection(const SecretString& connection_string, SocketWatchdog& watchdog);
  ~PostgresConnection() override;

  /// SqlDatabase::transact, once. Throws SqlConflict too.
  void transact(SqlAccess access, const SqlDatabase::Work& work);
  /// A script, outside of any transaction. Throws SqlError.
  void execute(const std::string& script);

  void lock(std::string_view name) override;
  void notify(std::string_view text) override;

  /// Begins to hear what others notify. Throws SqlError.
  void listen();
  /// What has come, without waiting. Throws SqlError.
  std::vector<std::string> notifications();

  int socket() const noexcept { return socket_.get(); }
  /// Between calls: that nothing has come from the server, which is what a connection that it closed looks like.
  bool quiet() const;
  /// Not known to be lost.
  bool open() const;
  /// That the last write was SqlAccess::kUnflushed: another of that kind costs nothing extra here.
  bool unflushed() const noexcept { return unflushed_; }

 private:
  class Library;  // libpqxx, whose headers are large

  void flush(bool wanted);
  template <class Transaction>
  void run(const SqlDatabase::Work& work);
  std::size_t modify(std::string_view sql, std::span<const SqlValue> values) override;
  std::unique_ptr<SqlRows> select(std::string_view sql, std::span<const SqlValue> values) override;

  SocketWatchdog& watchdog_;
  std::unique_ptr<Library> library_;
  runtime::Descriptor socket_;  // of our own, since libpq closes its one where we cannot see it
  pqxx::transaction_base* transaction_ = nullptr;
  bool unflushed_ = false;
};

}  // namespace higgs::boson
