"""What a node and a client find of their NAT is told to the server, and nobody waits for it."""
import json
import os
import unittest

from case import LabCase
from lab import lab as places
from lab.programs import STUN_PORT
from lab.wait import wait_until

PATIENCE = 30


class NatTypeIsTold(LabCase):
    payload_mib = 1

    def told_of_the_node(self, kind):
        wait_until(lambda: self.client.nodes()[0]["natType"] == kind, PATIENCE, f"the server to know the node's NAT as {kind}")

    def memory(self, program):
        with open(os.path.join(program.state, "nat.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_node(self):
        self.told_of_the_node("PortRestricted")
        self.assertEqual(self.node.status()["natType"], "PortRestricted")
        self.node.stop()
        # What is remembered is of another NAT now: it is found out, and the server told again.
        self.assertEqual(self.memory(self.node)["natType"], "PortRestricted")
        self.lab.set_nat("b", "symmetric")
        self.node.start()
        self.told_of_the_node("Symmetric")
        self.assertEqual(self.node.status()["nat"]["mapping"], "address-and-port-dependent")
        # Without --stun, the server that the node was told of is asked.
        report = json.loads(self.node.command("diagnose", "nat", "--json", "--state-dir", self.node.state).stdout)
        self.assertEqual((report["natType"], report["stunServer"]), ("Symmetric", f"{places.SERVER}:{STUN_PORT}"))

    def test_client(self):
        self.lab.set_nat("a", "address-restricted")
        report = json.loads(self.client.vpn("diagnose", "nat", "--json").stdout)  # beside the server of the login
        self.assertEqual(report["natType"], "RestrictedCone")
        self.client.connect_detached()
        wait_until(lambda: self.client.status().get("natType") == "RestrictedCone", PATIENCE, "the client to know its NAT")
        # Through the closed kill switch and past the tunnel: else this would be the node's NAT.
        report = json.loads(self.client.vpn("diagnose", "nat", "--json").stdout)
        self.assertEqual((report["natType"], report["mappedAddress"].rsplit(":", 1)[0]), ("RestrictedCone", self.lab.public_address("a")))
        self.client.vpn("disconnect")
        kept = self.memory(self.client)
        self.assertEqual((kept["natType"], kept["stunServer"]), ("RestrictedCone", {"host": places.SERVER, "port": STUN_PORT}))
        self.assertEqual(os.stat(os.path.join(self.client.state, "nat.json")).st_mode & 0o777, 0o600)

    def test_nobody_to_ask_is_a_usage_error(self):
        for program, name in ((self.client, "higgsvpn"), (self.node, "higgsnode")):
            done = program.command("diagnose", "nat", "--state-dir", "/run/none", check=False)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn("--stun", done.stderr)
            self.assertEqual(program.command("diagnose", "nat", "--stun", "no such host", check=False).returncode, 2, name)


if __name__ == "__main__":
    unittest.main()
