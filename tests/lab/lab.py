"""The laboratory's map.

                          203.0.113.0/24, 2001:db8::/64 (bridge "inet")
   .10 .11        .80 .53 .54       .101            .102              .103
   server         web               router_a        router_b          router_c
                  (web, DNS)          │ 10.1.0.1      │ 10.2.0.1        │ 10.3.0.1
                                    client_a        node  .2          client_c
                                    10.1.0.2        printer .9        10.3.0.2
                                                    169.254.169.254

With cluster=True there are .12 .13 server_b and .20 databases besides; .21 is for the databases of a second region.

A home of NAT kind "none" has a switch in place of its router: its computer is on the internet with an address of its
own (PUBLIC_HOST). The bridge "inet" is also the provider's router, 203.0.113.1.
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

SERVER, SERVER_2, SERVER6 = "203.0.113.10", "203.0.113.11", "2001:db8::10"
SERVER_B, SERVER_B_2, SERVER_B6 = "203.0.113.12", "203.0.113.13", "2001:db8::12"
DATABASES, DATABASES_B = "203.0.113.20", "203.0.113.21"
WEB, DNS, ISP_DNS = "203.0.113.80", "203.0.113.53", "203.0.113.54"
WEB6, DNS6 = "2001:db8::80", "2001:db8::53"
PUBLIC = {"a": "203.0.113.101", "b": "203.0.113.102", "c": "203.0.113.103"}
PUBLIC_HOST = {"a": "203.0.113.111", "b": "203.0.113.112", "c": "203.0.113.113"}
PUBLIC_HOST6 = {"a": "2001:db8::111", "b": "2001:db8::112", "c": "2001:db8::113"}
PROVIDER, PROVIDER6 = "203.0.113.1", "2001:db8::1"
PUBLIC6 = {"a": "2001:db8::101", "b": "2001:db8::102", "c": "2001:db8::103"}
CLIENT_A, NODE, PRINTER, CLIENT_C = "10.1.0.2", "10.2.0.2", "10.2.0.9", "10.3.0.2"
CLIENT_A6, NODE6, PRINTER6, CLIENT_C6 = "2001:db8:a::2", "2001:db8:b::2", "2001:db8:b::9", "2001:db8:c::2"
METADATA = "169.254.169.254"
WEB_NAME = "web.lab.test"
WEB_PORT, WHOAMI_PORT = 80, 7000
BANNER_PORTS = (25, 465, 587, 8080)
MIB = 1 << 20
HOMES = {"a": {"client_a": 2}, "b": {"node": 2, "printer": 9}, "c": {"client_c": 2}}
NO_NAT = "none"

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

    def __init__(self, payload=None, payload_mib=8, cluster=False):
        self.dir = tempfile.mkdtemp(dir=enter.LAB_DIR)
        self._stack = contextlib.ExitStack()
        self.hosts = {}
        self.nat_kinds, self.ipv6, self.wan = {}, dict.fromkeys(HOMES, True), dict(PUBLIC)
        try:
            self._build(cluster)
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

    def _build(self, cluster):
        inet = self.host("inet")
        inet.sh("ip link add inet type bridge; ip link set inet up; echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || true\n"
                "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding\n"
                "echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects; echo 0 >/proc/sys/net/ipv4/conf/inet/send_redirects")
        _address(inet, "inet", f"{PROVIDER}/24", f"{PROVIDER6}/64")
        self._plug(self.host("server"), "eth0", f"{SERVER}/24", f"{SERVER_2}/24", f"{SERVER6}/64")
        if cluster:
            self._plug(self.host("server_b"), "eth0", f"{SERVER_B}/24", f"{SERVER_B_2}/24", f"{SERVER_B6}/64")
            self._plug(self.host("databases"), "eth0", f"{DATABASES}/24")
        self._plug(self.host("web"), "eth0", f"{WEB}/24", f"{DNS}/24", f"{ISP_DNS}/24", f"{WEB6}/64", f"{DNS6}/64")
        for home in HOMES:
            self._home(home)
        for home in HOMES:
            for host in [inet, self.server, self.web, *([self.server_b] if cluster else [])] + [self.hosts[f"router_{other}"] for other in HOMES if other != home]:
                host.run("ip", "route", "add", f"2001:db8:{home}::/64", "via", PUBLIC6[home])
        # A cloud's metadata service, as the computer of a volunteer in a data centre would see it.
        self.router_b.run("ip", "addr", "add", f"{METADATA}/32", "dev", "lan0")
        for restore in ("iptables-restore", "ip6tables-restore"):
            self.node.run(restore, input=FOREIGN_RULES)

    def stranger(self, name, *addresses):
        """One more computer on the internet, with all these IPv4 addresses."""
        self._plug(self.host(name), "eth0", *(f"{address}/24" for address in addresses))
        return self.hosts[name]

    def _home(self, home):
        """A router with a public address, and computers on a switch behind it."""
        router = self.host(f"router_{home}")
        self._plug(router, "wan", f"{PUBLIC[home]}/24", f"{PUBLIC6[home]}/64")
        router.sh("ip link add lan0 type bridge; ip link set lan0 up; echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || true\n"
                  "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        _address(router, "lan0", f"10.{_number(home)}.0.1/24", f"2001:db8:{home}::1/64")
        for name in HOMES[home]:
            host = self.host(name)
            self.link(host, "eth0", router, f"lan-{name}")
            router.run("ip", "link", "set", f"lan-{name}", "master", "lan0")
            host.resolv_conf(ISP_DNS)
        self.set_nat(home, "port-restricted")

    def set_nat(self, home, kind):
        """One of nat.KINDS, or NO_NAT. The router forgets the UDP flows that it knew."""
        before, self.nat_kinds[home] = self.nat_kinds.get(home), kind
        router = self.hosts[f"router_{home}"]
        if kind == NO_NAT:
            router.sh("nft flush ruleset; ip link set wan master lan0")
        else:
            if before == NO_NAT:
                router.run("ip", "link", "set", "wan", "nomaster")
            nat.apply(router, kind, self.wan[home])
        if before is None or NO_NAT in (before, kind) and before != kind:
            self._settle(home)

    def set_ipv6(self, home, on):
        """Whether the computers of a home have IPv6; where both ends have it, no NAT is in the way."""
        if self.ipv6[home] != on:
            self.ipv6[home] = on
            self._settle(home)

    def set_wan(self, home, address):
        """The provider gives the router of a home another public address; every flow through it is cut."""
        router, before = self.hosts[f"router_{home}"], self.wan[home]
        self.wan[home] = address
        router.sh(f"ip addr del {before}/24 dev wan; ip addr add {address}/24 dev wan")
        nat.apply(router, self.nat_kinds[home], address)
        router.run("conntrack", "-F", check=False)
        for host in self.hosts.values():  # nobody may go on sending to the one who had the address last
            host.run("ip", "neigh", "flush", "to", address, check=False)

    def cut(self, home, address):
        """The router of a home passes nothing on to or from that address, whatever it is connected to, until mend()."""
        self.hosts[f"router_{home}"].run("nft", "-f", "-", input=f"""table inet lab_cut {{
  chain forward {{
    type filter hook forward priority -150; policy accept;
    ip daddr {address} drop
    ip saddr {address} drop
  }}
}}
""")

    def mend(self, home):
        self.hosts[f"router_{home}"].run("nft", "delete", "table", "inet", "lab_cut")

    def readdress(self, name, address):
        """Another address for the first computer of a home in its own network, as DHCP may give one."""
        host = self.hosts[name]
        home = next(home for home, hosts in HOMES.items() if name in hosts)
        host.sh(f"ip -4 addr flush dev eth0 scope global; ip addr add {address}/24 dev eth0; ip route replace default via 10.{_number(home)}.0.1")

    def public_address(self, home):
        """The IPv4 address that the internet sees the first computer of a home by."""
        return PUBLIC_HOST[home] if self.nat_kinds[home] == NO_NAT else self.wan[home]

    def _settle(self, home):
        """Gives the computers of a home their addresses and routes."""
        public = self.nat_kinds[home] == NO_NAT
        for index, (name, last) in enumerate(HOMES[home].items()):
            if public and index == 0:  # alone on its wire: what it takes for its own network is not the whole internet
                words = (f"{PUBLIC_HOST[home]}/32", PROVIDER, f"{PUBLIC_HOST6[home]}/128", PROVIDER6)
            else:
                words = (f"10.{_number(home)}.0.{last}/24", f"10.{_number(home)}.0.1", f"2001:db8:{home}::{last}/64", f"2001:db8:{home}::1")
            script = ["ip addr flush dev eth0 scope global; ip -6 route del default 2>/dev/null || true", f"echo {int(not self.ipv6[home])} >/proc/sys/net/ipv6/conf/eth0/disable_ipv6",
                      f"ip addr add {words[0]} dev eth0", f"ip route add default via {words[1]} dev eth0 onlink"]
            if self.ipv6[home]:
                script += [f"ip addr add {words[2]} dev eth0 nodad", f"ip route add default via {words[3]} dev eth0 onlink"]
            if name == "node" and not public:
                script.append(f"ip route add {METADATA}/32 via {words[1]}")
            self.hosts[name].sh("\n".join(script))

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
                    "--whoami", f"{WEB}:{WHOAMI_PORT}", "--dns", DNS, "--dns", ISP_DNS, "--dns", DNS6,
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


def _number(home):
    return "abc".index(home) + 1


def _address(host, interface, *addresses):
    for address in addresses:
        host.run("ip", "addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
