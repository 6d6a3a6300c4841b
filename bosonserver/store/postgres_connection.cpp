#include "bosonserver/store/postgres_connection.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <pqxx/pqxx>

#include "base/assert.h"
#include "base/number.h"

namespace higgs::boson {
namespace {

// What the server ends by itself leaves the connection good; the socket's deadline comes after both.
constexpr const char* kSession =
    "SET statement_timeout = 400; SET lock_timeout = 300; SET default_transaction_isolation = 'read committed'; "
    "SET client_min_messages = warning";

/// PostgreSQL's channels are a database's own.
constexpr const char* kChannel = "higgs_store";

/// In one line, without what libpq adds behind the first.
std::string first_line(const std::string& message) { return message.substr(0, message.find('\n')); }

SqlError unavailable(const std::exception& error) { return {SqlError::Kind::kUnavailable, first_line(error.what())}; }

std::string hex(const Bytes& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\\x";
  for (const auto byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4U];
    text += kDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

struct Encode {
  std::optional<std::string> operator()(std::monostate) const { return std::nullopt; }
  std::optional<std::string> operator()(std::int64_t value) const { return std::to_string(value); }
  std::optional<std::string> operator()(const std::string& value) const { return value; }
  std::optional<std::string> operator()(const Bytes& value) const { return hex(value); }
};

class PostgresRows final : public SqlRows {
 public:
  explicit PostgresRows(const pqxx::result& result) : result_(result) {}

  bool next() override { return ++row_ < static_cast<int>(result_.size()); }
  bool is_null(int column) const override { return field(column).is_null(); }
  std::int64_t integer(int column) const override { return parse_number<std::int64_t>(view(column)).value_or(0); }
  std::string text(int column) const override { return std::string(view(column)); }
  Bytes bytes(int column) const override {
    const pqxx::binarystring value(field(column));
    const auto* const from = reinterpret_cast<const std::byte*>(value.data());
    return {from, from + value.size()};
  }

 private:
  pqxx::field field(int column) const { return result_[static_cast<pqxx::result::size_type>(row_)][column]; }
  std::string_view view(int column) const {
    const auto found = field(column);
    return {found.c_str(), found.size()};
  }

  pqxx::result result_;
  int row_ = -1;
};

}  // namespace

class PostgresConnection::Library {
 public:
  explicit Library(const SecretString& connection_string) : connection(std::string(connection_string.reveal())) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // version 7 does without, as it never dials again
    connection.inhibit_reactivation(true);
#pragma GCC diagnostic pop
    connection.set_verbosity(pqxx::connection_base::terse);  // details quote values
  }

  pqxx::result run(pqxx::transaction_base& transaction, std::string_view sql, std::span<const SqlValue> values) {
    std::vector<std::optional<std::string>> texts;
    texts.reserve(values.size());
    for (const auto& value : values) texts.push_back(std::visit(Encode{}, value.held()));
    std::vector<const char*> parameters;
    parameters.reserve(texts.size());
    for (const auto& text : texts) parameters.push_back(text ? text->c_str() : nullptr);
    return transaction.exec_prepared(prepared(sql), pqxx::prepare::make_dynamic_params(parameters));
  }

  void listen() { receiver_.emplace(connection, heard_); }
  std::vector<std::string> take_heard() { return std::exchange(heard_, {}); }

  pqxx::connection connection;

 private:
  class Receiver final : public pqxx::notification_receiver {
   public:
    Receiver(pqxx::connection_base& connection, std::vector<std::string>& heard)
        : notification_receiver(connection, kChannel), heard_(heard) {}
    void operator()(const std::string& payload, int) override { heard_.push_back(payload); }

   private:
    std::vector<std::string>& heard_;
  };

  /// The name under which the server will know the statement from its first use on.
  const std::string& prepared(std::string_view sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
      found = statements_.emplace(std::string(sql), "s" + std::to_string(statements_.size())).first;
      connection.prepare(found->second, found->first);
    }
    return found->second;
  }

  pqxx::quiet_errorhandler quiet_{connection};  // notices would go to standard error
  std::vector<std::string> heard_;              // taken each time that the library has looked
  std::optional<Receiver> receiver_;
  std::map<std::string, std::string, std::less<>> statements_;  // as many as the store's sources hold
};

PostgresConnection::PostgresConnection(const SecretString& connection_string, SocketWatchdog& watchdog)
    : watchdog_(watchdog) {
  try {
    library_ = std::make_unique<Library>(connection_string);
  } catch (const pqxx::pqxx_exception& error) {
    throw unavailable(error.base());
  }
  socket_ = runtime::Descriptor(::fcntl(library_->connection.sock(), F_DUPFD_CLOEXEC, 0));
  if (socket_.get() < 0) throw SqlError(SqlError::Kind::kUnavailable, "too many open files");
  const SocketWatchdog::Watch watch(watchdog, socket(), SocketWatchdog::Clock::now() + kStoreDeadline);
  execute(kSession);
}

PostgresConnection::~PostgresConnection() {
  if (socket() < 0) return;
  // The library says good-bye to the channels that it listens to, and waits for the answer.
  const SocketWatchdog::Watch watch(watchdog_, socket(), SocketWatchdog::Clock::now() + kStoreDeadline);
  library_.reset();
}

template <class Transaction>
void PostgresConnection::run(const SqlDatabase::Work& work) {
  Transaction transaction(library_->connection);
  transaction_ = &transaction;
  if (work(*this))
    transaction.commit();
  else
    transaction.abort();
}

void PostgresConnection::transact(SqlAccess access, const SqlDatabase::Work& work) {
  try {
    // Reads and single statements at READ COMMITTED: each of them sees and changes rows as if nobody else was there,
    // and unique indexes hold for all. No transaction around them: that would be two more round trips.
    using Single = pqxx::nontransaction;
    switch (access) {
      case SqlAccess::kRead:
      case SqlAccess::kReadOld:
        return run<Single>(work);
      case SqlAccess::kStatement:
      case SqlAccess::kUnflushed:
        flush(access != SqlAccess::kUnflushed);
        return run<Single>(work);
      case SqlAccess::kTogether:
      case SqlAccess::kLocked:
        // Each statement sees what was committed before it, so what stands behind the lock sees its last holder's work.
        // A serializable transaction would look at a snapshot from before the wait.
        flush(true);
        return run<pqxx::transaction<pqxx::read_committed>>(work);
      case SqlAccess::kTransaction:
        // What it read must still be so when it commits, even that there was no such row.
        flush(true);
        return run<pqxx::transaction<pqxx::serializable>>(work);
    }
  } catch (const pqxx::serialization_failure& error) {
    throw SqlConflict(first_line(error.what()));
  } catch (const pqxx::deadlock_detected& error) {
    throw SqlConflict(first_line(error.what()));
  } catch (const pqxx::unique_violation& error) {
    throw SqlError(SqlError::Kind::kUnique, first_line(error.what()));
  } catch (const pqxx::pqxx_exception& error) {
    if (!open()) throw SqlError(SqlError::Kind::kUnavailable, "the connection was lost, or no answer came in time");
    throw unavailable(error.base());
  }
}

void PostgresConnection::flush(bool wanted) {
  if (unflushed_ != wanted) return;
  execute(wanted ? "SET synchronous_commit TO DEFAULT" : "SET synchronous_commit = off");
  unflushed_ = !wanted;
}

void PostgresConnection::execute(const std::string& script) {
  try {
    pqxx::nontransaction(library_->connection).exec(script);
  } catch (const pqxx::pqxx_exception& error) {
    throw unavailable(error.base());
  }
}

void PostgresConnection::lock(std::string_view name) {
  select("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", std::array{SqlValue(name)});
}

void PostgresConnection::notify(std::string_view text) {
  select("SELECT pg_notify($1, $2)", std::array{SqlValue(kChannel), SqlValue(text)});
}

void PostgresConnection::listen() {
  try {
    library_->listen();
  } catch (const pqxx::pqxx_exception& error) {
    throw unavailable(error.base());
  }
}

std::vector<std::string> PostgresConnection::notifications() {
  try {
    library_->connection.get_notifs();
  } catch (const pqxx::pqxx_exception& error) {
    throw unavailable(error.base());
  }
  return library_->take_heard();
}

bool PostgresConnection::quiet() const {
  pollfd poll{socket_.get(), POLLIN | POLLRDHUP, 0};
  return ::poll(&poll, 1, 0) == 0;
}

bool PostgresConnection::open() const { return library_->connection.is_open(); }

std::size_t PostgresConnection::modify(std::string_view sql, std::span<const SqlValue> values) {
  return library_->run(*transaction_, sql, values).affected_rows();
}

std::unique_ptr<SqlRows> PostgresConnection::select(std::string_view sql, std::span<const SqlValue> values) {
  return std::make_unique<PostgresRows>(library_->run(*transaction_, sql, values));
}

}  // namespace higgs::boson
