"""STUN against the tools of others: the clients of coturn and of stun-client ask bosonserver, our NAT discovery asks
bosonserver and coturn. What is right behind each NAT of the laboratory is written here and nowhere else.
"""
import json
import re
import unittest

from lab import lab as places
from lab import nat
from lab.host import wait_for_listener
from lab.lab import Lab
from lab.programs import STUN_PORT, Program, Server, binary

EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"
# Kind of NAT: (natType, mapping, filtering, how outside ports are chosen)
TRUTH = {
    "none": ("Open", EI, EI, "preserved"),
    "full-cone": ("FullCone", EI, EI, "preserved"),
    "full-cone-remap": ("FullCone", EI, EI, "unknown"),
    "full-cone-hairpin": ("FullCone", EI, EI, "preserved"),
    "address-restricted": ("RestrictedCone", EI, AD, "preserved"),
    "port-restricted": ("PortRestricted", EI, APD, "preserved"),
    "port-restricted-remap": ("PortRestricted", EI, APD, "unknown"),
    "symmetric": ("Symmetric", APD, APD, "random"),
    "symmetric-sequential": ("Symmetric", APD, APD, "sequential"),
    "udp-blocked": ("UdpBlocked", "unknown", "unknown", "unknown"),
}
# What turnutils_natdiscovery and stun call it.
COTURN_WORDS = {EI: "Endpoint Independent", AD: "Address Dependent", APD: "Address and Port Dependent"}
STUN_WORDS = {"none": "Open", "udp-blocked": "Blocked or could not reach STUN server", "symmetric": "Dependent Mapping",
              "full-cone": "Independent Mapping, Independent Filter", "address-restricted": "Independent Mapping, Address Dependent Filter",
              "port-restricted": "Independent Mapping, Port Dependent Filter"}
CLASSIC_KINDS = tuple(STUN_WORDS)
COTURN, COTURN_2 = places.WEB, places.ISP_DNS


class StunInterop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Program.started.clear()
        cls.lab = Lab(payload_mib=1)
        cls.addClassCleanup(cls.lab.close)
        cls.host = cls.lab.client_a
        cls.server = Server(cls.lab.server)
        cls.server.start()
        cls.lab.web.popen("turnserver", "-n", "--listening-ip", COTURN, "--listening-ip", COTURN_2, "--listening-port", STUN_PORT, "--stun-only",
                          "--no-tls", "--no-dtls", "--no-cli", "--pidfile", "/run/turnserver.pid", "--log-file", "stdout", log="turnserver.out")
        wait_for_listener(cls.lab.web, STUN_PORT, "udp")

    def behind(self, kind):
        self.lab.set_nat("a", kind)
        return self.subTest(nat=kind)

    def diagnose(self, program, server):
        result = self.host.run(binary(program), "diagnose", "nat", "--stun", server, "--json", "--state-dir", "/run/none", check=False)
        self.assertTrue(result.stdout, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["stunServer"], server)
        return report, result.returncode

    def check_discovery(self, server, *programs):
        for kind, (nat_type, mapping, filtering, allocation) in TRUTH.items():
            for program in programs:
                with self.behind(kind):
                    report, code = self.diagnose(program, server)
                    self.assertEqual((report["natType"], report["mapping"], report["filtering"], report["allocation"]), (nat_type, mapping, filtering, allocation), report)
                    self.assertEqual(code, int(kind == "udp-blocked"))
                    if kind == "udp-blocked":
                        self.assertIsNone(report["mappedAddress"])
                        continue
                    self.assertEqual(report["mappedAddress"].rsplit(":", 1)[0], self.lab.public_address("a"))
                    self.assertEqual(report["translated"], kind != "none")
                    self.assertEqual(report["portStep"], 1 if allocation == "sequential" else 0)

    def test_every_kind_is_in_the_table(self):
        self.assertEqual(set(TRUTH), set(nat.KINDS) | {"none"})

    def test_our_discovery_against_our_server(self):
        self.check_discovery(f"{places.SERVER}:{STUN_PORT}", "higgsnode", "higgsvpn")

    def test_our_discovery_against_coturn(self):
        self.check_discovery(f"{COTURN}:{STUN_PORT}", "higgsvpn")

    def test_words_for_people(self):
        with self.behind("symmetric-sequential"):
            text = self.host.run(binary("higgsvpn"), "diagnose", "nat", "--stun", places.SERVER, "--state-dir", "/run/none").stdout
            self.assertIn("symmetric", text)
            self.assertIn("sequential, +1", text)
            self.assertIn(self.lab.public_address("a"), text)

    def test_server_with_one_address_is_never_guessed_from(self):
        self.lab.web.popen("turnserver", "-n", "--listening-ip", COTURN, "--listening-port", "3500", "--stun-only", "--no-tls", "--no-dtls", "--no-cli",
                           "--pidfile", "/run/turnserver-one.pid", "--log-file", "stdout", log="turnserver-one.out")
        wait_for_listener(self.lab.web, 3500, "udp")
        for kind in ("none", "full-cone", "symmetric"):
            with self.behind(kind):
                report, code = self.diagnose("higgsnode", f"{COTURN}:3500")
                self.assertEqual((report["natType"], report["mapping"], report["filtering"], report["serverComplete"]), ("Unknown", "unknown", "unknown", False))
                self.assertEqual(report["mappedAddress"].rsplit(":", 1)[0], self.lab.public_address("a"))
                self.assertEqual(code, 1)

    def test_turnutils_stunclient(self):
        # After the first answer it asks for one to its next port, and behind a NAT waits for that for ever; against coturn too.
        for kind, responses in (("none", 3), ("full-cone", 1), ("port-restricted", 1), ("symmetric", 1)):
            with self.behind(kind):
                output = self.host.run("timeout", "5", "stdbuf", "-oL", "turnutils_stunclient", places.SERVER, check=False).stdout
                self.assertEqual(len(re.findall(rf"UDP reflexive addr: {re.escape(self.lab.public_address('a'))}:\d+", output)), responses, output)
                self.assertIn(f"Response origin: : {places.SERVER}:{STUN_PORT}", output)
                self.assertIn(f"Other addr: : {places.SERVER_2}:{STUN_PORT + 1}", output)

    def test_turnutils_natdiscovery(self):
        for kind, (_, mapping, filtering, _) in TRUTH.items():
            if kind == "udp-blocked":
                continue
            with self.behind(kind):
                output = self.host.run("turnutils_natdiscovery", "-m", "-f", places.SERVER, timeout=60).stdout
                if kind != "none":  # it looks no further than at its own address then
                    self.assertIn(f"{COTURN_WORDS[mapping]} Mapping", output)
                self.assertIn(f"{COTURN_WORDS[filtering]} Filtering", output)

    def test_classic_stun_client(self):
        for kind in CLASSIC_KINDS:
            with self.behind(kind):
                output = self.host.run("stun", f"{places.SERVER}:{STUN_PORT}", check=False, timeout=60).stdout
                self.assertIn(f"Primary: {STUN_WORDS[kind]}", output)


if __name__ == "__main__":
    unittest.main()
