"""A tunnel that stands while its server is attacked: it lives, memory stays within its limit, and the metrics say what was refused.

The short form of `make hostile` (tests/hostile), which measures the throughput as well.
"""
# ctest: serial
import os
import unittest

from case import LoggedCase
from hostile.siege import ATTACKS, LIMIT_MIB, Siege
from lab.wait import wait_until

# A sanitizer has a shadow of all memory, and keeps what was freed.
MEMORY_SCALE = 16 if os.environ.get("HIGGS_SANITIZER") else 1
SECONDS = 3  # and on until it was refused


class HostileLoad(LoggedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.siege = Siege(cls.lab, LIMIT_MIB * MEMORY_SCALE)

    def test_tunnel_outlives_every_attack(self):
        for name in ATTACKS:
            with self.subTest(attack=name):
                result = self.siege.attack(name, SECONDS, aside=False)
                self.assertEqual(self.siege.problems(result), [], result)
                total = self.siege.flow.total()
                wait_until(lambda total=total: self.siege.flow.total() > total, 10, "the download to go on")
                self.siege.wait_rest()
                print(f"{name} {result['rss_mib']:.0f} MiB ", end="", flush=True)

    def test_whoever_is_known_is_served_after_it(self):
        self.siege.attack("logins", SECONDS, aside=False)
        self.siege.wait_rest()
        self.assertEqual(self.siege.client.status()["sessionId"], self.siege.session)
        self.assertTrue(self.siege.client.nodes(), "a list is to be had")
        self.assertTrue(self.siege.node.status()["server"]["registered"])


if __name__ == "__main__":
    unittest.main()
