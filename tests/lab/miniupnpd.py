"""miniupnpd on a router of the laboratory, with what a home router's firmware would give it: chains for its rules, and
an outside address of its own that is not one of those kept for documentation, since it refuses to map behind those."""
import os
import re
import signal

from lab import lab as places
from lab.wait import wait_until

# Public addresses as far as miniupnpd can tell; they exist in the laboratory alone.
OUTSIDE = {"a": "5.45.0.101", "b": "5.45.0.102", "c": "5.45.0.103"}
PORT = 5351

_CHAINS = """
table inet miniupnpd {
  chain forward { type filter hook forward priority -10; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -110; policy accept; jump prerouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting { type nat hook postrouting priority 110; policy accept; jump postrouting_miniupnpd; }
  chain postrouting_miniupnpd { }
}
"""
_CONFIG = """
ext_ifname=wan
{declared}
listening_ip=lan0
http_port=0
enable_upnp={upnp}
enable_natpmp={natpmp}
secure_mode=yes
system_uptime={system_uptime}
lease_file={directory}/leases
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
uuid=0228ed04-2063-4fd6-be29-ef34775acbd{home}
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


class Miniupnpd:
    """Maps ports of one home's router. The rules of the NAT kind stay as they are; its own are in a table beside."""

    def __init__(self, lab, home, upnp=True, natpmp=True, system_uptime=False, outside=None, declared=True):
        self.lab, self.home, self.router = lab, home, lab.hosts[f"router_{home}"]
        self.outside = outside or OUTSIDE[home]
        self.directory = os.path.join(self.router.dir, "miniupnpd")
        os.makedirs(self.directory, exist_ok=True)
        self.config = os.path.join(self.directory, "miniupnpd.conf")
        with open(self.config, "w", encoding="ascii") as out:
            out.write(_CONFIG.format(declared=f"ext_ip={self.outside}" if declared else "", upnp=_yes(upnp), natpmp=_yes(natpmp), system_uptime=_yes(system_uptime),
                                     directory=self.directory, home=home))
        self.upnp, self.natpmp, self.process = upnp, natpmp, None
        self._reach_outside()

    def _reach_outside(self):
        """The router has the outside address, and the internet finds it there."""
        self.router.run("ip", "addr", "replace", f"{self.outside}/32", "dev", "wan")
        for name, host in self.lab.hosts.items():
            if name in ("inet", "server", "web") or name.startswith("router_") and host is not self.router:
                host.run("ip", "route", "replace", f"{self.outside}/32", "via", places.PUBLIC[self.home])

    def start(self):
        self.flush()
        self.router.run("ip", "route", "replace", "239.0.0.0/8", "dev", "lan0")
        self.process = self.router.popen("miniupnpd", "-d", "-f", self.config, "-P", os.path.join(self.directory, "pid"), log="miniupnpd.log")
        listening = [PORT] * self.natpmp + [1900] * self.upnp
        wait_until(lambda: self.process.poll() is None and all(self._listens(port) for port in listening), 20, "miniupnpd to listen")
        return self

    def _listens(self, port):
        return self.router.run("ss", "-Hlun", f"sport = :{port}").stdout.strip()

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def flush(self):
        """Forgets every mapping, as a router does that loses power."""
        self.router.run("nft", "delete", "table", "inet", "miniupnpd", check=False)
        self.router.run("nft", "-f", "-", input=_CHAINS)
        leases = os.path.join(self.directory, "leases")
        if os.path.exists(leases):
            os.remove(leases)

    def restart(self):
        """The router loses power: it comes back and knows nothing. Returns what it knew in between."""
        self.process.kill()
        self.process.wait(20)
        self.flush()
        between = self.mappings()
        self.start()
        return between

    def close(self):
        self.stop()
        self.router.run("nft", "delete", "table", "inet", "miniupnpd", check=False)
        self.router.run("ip", "addr", "del", f"{self.outside}/32", "dev", "wan", check=False)

    def mappings(self):
        """{outside port: inside endpoint} as the kernel has them."""
        rules = self.router.run("nft", "-n", "list", "chain", "inet", "miniupnpd", "prerouting_miniupnpd", check=False).stdout
        return {int(port): inside for port, inside in re.findall(r"(?:@nh,72,8 0x11 th|udp) dport (\d+) dnat ip to ([\d.]+:\d+)", rules)}


def _yes(value):
    return "yes" if value else "no"
