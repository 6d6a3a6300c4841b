"""PostgreSQL and Redis on a host of the laboratory: real servers from Debian's packages, with nothing that outlives it.

PostgreSQL refuses to run as root and so runs as the user of its package, which a laboratory of an ordinary user cannot
have: there is one real user in its namespace.
"""
import glob
import os
import shutil
import signal
import subprocess

from lab import lab as places
from lab.wait import wait_until

POSTGRES_PORT, REDIS_PORT = 5432, 6379
POSTGRES_USER = "postgres"


class Database:
    """A server that can be killed, paused and started again on what it had written."""

    def __init__(self, host, name):
        self.host, self.name, self.process = host, name, None
        self.dir = os.path.join(host.dir, name)
        os.makedirs(self.dir, exist_ok=True)

    def start(self):
        # A killed server's children, or its shared memory, may hold the place for a moment longer.
        def up():
            if self.process is None or self.process.poll() is not None:
                self.process = self._begin()
            return self._answers()
        wait_until(up, 20, f"{self.name} to answer")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"; Redis ends at it as well
        self.process.wait(20)
        self.process = None

    def pids(self):
        """All processes of the server, the first one first."""
        mine = self.process.pid
        children = self.host.run("pgrep", "-P", mine, check=False).stdout.split()
        return [mine, *map(int, children)]

    def pause(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)


def postgres_url(*addresses):
    """The store's URL; of several servers, the one that takes writes."""
    hosts = ",".join(f"{address}:{POSTGRES_PORT}" for address in addresses)
    return f"postgresql://{POSTGRES_USER}@{hosts}/{POSTGRES_USER}?sslmode=disable"


STORE_URL = postgres_url(places.DATABASES)


class Postgres(Database):
    """With a primary it is a read replica of that, by streaming replication; the primary must be up."""

    def __init__(self, host, address=places.DATABASES, primary=None):
        super().__init__(host, "postgresql")
        self.address = address
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found:
            raise RuntimeError("PostgreSQL is not installed: sudo scripts/install-deps")
        self._bin = os.path.dirname(found[-1])
        self._data = os.path.join(self.dir, "data")
        shutil.chown(self.dir, POSTGRES_USER)
        for path in (os.path.dirname(self.host.dir), self.host.dir):
            os.chmod(path, 0o755)
        if primary:
            self._as_user("pg_basebackup", "-D", self._data, "-h", primary.address, "-p", str(POSTGRES_PORT), "-U", POSTGRES_USER, "-R", "-X", "stream",
                          "--checkpoint=fast", "--no-sync")
            return
        self._as_user("initdb", "-D", self._data, "-U", POSTGRES_USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        with open(os.path.join(self._data, "pg_hba.conf"), "a", encoding="ascii") as rules:
            rules.write("host all,replication all 203.0.113.0/24 trust\n")

    def _command(self, tool, *arguments):
        return ["setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--init-groups", os.path.join(self._bin, tool), *arguments]

    def _as_user(self, tool, *arguments, **options):
        return self.host.run(*self._command(tool, *arguments), cwd="/", **options)

    def _begin(self):
        # What was acknowledged must survive the server's own death, not that of the machine.
        settings = {"listen_addresses": self.address, "port": POSTGRES_PORT, "fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB",
                    "max_connections": "60"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self.host.popen(*self._command("postgres", "-D", self._data, "-k", self.dir, *words), log="postgresql.log", cwd="/")

    def _answers(self):
        return self._as_user("pg_isready", "-q", "-h", self.address, "-p", str(POSTGRES_PORT), check=False).returncode == 0

    def promote(self):
        """The replica is a primary when this returns."""
        self.query("SELECT pg_promote()")

    def query(self, sql):
        """The rows of a statement, each as a list of texts."""
        done = self._as_user("psql", "-h", self.address, "-p", str(POSTGRES_PORT), "-U", POSTGRES_USER, "-X", "-A", "-t", "-F", "\t", "-c", sql)
        return [line.split("\t") for line in done.stdout.splitlines() if line]


class Redis(Database):
    def __init__(self, host, address=places.DATABASES):
        super().__init__(host, "redis")
        self.address, self.url = address, f"redis://{address}:{REDIS_PORT}"

    def _begin(self):
        return self.host.popen("redis-server", "--bind", self.address, "--port", REDIS_PORT, "--save", "", "--appendonly", "no", "--protected-mode", "no",
                               "--dir", self.dir, log="redis.log")

    def _answers(self):
        return self.host.run("redis-cli", "-h", self.address, "-p", REDIS_PORT, "ping", check=False).stdout.strip() == "PONG"


def missing():
    """What is not there that these need, in words; "" if nothing."""
    tools = [tool for tool in ("redis-server", "redis-cli", "setpriv") if not shutil.which(tool)]
    if not glob.glob("/usr/lib/postgresql/*/bin/postgres"):
        tools.append("PostgreSQL")
    if tools:
        return f"missing: {', '.join(tools)}. Install them with: sudo scripts/install-deps"
    done = subprocess.run(["setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--init-groups", "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else "PostgreSQL does not run as root, and another user cannot be had here: run as root"
