"""Nebula through its relay, on the same map: a lighthouse that relays, a user, and an exit that forwards to the web site."""
import os

from lab import lab as places
from lab.wait import wait_until

LIGHTHOUSE, USER, EXIT = "192.168.100.1", "192.168.100.2", "192.168.100.3"
PORT = 4242
# Relayed packets carry two headers and two tags: 1400 is what still fits into 1500.
MTU = 1400

CONFIG = """
pki: {{ca: {dir}/ca.crt, cert: {dir}/{name}.crt, key: {dir}/{name}.key}}
static_host_map: {{"{lighthouse}": ["{server}:{port}"]}}
lighthouse: {{am_lighthouse: {am_lighthouse}, interval: 5, hosts: [{hosts}], remote_allow_list: {{"0.0.0.0/0": true, "::/0": false}}}}
listen: {{host: 0.0.0.0, port: {listen}}}
punchy: {{punch: true}}
relay: {{am_relay: {am_lighthouse}, use_relays: true, relays: [{hosts}]}}
tun: {{dev: nebula, mtu: {mtu}, unsafe_routes: [{routes}]}}
firewall: {{outbound: [{{port: any, proto: any, host: any}}], inbound: [{{port: any, proto: any, host: any}}]}}
logging: {{level: info, format: text}}
"""


class Nebula:
    """Started by `up`, ended by `down`; three processes, like ours."""

    def __init__(self, lab):
        self._lab, self.dir = lab, os.path.join(lab.dir, "nebula")
        os.makedirs(self.dir)
        cert = lambda *words: lab.server.run("nebula-cert", *words)  # noqa: E731
        cert("ca", "-name", "lab", "-out-crt", f"{self.dir}/ca.crt", "-out-key", f"{self.dir}/ca.key")
        for name, address, subnets in (("server", LIGHTHOUSE, ""), ("user", USER, ""), ("exit", EXIT, f"{places.WEB}/32")):
            cert("sign", "-ca-crt", f"{self.dir}/ca.crt", "-ca-key", f"{self.dir}/ca.key", "-name", name, "-ip", f"{address}/24",
                 "-out-crt", f"{self.dir}/{name}.crt", "-out-key", f"{self.dir}/{name}.key", *(["-subnets", subnets] if subnets else []))
            relay = name == "server"
            with open(f"{self.dir}/{name}.yml", "w", encoding="ascii") as out:
                out.write(CONFIG.format(
                    dir=self.dir, name=name, lighthouse=LIGHTHOUSE, server=places.SERVER, port=PORT, am_lighthouse=str(relay).lower(),
                    hosts="" if relay else f'"{LIGHTHOUSE}"', listen=PORT if relay else 0, mtu=MTU,
                    routes=f"{{route: {places.WEB}/32, via: {EXIT}}}" if name == "user" else ""))
        self.processes = {}

    def up(self):
        lab = self._lab
        # Without a direct way between the homes every packet takes the relay.
        for home, other in (("a", "b"), ("b", "a")):
            lab.hosts[f"router_{home}"].run("nft", "insert", "rule", "inet", "filter", "forward", "ip", "daddr",
                                            f"{{ {places.PUBLIC[other]}, 10.0.0.0/8 }}", "meta", "l4proto", "udp", "oifname", "wan", "drop")
        for name, host in (("server", lab.server), ("exit", lab.node), ("user", lab.client_a)):
            self.processes[name] = host.popen("nebula", "-config", f"{self.dir}/{name}.yml", log="nebula.log")
        lab.node.sh("echo 1 >/proc/sys/net/ipv4/ip_forward; iptables -t nat -A POSTROUTING -s 192.168.100.0/24 -o eth0 -j MASQUERADE")
        wait_until(lambda: lab.client_a.pings(EXIT), 30, "nebula to carry packets through its relay")

    def down(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._lab.node.sh("iptables -t nat -D POSTROUTING -s 192.168.100.0/24 -o eth0 -j MASQUERADE; echo 0 >/proc/sys/net/ipv4/ip_forward")
        for home in "ab":
            self._lab.set_nat(home, "port-restricted")
