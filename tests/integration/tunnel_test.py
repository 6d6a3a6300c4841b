"""A user behind NAT reaches the internet through a volunteer behind NAT."""
# ctest: cluster
import concurrent.futures
import json
import unittest

from case import NODE_ADDRESS, LabCase
from lab import lab as places


class Tunnel(LabCase):
    payload_mib = 200
    second_client = True

    def download(self, host):
        done = host.run("/usr/bin/python3", f"{places.os.path.dirname(places.__file__)}/download.py",
                        f"http://{places.WEB}/payload", timeout=300)
        return json.loads(done.stdout)

    def test_web_site_sees_the_node(self):
        self.assertEqual(self.client.exit_address(), places.PUBLIC["a"], "without a tunnel the web site sees home A")
        self.client.connect(expect=NODE_ADDRESS)
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS)

    def test_relay_by_request(self):
        self.client.connect("--path", "relay", expect=NODE_ADDRESS)
        self.assertEqual(self.client.status()["path"], "relay")
        self.assertEqual(self.download(self.lab.client_a)["sha256"], self.lab.payload_sha256)
        self.assertEqual(self.client.status()["path"], "relay")

    def test_ipv6_leaves_through_the_node(self):
        self.assertEqual(self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip").strip(), places.CLIENT_A6)
        self.client.connect(expect=NODE_ADDRESS)
        self.assertEqual(self.lab.client_a.fetch(f"http://[{places.WEB6}]/ip").strip(), places.NODE6)

    def test_large_download_arrives_whole(self):
        self.client.connect(expect=NODE_ADDRESS)
        result = self.download(self.lab.client_a)
        print(f"{result['mbit_s']:.0f} Mbit/s ", end="", flush=True)
        self.assertEqual(result["bytes"], 200 * places.MIB)
        self.assertEqual(result["sha256"], self.lab.payload_sha256)
        self.assertEqual(result["resumed"], 0)

    def test_detached_connect_returns_with_a_working_tunnel(self):
        seconds = self.client.connect_detached()
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS, f"connect --detach returned after {seconds:.1f} s")

    def test_two_clients_at_once(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.other.connect(expect=NODE_ADDRESS)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for result in pool.map(self.download, [self.client.host, self.other.host]):
                self.assertEqual(result["sha256"], self.lab.payload_sha256)
        self.other.disconnect()
        self.assertEqual(self.client.exit_address(), NODE_ADDRESS, "the first goes on when the second leaves")

    def test_relay_works_where_no_udp_leaves(self):
        self.lab.set_nat("a", "udp-blocked")
        self.lab.set_nat("b", "udp-blocked")
        self.addCleanup(self.lab.set_nat, "a", "port-restricted")
        self.addCleanup(self.lab.set_nat, "b", "port-restricted")
        self.client.connect(expect=NODE_ADDRESS)

    def test_names_are_asked_through_the_tunnel_only(self):
        self.client.connect(expect=NODE_ADDRESS)
        before = len(self.lab.seen(self.lab.web, "dns"))
        self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB_NAME}/ip", "-4").strip(), NODE_ADDRESS)
        asked = self.lab.seen(self.lab.web, "dns")[before:]
        self.assertTrue([event for event in asked if event["name"] == places.WEB_NAME])
        self.assertEqual({event["source"] for event in asked}, {NODE_ADDRESS})
        self.assertEqual({event["server"] for event in asked}, {places.DNS})
        self.client.disconnect()
        self.assertEqual(self.lab.client_a.fetch(f"http://{places.WEB_NAME}/ip", "-4").strip(), places.PUBLIC["a"])

    def test_disconnect_leaves_nothing(self):
        self.client.connect(expect=NODE_ADDRESS)
        self.assertNotEqual(self.before["client_a"], self.lab.client_a.snapshot(), "a snapshot shows a tunnel")
        self.client.disconnect()
        self.assert_untouched(self.lab.client_a)
        self.assertEqual(self.lab.client_a.processes(), [])
        self.client.disconnect()  # and again: nothing to do is not a failure

    def test_where_ipv6_is_off_by_sysctl(self):
        """As on many servers and in many containers: the kernel has IPv6, and no interface takes it."""
        host = self.lab.client_c
        host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        self.addCleanup(self.give_ipv6_back, host)
        before = host.snapshot()
        self.other.connect(expect=NODE_ADDRESS)
        self.assertIn("-A HIGGSVPN-OUT -j DROP", host.run("ip6tables-save").stdout, "it may be turned on at any time")
        self.other.disconnect()
        self.assertMultiLineEqual(before, host.snapshot())

    def give_ipv6_back(self, host):
        host.sh("echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        for on in (False, True):
            self.lab.set_ipv6("c", on)

    def test_wrong_credentials_and_no_node(self):
        refused = self.client.vpn("connect", "--country", "ZZ", check=False)
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assert_untouched(self.lab.client_a)

    def test_node_stop_leaves_nothing(self):
        self.assertNotEqual(self.before["node"], self.lab.node.snapshot())
        self.node.stop()
        try:
            self.assert_untouched(self.lab.node)
        finally:
            self.node.start()


if __name__ == "__main__":
    unittest.main()
