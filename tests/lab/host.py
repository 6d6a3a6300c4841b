"""One computer of the laboratory: a network and a mount namespace, kept open by one sleeping process."""
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import threading

from lab.wait import wait_until

CLONE_NEWNET = 0x40000000

SETUP = r"""
set -e
mount -t sysfs none /sys 2>/dev/null || true
mkdir -p /run/hosts/$1
mount -t tmpfs -o mode=755 host /run/hosts/$1
mkdir -p /run/hosts/$1/lab /run/hosts/$1/.etc/upper /run/hosts/$1/.etc/work
mount --rbind /run/lab /run/hosts/$1/lab
mount --rbind /run/hosts/$1 /run
mount -t overlay etc -o lowerdir=/etc,upperdir=/run/.etc/upper,workdir=/run/.etc/work /etc
rm -f /etc/resolv.conf
: >/etc/resolv.conf
ip link set lo up
for item in all default; do
  echo 0 >/proc/sys/net/ipv6/conf/$item/accept_dad
  echo 0 >/proc/sys/net/ipv6/conf/$item/accept_ra
  echo 0 >/proc/sys/net/ipv6/conf/$item/router_solicitations
done
echo ready
exec sleep infinity
"""

# What differs from one look to the next although nobody changed anything: dates, packet counters, lifetimes, route ages.
VOLATILE = [
    (re.compile(r"^#.*\n", re.M), ""),
    (re.compile(r"\[\d+:\d+\]"), "[0:0]"),
    (re.compile(r"counter packets \d+ bytes \d+"), "counter"),
    (re.compile(r" (expires|users|age) -?\d+(sec)?"), ""),
    (re.compile(r"(valid_lft|preferred_lft) \S+"), r"\1 -"),
]
SYSCTLS = ["net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/src_valid_mark",
           "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/default/rp_filter", "net/ipv6/conf/all/disable_ipv6",
           "net/ipv6/conf/default/accept_ra", "net/ipv4/conf/all/route_localnet"]


# A banner speaks first, an echo has to be spoken to.
_TRY_ALL = r"""
import concurrent.futures, json, socket, sys
targets, timeout = json.loads(sys.argv[1]), float(sys.argv[2])
def answers(target):
    kind, address, port = target
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as tried:
        tried.settimeout(timeout)
        try:
            tried.connect((address, port))
            if kind == "udp":
                tried.send(b"hello")
            return len(tried.recv(64)) > 0
        except OSError:
            return False
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps([target for target, well in zip(targets, pool.map(answers, targets)) if well]))
"""


class Host:
    """Runs programs as if on a computer of its own. Not thread-safe, except `popen` and `run`."""

    def __init__(self, name, directory):
        self.name = name
        self.dir = os.path.join(directory, name)  # files of this host; visible under the same path from every host
        os.makedirs(self.dir, exist_ok=True)
        self._children = []
        self._lock = threading.Lock()
        self._holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", SETUP, "sh", name],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"host {name}: {self._holder.stderr.read()}")

    @property
    def pid(self):
        return self._holder.pid

    def command(self, *words):
        """The command line that runs `words` on this host."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt", "--", *map(str, words)]

    def popen(self, *words, log=None, env=None, **options):
        """Starts a program; with `log` its output is appended to that file of this host's directory."""
        options.setdefault("stdin", subprocess.DEVNULL)
        if log:
            with open(os.path.join(self.dir, log), "ab") as out:
                options.update(stdout=out, stderr=subprocess.STDOUT)
                process = subprocess.Popen(self.command(*words), env={**os.environ, **(env or {})}, **options)
        else:
            process = subprocess.Popen(self.command(*words), env={**os.environ, **(env or {})}, **options)
        with self._lock:
            self._children.append(process)
        return process

    def run(self, *words, check=True, timeout=60, env=None, **options):
        """Runs a program to its end; returns a CompletedProcess with text output. With check, failure raises with that output."""
        options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
        if options["stdin"] is None:
            del options["stdin"]
        done = subprocess.run(self.command(*words), capture_output=True, text=True, errors="replace", timeout=timeout,
                              env={**os.environ, **(env or {})}, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sh(self, script, **options):
        return self.run("sh", "-ec", script, **options)

    def resolv_conf(self, *servers):
        self.sh("cat >/etc/resolv.conf", input="".join(f"nameserver {server}\n" for server in servers))

    def fetch(self, url, *curl_options, timeout=5):
        """The body of a URL as seen from this host, or None when it cannot be had."""
        done = self.run("curl", "-sS", "-f", "--max-time", timeout, *curl_options, url, check=False, timeout=timeout + 10)
        return done.stdout if done.returncode == 0 else None

    def tcp_reaches(self, address, port, timeout=1.5):
        """Whether a TCP connection to there comes up and the service behind it says something."""
        script = ("import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3]))\n"
                  "s.settimeout(float(sys.argv[3]))\nsys.exit(0 if s.recv(1) else 1)")
        return self.run("/usr/bin/python3", "-c", script, address, port, timeout, check=False, timeout=30).returncode == 0

    def answered(self, *targets, timeout=1.5):
        """Those of the targets, (kind, address, port) with kind "tcp" or "udp", where a service answers; all are tried at once."""
        done = self.run("/usr/bin/python3", "-c", _TRY_ALL, json.dumps(targets), timeout, timeout=30)
        return [tuple(target) for target in json.loads(done.stdout)]

    def pings(self, address, count=1, timeout=1):
        return self.run("ping", "-n", "-c", count, "-i", "0.2", "-W", timeout, address, check=False).returncode == 0

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket of this host in this process: a socket keeps the network namespace that it was made in."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(family, kind, protocol)
            finally:
                libc.setns(home, CLONE_NEWNET)
        finally:
            os.close(home)
            os.close(there)

    def snapshot(self):
        """Everything that a VPN program may change on this host, as text to be compared byte for byte."""
        script = """
        for save in iptables-save ip6tables-save; do echo "== $save"; $save; done
        for family in -4 -6; do
          echo "== rule $family"; ip $family rule; echo "== route $family"; ip $family route show table all
        done
        echo "== nft"; nft list ruleset
        echo "== link"; ip -br link; echo "== addr"; ip addr
        echo "== qdisc"; tc qdisc show
        echo "== resolv.conf"; ls -l --time-style=+ /etc/resolv.conf; cat /etc/resolv.conf
        echo "== sysctl"; """ + "\n".join(f"printf '%s ' {name}; cat /proc/sys/{name}" for name in SYSCTLS)
        text = self.sh(script).stdout
        for pattern, replacement in VOLATILE:
            text = pattern.sub(replacement, text)
        return text

    def processes(self):
        """Ids of all processes in this host's network namespace, but for the one that keeps it open."""
        mine, found = os.readlink(f"/proc/{self.pid}/ns/net"), []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and int(entry) != self.pid and os.readlink(f"/proc/{entry}/ns/net") == mine:
                    found.append(int(entry))
            except OSError:
                pass
        return found

    def close(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for child in self._children:
            child.wait()
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()
        self._holder.stderr.close()


def wait_for_listener(host, port, kind="tcp", seconds=10):
    """Waits until something listens on that port of that host."""
    flag = "-Hltn" if kind == "tcp" else "-Hlun"
    wait_until(lambda: host.run("ss", flag, f"sport = :{port}").stdout.strip(), seconds, f"{kind} port {port} on {host.name}")
