"""What home routers do to UDP, as nftables rules.

Whatever the kind, unknown packets from outside are dropped by INPUT: were they accepted, the early packet of a peer
would leave a conntrack entry, the flow from inside would get another port, and every NAT would look symmetric.
"""

# The learning sets: what the inside has sent from and to.
_LEARNT = """
  map inside { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; size 65535; }
  set peers { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; size 65535; }
  chain learn {
    type filter hook postrouting priority srcnat + 10; policy accept;
    oifname "wan" meta l4proto udp update @inside { udp sport : ct original ip saddr . ct original proto-src }
    oifname "wan" meta l4proto udp update @peers { ip daddr . udp sport }
  }
"""
# One outside port for each inside endpoint, whatever the destination, and not the inside one.
_REMAP = """
  map eim { type ipv4_addr . inet_service : inet_service; flags dynamic,timeout; timeout 60s; size 65535; }
  chain pick {
    type filter hook prerouting priority -300; policy accept;
    iifname "lan*" meta l4proto udp update @eim { ip saddr . udp sport : numgen random mod 40000 offset 20000 }
  }
"""
_REMAP_SNAT = 'oifname "wan" meta l4proto udp snat ip to {wan}:ip saddr . udp sport map @eim; oifname "wan" masquerade'
# The next outside port for each flow, as allocators count. numgen's own number would be byte-swapped as a port: hence the map.
_COUNTED_PORTS = range(30000, 32048)
_COUNT_SNAT = ('oifname "wan" meta l4proto udp snat ip to {wan}:numgen inc mod ' + str(len(_COUNTED_PORTS)) + " map {{ "
               + ", ".join(f"{index} : {port}" for index, port in enumerate(_COUNTED_PORTS)) + ' }}; oifname "wan" masquerade')
_MASQUERADE = 'oifname "wan" masquerade'
_TO_INSIDE = 'iifname "wan" meta l4proto udp dnat ip to udp dport map @inside'
_HAIRPIN_DNAT = '; iifname "lan*" ip daddr {wan} meta l4proto udp dnat ip to udp dport map @inside'
_HAIRPIN_SNAT = '; iifname "lan*" oifname "lan*" snat to {wan}'

# kind: (definitions, rules for destinations, rules for sources, extra rules for forwarding)
KINDS = {
    # The source port is kept, answers come only from where the inside has sent to.
    "port-restricted": ("", "", _MASQUERADE, ""),
    "port-restricted-remap": (_REMAP, "", _REMAP_SNAT, ""),
    # A new random port for every flow.
    "symmetric": ("", "", _MASQUERADE + " fully-random", ""),
    # The next port for every flow: the one before it tells where the next will be.
    "symmetric-sequential": ("", "", _COUNT_SNAT, ""),
    # Anybody may send to a port that the inside has used.
    "full-cone": (_LEARNT, _TO_INSIDE, _MASQUERADE, ""),
    "full-cone-remap": (_LEARNT + _REMAP, _TO_INSIDE, _REMAP_SNAT, ""),
    "full-cone-hairpin": (_LEARNT, _TO_INSIDE + _HAIRPIN_DNAT, _MASQUERADE + _HAIRPIN_SNAT, ""),
    # Any port of an address that the inside has sent to.
    "address-restricted": (_LEARNT, 'iifname "wan" meta l4proto udp ip saddr . udp dport @peers dnat ip to udp dport map @inside', _MASQUERADE, ""),
    # No UDP leaves at all: only the relay works.
    "udp-blocked": ("", "", _MASQUERADE, 'iifname "lan*" oifname "wan" meta l4proto udp drop'),
}

_RULES = """
flush ruleset
table ip nat {{
  {definitions}
  chain pre {{ type nat hook prerouting priority dstnat; {destination}
  }}
  chain post {{ type nat hook postrouting priority srcnat; {source}
  }}
}}
table inet filter {{
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "wan" ct state established,related accept
    iifname "wan" meta l4proto icmp accept
    iifname "wan" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, echo-request }} accept
    iifname "wan" drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    {forward}
    ct state established,related accept
    iifname "lan*" accept
    ct status dnat accept
  }}
}}
"""


def apply(router, kind, wan):
    """Makes `router` behave as that kind of NAT with outside address `wan`; the UDP flows that it knew are forgotten."""
    definitions, destination, source, forward = KINDS[kind]
    rules = _RULES.format(definitions=definitions, destination=destination.format(wan=wan), source=source.format(wan=wan), forward=forward)
    router.run("nft", "-f", "-", input=rules)  # atomic: on a mistake the old rules stay and this raises
    router.run("conntrack", "-D", "-p", "udp", check=False)
