// A real PostgreSQL for tests, of the Debian package: started at the first use, for this program alone, on a socket in
// a directory of its own. A shell between us takes it down and removes the directory when this program ends, however.
// Another one can be its read replica, by streaming replication.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <libpq-fe.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bosonserver/store/open_store.h"
#include "runtime/descriptor.h"

namespace higgs::boson::testing {

class PostgresServer {
 public:
  /// Throws std::runtime_error with what is missing.
  static PostgresServer& shared() {
    static PostgresServer server;
    return server;
  }

  /// A replica of the shared one.
  static PostgresServer& shared_replica() {
    static PostgresServer server(ReplicaOf{shared()});
    return server;
  }

  PostgresServer() {
    begin({});
    execute(std::string("CREATE DATABASE ") + kTemplate);
    open_store({url(kTemplate)});
  }
  struct ReplicaOf {
    const PostgresServer& primary;
  };
  explicit PostgresServer(ReplicaOf of) { begin(of.primary.directory_); }
  ~PostgresServer() {
    resume();
    commands_ = runtime::Descriptor();  // its end is the shell's sign
    ::waitpid(shell_, nullptr, 0);
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  std::string url(const std::string& database) const {
    return "postgresql:///" + database + "?user=postgres&host=" + directory_.string();
  }
  /// Of whichever of both takes writes.
  std::string url_with(const PostgresServer& other, const std::string& database) const {
    return url(database) + "," + other.directory_.string();
  }
  /// A migrated database of its own; its URL.
  std::string create_database() {
    static std::atomic<unsigned> count = 0;
    const auto name = "test" + std::to_string(++count);
    execute("CREATE DATABASE " + name + " TEMPLATE " + kTemplate);
    return url(name);
  }
  /// As another client would. The connection holds what a transaction begun in it has locked.
  using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
  Connection execute(const std::string& sql, const std::string& database = "postgres") {
    Connection connection(PQconnectdb(url(database).c_str()), PQfinish);
    run(connection.get(), sql);
    return connection;
  }
  /// The first column of the first row.
  std::string value(const std::string& sql, const std::string& database = "postgres") {
    const Connection connection(PQconnectdb(url(database).c_str()), PQfinish);
    return PQgetvalue(run(connection.get(), sql).get(), 0, 0);
  }
  /// Of a replica: returns when it has all that was committed at its primary, also what nobody waited for.
  void follow(PostgresServer& primary) {
    primary.execute("SELECT pg_logical_emit_message(true, 'test', '')");
    const auto there = primary.value("SELECT pg_current_wal_flush_lsn()");
    wait_until([&] { return value("SELECT pg_last_wal_replay_lsn() >= '" + there + "'") == "t"; },
               "it does not follow");
  }

  /// Every process of it, as by SIGSTOP of a debugger or of a hypervisor: it takes bytes and says nothing. Again until
  /// all stand, since one that is not stopped yet may still make others.
  void pause() {
    std::vector<pid_t> before;
    wait_until(
        [&] {
          const auto all = processes();
          for (const auto process : all) ::kill(process, SIGSTOP);
          return std::exchange(before, all) == all && std::all_of(all.begin(), all.end(), stands);
        },
        "it could not be paused");
  }
  void resume() {
    for (const auto process : processes()) ::kill(process, SIGCONT);
  }
  /// As after a crash.
  void stop() {
    command("stop");
    wait_until([this] { return !answers(); }, "it did not stop");
  }
  void start() {
    command("start");
    wait_until_up();
  }

 private:
  static constexpr const char* kTemplate = "higgs_template";

  using Rows = std::unique_ptr<PGresult, decltype(&PQclear)>;
  static Rows run(PGconn* connection, const std::string& sql) {
    Rows result(PQexec(connection, sql.c_str()), PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
      throw std::runtime_error(sql + ": " + PQerrorMessage(connection));
    return result;
  }

  /// $1: directory of the programs; $2: ours; $3: the primary's, of a replica. Commands come on standard input; its end
  /// is the end.
  static constexpr const char* kShell = R"sh(
    trap '' INT TERM HUP
    as=; if [ "$(id -u)" = 0 ]; then chown postgres "$2"; as="setpriv --reuid=postgres --regid=postgres --init-groups"; fi
    chmod 711 "$2"
    exec >"$2/log" 2>&1
    if [ -n "$3" ]; then
      $as "$1/pg_basebackup" -D "$2/data" -h "$3" -U postgres -R -X stream --checkpoint=fast --no-sync || exit 1
    else
      $as "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >/dev/null || exit 1
      # One role that has a password, for the test of that.
      $as sed -i '1i local all secretive scram-sha-256' "$2/data/pg_hba.conf"
    fi
    start() {
      $as "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off \
        -c shared_buffers=32MB -c max_connections=200 -c wal_keep_size=256MB -c wal_retrieve_retry_interval=100ms \
        </dev/null &
      server=$!
    }
    stop() {
      [ -n "$server" ] || return 0
      kill -CONT $(cat /proc/$server/task/$server/children) $server
      kill -QUIT $server
      wait $server
      server=
    }
    start "$1" "$2"
    while read -r command; do "$command" "$1" "$2"; done
    stop
    rm -rf "$2"
  )sh";

  /// For temporary files, and open to the user that PostgreSQL runs as when we are root: TMPDIR may be root's alone.
  static std::filesystem::path public_directory() {
    auto wanted = std::filesystem::temp_directory_path();
    if (::geteuid() != 0) return wanted;
    constexpr auto kOpen = std::filesystem::perms::others_exec;
    for (auto path = std::filesystem::canonical(wanted); path.has_relative_path(); path = path.parent_path())
      if ((std::filesystem::status(path).permissions() & kOpen) == std::filesystem::perms::none) return "/tmp";
    return wanted;
  }

  static std::filesystem::path find_programs() {
    std::filesystem::path found;
    std::error_code missing;
    for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", missing))
      if (std::filesystem::exists(version.path() / "bin/postgres")) found = std::max(found, version.path() / "bin");
    if (found.empty())
      throw std::runtime_error(
          "tests need PostgreSQL in /usr/lib/postgresql (package postgresql-15, scripts/install-deps)");
    return found;
  }

  void begin(const std::filesystem::path& primary) {
    const auto programs = find_programs();
    std::string pattern = (public_directory() / "higgs-postgres-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a directory for PostgreSQL");
    directory_ = pattern;
    spawn_shell(programs, primary);
    wait_until_up();
  }

  void spawn_shell(const std::filesystem::path& programs, const std::filesystem::path& primary) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
    const runtime::Descriptor read(ends[0]);
    commands_ = runtime::Descriptor(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, read.get(), STDIN_FILENO);
    std::vector<std::string> words{"sh", "-c", kShell, "sh", programs.string(), directory_.string(), primary.string()};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int failed = ::posix_spawn(&shell_, "/bin/sh", &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw std::runtime_error("cannot start a shell for PostgreSQL");
  }

  void command(const std::string& word) {
    if (::write(commands_.get(), (word + "\n").data(), word.size() + 1) < 0)
      throw std::runtime_error("PostgreSQL's shell is gone");
  }
  bool answers() const { return PQping(url("postgres").c_str()) == PQPING_OK; }
  template <class Condition>
  void wait_until(Condition condition, const char* otherwise) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      if (::waitpid(shell_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > deadline) {
        std::ifstream file(directory_ / "log");
        const std::string log(std::istreambuf_iterator<char>(file), {});
        std::filesystem::remove_all(directory_);
        throw std::runtime_error(std::string("PostgreSQL: ") + otherwise + ": " + log);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void wait_until_up() {
    wait_until([this] { return answers(); }, "it did not start");
  }

  static bool stands(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    const auto state = stat.rfind(") ");
    return state == std::string::npos || stat[state + 2] == 'T' || stat[state + 2] == 'Z';
  }
  /// The server and what it made of itself.
  std::vector<pid_t> processes() const {
    std::vector<pid_t> all;
    pid_t process = 0;
    if (std::ifstream(directory_ / "data/postmaster.pid") >> process) {
      all.push_back(process);
      const auto task = std::to_string(process);
      std::ifstream children("/proc/" + task + "/task/" + task + "/children");
      while (children >> process) all.push_back(process);
    }
    return all;
  }

  std::filesystem::path directory_;
  pid_t shell_ = -1;
  runtime::Descriptor commands_;
};

/// A database for one test.
class TestDatabase {
 public:
  TestDatabase() : url_(PostgresServer::shared().create_database()) {}
  ~TestDatabase() {
    try {
      PostgresServer::shared().execute("DROP DATABASE " + name() + " WITH (FORCE)");
    } catch (const std::runtime_error&) {  // a test left the server down: it goes with the server
    }
  }
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;
  const std::string& url() const { return url_; }
  std::string name() const {
    const auto from = url_.find("///") + 3;
    return url_.substr(from, url_.find('?') - from);
  }
  PostgresServer::Connection execute(const std::string& sql) const {
    return PostgresServer::shared().execute(sql, name());
  }

 private:
  const std::string url_;
};

}  // namespace higgs::boson::testing
