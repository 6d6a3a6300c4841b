"""The laboratory's map.

                          203.0.113.0/24, 2001:db8::/64 (bridge "inet")
   .10 .11        .80 .53 .54       .101            .102              .103
   server         web               router_a        router_b          router_c
                  (web, DNS)          │ 10.1.0.1      │ 10.2.0.1        │ 10.3.0.1
                                    client_a        node  .2          client_c
                                    10.1.0.2        printer .9        10.3.0.2
                                                    169.254.169.254
"""
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile

from lab import enter, nat
from lab.host import Host, wait_for_listener

SERVER, SERVER_2 = "203.0.113.10", "203.0.113.11"
WEB, DNS, ISP_DNS = "203.0.113.80", "203.0.113.53", "203.0.113.54"
WEB6, DNS6 = "2001:db8::80", "2001:db8::53"
PUBLIC = {"a": "203.0.113.101", "b": "203.0.113.102", "c": "203.0.113.103"}
PUBLIC6 = {"a": "2001:db8::101", "b": "2001:db8::102", "c": "2001:db8::103"}
CLIENT_A, NODE, PRINTER, CLIENT_C = "10.1.0.2", "10.2.0.2", "10.2.0.9", "10.3.0.2"
CLIENT_A6, NODE6, PRINTER6, CLIENT_C6 = "2001:db8:a::2", "2001:db8:b::2", "2001:db8:b::9", "2001:db8:c::2"
METADATA = "169.254.169.254"
WEB_NAME = "web.lab.test"
WEB_PORT = 80
BANNER_PORTS = (25, 465, 587, 8080)
MIB = 1 << 20

# Rules of somebody else, as a volunteer's computer may have them: a program must neither touch nor reorder them.
FOREIGN_RULES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:owner-rules - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp --dport 7 -j owner-rules
-A owner-rules -m comment --comment "of the owner" -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp --dport 7777 -j REDIRECT --to-ports 7
COMMIT
"""


class Lab:
    """All hosts of one laboratory; a context manager. Only inside enter.enter()."""

    def __init__(self, payload=None, payload_mib=8):
        self.dir = tempfile.mkdtemp(dir=enter.LAB_DIR)
        self._stack = contextlib.ExitStack()
        self.hosts = {}
        try:
            self._build()
            self._make_payload(payload, payload_mib)
            self._start_services()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def host(self, name):
        host = Host(name, self.dir)
        self._stack.callback(host.close)
        self.hosts[name] = host
        setattr(self, name, host)
        return host

    def link(self, host, interface, other, other_interface):
        host.run("ip", "link", "add", interface, "type", "veth", "peer", "name", other_interface, "netns", f"/proc/{other.pid}/ns/net")
        host.run("ip", "link", "set", interface, "up")
        other.run("ip", "link", "set", other_interface, "up")

    def _plug(self, host, interface, *addresses):
        """Connects a host to the internet's bridge."""
        self.link(host, interface, self.inet, f"p-{host.name}"[:15])
        self.inet.run("ip", "link", "set", f"p-{host.name}"[:15], "master", "inet")
        _address(host, interface, *addresses)

    def _build(self):
        inet = self.host("inet")
        inet.sh("ip link add inet type bridge; ip link set inet up; echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || true")
        self._plug(self.host("server"), "eth0", f"{SERVER}/24", f"{SERVER_2}/24", "2001:db8::10/64")
        self._plug(self.host("web"), "eth0", f"{WEB}/24", f"{DNS}/24", f"{ISP_DNS}/24", f"{WEB6}/64", f"{DNS6}/64")
        for home, hosts in {"a": {"client_a": 2}, "b": {"node": 2, "printer": 9}, "c": {"client_c": 2}}.items():
            self._home(home, hosts)
        for home in "abc":
            for host in [self.server, self.web] + [self.hosts[f"router_{other}"] for other in "abc" if other != home]:
                host.run("ip", "route", "add", f"2001:db8:{home}::/64", "via", PUBLIC6[home])
        # A cloud's metadata service, as the computer of a volunteer in a data centre would see it.
        self.router_b.run("ip", "addr", "add", f"{METADATA}/32", "dev", "lan0")
        self.node.run("ip", "route", "add", f"{METADATA}/32", "via", "10.2.0.1")
        for restore in ("iptables-restore", "ip6tables-restore"):
            self.node.run(restore, input=FOREIGN_RULES)

    def _home(self, home, hosts):
        """A router with a public address, and computers on a switch behind it."""
        number = "abc".index(home) + 1
        router = self.host(f"router_{home}")
        self._plug(router, "wan", f"{PUBLIC[home]}/24", f"{PUBLIC6[home]}/64")
        router.sh("ip link add lan0 type bridge; ip link set lan0 up; echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || true\n"
                  "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        _address(router, "lan0", f"10.{number}.0.1/24", f"2001:db8:{home}::1/64")
        for name, last in hosts.items():
            host = self.host(name)
            self.link(host, "eth0", router, f"lan-{name}")
            router.run("ip", "link", "set", f"lan-{name}", "master", "lan0")
            _address(host, "eth0", f"10.{number}.0.{last}/24", f"2001:db8:{home}::{last}/64")
            host.run("ip", "route", "add", "default", "via", f"10.{number}.0.1")
            host.run("ip", "route", "add", "default", "via", f"2001:db8:{home}::1")
            host.resolv_conf(ISP_DNS)
        self.set_nat(home, "port-restricted")

    def set_nat(self, home, kind):
        nat.apply(self.hosts[f"router_{home}"], kind, PUBLIC[home])

    def _make_payload(self, payload, payload_mib):
        """The file that the web site offers as /payload, and its hash, known before anything is downloaded."""
        self.payload = payload or os.path.join(self.dir, "payload")
        digest = hashlib.sha256()
        if payload:
            with open(payload, "rb") as source:
                while block := source.read(MIB):
                    digest.update(block)
        else:
            with open(self.payload, "wb") as out:
                for _ in range(payload_mib):
                    block = os.urandom(MIB)
                    digest.update(block)
                    out.write(block)
        self.payload_sha256 = digest.hexdigest()
        self.payload_bytes = os.path.getsize(self.payload)

    def _start_services(self):
        self._serve(self.web, "--http", f"{WEB}:{WEB_PORT}", "--http", f"[{WEB6}]:{WEB_PORT}", "--payload", self.payload,
                    "--dns", DNS, "--dns", ISP_DNS, "--dns", DNS6,
                    *(word for port in BANNER_PORTS for word in ("--banner", f"{WEB}:{port}")))
        wait_for_listener(self.web, 53, "udp")

    def _serve(self, host, *arguments):
        here = os.path.dirname(os.path.abspath(__file__))
        host.popen(sys.executable, os.path.join(here, "services.py"), *arguments, "--log", self.services_log(host), log="services.out")
        return host

    def serve(self, host, *arguments, port, kind="tcp"):
        """Starts more services (services.py) on a host and waits until that port listens."""
        self._serve(host, *arguments)
        wait_for_listener(host, port, kind)

    def services_log(self, host):
        return os.path.join(host.dir, "services.log")

    def seen(self, host, kind, **fields):
        """What a service has noted: requests and queries with the address that they came from."""
        path = self.services_log(host)
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if event["kind"] == kind and all(event.get(key) == value for key, value in fields.items())]

    def keep_logs(self, target):
        """Copies what the programs have written to a place that survives the laboratory."""
        for name in self.hosts:
            for root, _, files in os.walk(os.path.join(self.dir, name)):
                for file in files:
                    if file.endswith((".log", ".out", ".pcap")):
                        os.makedirs(os.path.join(target, name), exist_ok=True)
                        shutil.copyfile(os.path.join(root, file), os.path.join(target, name, file))

    def close(self):
        self._stack.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def _address(host, interface, *addresses):
    for address in addresses:
        host.run("ip", "addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
