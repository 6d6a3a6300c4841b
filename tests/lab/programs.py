"""The three programs, started and ended as their users do it: by command line, signals and files."""
import json
import os
import re
import signal
import time

from lab import lab as places
from lab.wait import SCALE, wait_until

SERVER_PORT, STUN_PORT, METRICS_PORT = 8443, 3478, 9464
URL, URL_B = f"https://{places.SERVER}:{SERVER_PORT}", f"https://{places.SERVER_B}:{SERVER_PORT}"
RELAY = (places.SERVER, SERVER_PORT)  # where a tunnel's only connection goes
RELAYS = {RELAY, (places.SERVER_B, SERVER_PORT)}
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|assertion failed", re.I)
STOP_SECONDS = 10


def binary(name):
    """The built program; HIGGS_BIN says where it is."""
    here = os.path.dirname(os.path.abspath(__file__))
    directory = os.environ.get("HIGGS_BIN") or os.path.join(here, "..", "..", "build", "release", "bin")
    return os.path.join(os.path.realpath(directory), name)


class Program:
    """One long-running program on one host with a state directory that outlives it."""

    started = []  # every instance of this process, for check_all()

    def __init__(self, host, name, state=None):
        self.host, self.name = host, name
        self.state = state or os.path.join(host.dir, name)
        self.log = f"{os.path.basename(self.state)}.log"
        self.process = None
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        Program.started.append(self)

    def begin(self, *arguments, env=None):
        self.process = self.host.popen(binary(self.name), *arguments, log=self.log, env=env)

    def command(self, *arguments, check=True, **options):
        return self.host.run(binary(self.name), *arguments, check=check, **options)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL: no chance to tidy up."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def reload(self):
        """SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """SIGTERM; the program must end by itself, in time and with status 0."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS * SCALE)
        self.process = None
        assert status == 0, f"{self.name} ended with {status} at SIGTERM\n{self.tail()}"

    def output(self):
        path = os.path.join(self.host.dir, self.log)
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def tail(self, lines=30):
        return "\n".join(self.output().splitlines()[-lines:])

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def reports():
        """What a sanitizer or an assertion has printed in any program's log, as a list of texts."""
        found = []
        for program in Program.started:
            text = program.output()
            match = SANITIZER_REPORT.search(text)
            if match:
                found.append(f"{program.name} on {program.host.name}:\n{text[match.start():match.start() + 4000]}")
        return found


class Server(Program):
    """`shared`: what all servers of a cluster are told alike."""

    def __init__(self, host, address=places.SERVER, second_address=places.SERVER_2, shared=()):
        super().__init__(host, "bosonserver")
        self.address, self._second_address, self.shared = address, second_address, list(shared)
        self.url = f"https://{address}:{SERVER_PORT}"

    def start(self, *arguments):
        self.begin("run", "--state-dir", self.state, "--public-url", self.url, "--dns", places.DNS,
                   "--stun-listen", f"{self.address}:{STUN_PORT}", "--stun-alternate-address", self._second_address, *self.shared, *arguments)
        wait_until(self._ready, 15, "the server to answer /readyz")

    def _ready(self):
        assert self.running, f"bosonserver ended\n{self.tail()}"
        return self.host.fetch(f"https://127.0.0.1:{SERVER_PORT}/readyz", "-k", timeout=2) is not None

    def pin(self):
        return self.command("pin", "--state-dir", self.state).stdout.strip()

    def add_user(self, name, password, role="user"):
        self.command("user", "add", name, "--role", role, "--password-file", "-", *self.where(), input=password + "\n")

    def where(self):
        """The flags by which commands beside the running server find its store."""
        at = self.shared.index("--store") if "--store" in self.shared else 0
        return ["--state-dir", self.state, *self.shared[at:at + 2]]

    def metrics(self):
        """The Prometheus samples without labels and the sums of those with labels, by name."""
        text, result = self.host.fetch(f"http://127.0.0.1:{METRICS_PORT}/metrics"), {}
        for line in (text or "").splitlines():
            sample = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)", line)
            if sample:
                result[sample.group(1)] = result.get(sample.group(1), 0.0) + float(sample.group(2))
        return result


class Node(Program):
    def __init__(self, host, pin, state=None, url=URL):
        super().__init__(host, "higgsnode", state)
        self.pin, self.url = pin, url

    def start(self, *arguments, wait=True):
        self.begin("run", "--server", self.url, "--pin", self.pin, "--state-dir", self.state, "--country", "DE", *arguments)
        if wait:
            wait_until(self._registered, 15, "the node to be registered with its relay link up")

    def _registered(self):
        assert self.running, f"higgsnode ended\n{self.tail()}"
        status = self.status()
        return status is not None and status["server"]["registered"] and status["relay"]["up"]

    def status(self):
        done = self.command("status", "--json", "--state-dir", self.state, check=False)
        try:
            return json.loads(done.stdout) if done.returncode == 0 else None
        except json.JSONDecodeError:
            return None

    def cleanup(self):
        self.command("cleanup", "--state-dir", self.state)


class Client(Program):
    def __init__(self, host, pin, state=None, url=URL):
        super().__init__(host, "higgsvpn", state)
        self.pin, self.url = pin, url

    def vpn(self, *arguments, **options):
        return self.command(*arguments, "--state-dir", self.state, **options)

    def login(self, user, password, check=True):
        return self.vpn("login", "--server", self.url, "--pin", self.pin, "--user", user, "--password-file", "-",
                        input=password + "\n", check=check)

    def nodes(self):
        return json.loads(self.vpn("nodes", "--json").stdout)

    def connect(self, *arguments, expect=None, seconds=20):
        """`connect` in the foreground; returns the seconds until the web site is reached, as `expect` where given."""
        begun = time.monotonic()
        self.begin("connect", *arguments, "--state-dir", self.state)
        self.wait_tunnel(expect, seconds)
        return time.monotonic() - begun

    def connect_detached(self, *arguments):
        """`connect --detach`: returns when the tunnel carries packets; the seconds that it took."""
        begun = time.monotonic()
        self.vpn("connect", *arguments, "--detach", timeout=60 * SCALE)
        return time.monotonic() - begun

    def wait_tunnel(self, expect, seconds):
        def reached():
            assert self.process is None or self.running, f"higgsvpn ended\n{self.tail()}"
            seen = self.exit_address(1)
            return seen is not None and expect in (None, seen)
        wait_until(reached, seconds, f"the tunnel of {self.host.name} to carry packets")

    def exit_address(self, timeout=3):
        """The address that the web site sees, or None."""
        seen = self.host.fetch(f"http://{places.WEB}/ip", timeout=timeout)
        return seen.strip() if seen else None

    def status(self):
        return json.loads(self.vpn("status", "--json").stdout)

    def disconnect(self):
        self.vpn("disconnect")
        if self.process is not None:
            status = self.process.wait(STOP_SECONDS * SCALE)
            self.process = None
            assert status == 0, f"connect ended with {status} at disconnect\n{self.tail()}"
