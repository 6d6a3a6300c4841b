"""Users who log in with certificates: the operator's CA by the openssl command, all else by the programs' command lines."""
import json
import os
import shutil
import unittest

from case import NODE_ADDRESS, PASSWORD, LabCase
from lab.authority import Authority
from lab.programs import Client, Program
from lab.wait import wait_until

REFUSED, USAGE = 3, 2  # exit statuses of higgsvpn


class CertificateLogin(LabCase):
    """bob's certificate was revoked before the server began."""

    @classmethod
    def _start_servers(cls):
        cls.authority = Authority(cls.lab.server)
        cls.alice, cls.bob, cls.mallory = (cls.authority.issue(user) for user in ("alice", "bob", "mallory"))
        cls.authority.revoke("bob")
        cls.server_arguments = ("--tls-client-ca", cls.authority.path("ca.crt"), "--tls-client-crl", cls.authority.path("ca.crl"))
        servers = super()._start_servers()
        servers[0].add_user("bob", PASSWORD)
        return servers

    def setUp(self):
        self.person = Client(self.lab.client_a, self.server.pin(), state=os.path.join(self.lab.client_a.dir, f"person{len(Program.started)}"))

    def tearDown(self):
        self.person.vpn("disconnect", check=False)
        super().tearDown()

    def login(self, files, *arguments):
        certificate, key = files
        return self.person.vpn("login", "--server", self.person.url, "--pin", self.person.pin, "--certificate", certificate, "--key", key,
                               *arguments, check=False)

    def audit(self):
        """Logins with certificates, the latest last: (object, outcome)."""
        entries = json.loads(self.server.command("audit", "list", "--json", *self.server.where()).stdout)
        return [(entry["object"], entry["outcome"]) for entry in entries if entry["action"] == "auth.certificate"]

    def test_a_certificate_opens_what_a_password_opens(self):
        done = self.login(self.alice)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("as alice", done.stdout)
        for folder, _, files in os.walk(self.person.state):
            for file in files:
                with open(os.path.join(folder, file), "rb") as content:
                    self.assertNotIn(b"BEGIN", content.read(), f"{file} keeps a certificate or a key")
        self.assertEqual(len(self.person.nodes()), 1)
        self.person.connect_detached()
        self.assertEqual(self.person.exit_address(), NODE_ADDRESS)
        outcome = self.audit()[-1]
        self.assertRegex(outcome[0], r"^user:alice certificate:[0-9a-f]{64}$")
        self.assertEqual(outcome[1], "ok")

    def test_a_revoked_one_is_refused(self):
        before = self.audit()
        done = self.login(self.bob)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn("refuses the certificate", done.stderr)
        wait_until(lambda: "certificate revoked" in self.server.output(), 10, "the server to say why")
        self.assertEqual(self.audit(), before, "it was never spoken with")
        self.assertNotEqual(self.person.vpn("nodes", check=False).returncode, 0)

    def test_a_list_that_comes_later_counts_after_a_reload(self):
        carol = self.authority.issue("carol")
        self.server.add_user("carol", PASSWORD)
        self.assertEqual(self.login(carol).returncode, 0)
        self.person.connect_detached()
        self.authority.revoke("carol")
        pid = self.server.process.pid
        self.server.reload()
        wait_until(lambda: "were read again" in self.server.output(), 10, "the server to read its files again")
        self.assertEqual(self.server.process.pid, pid)
        self.assertEqual(self.person.exit_address(), NODE_ADDRESS, "the tunnel goes on")
        done = self.login(carol)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn("refuses the certificate", done.stderr)
        with open(self.authority.path("ca.crl"), "a", encoding="ascii") as damaged:
            damaged.write("-----BEGIN X509 CRL-----\n")
        self.server.reload()
        wait_until(lambda: "nothing was read again" in self.server.output(), 10, "the server to say that it cannot use the list")
        self.assertEqual(self.login(self.alice).returncode, 0, "the old ones stay in use")
        self.authority.list_revoked()

    def test_one_of_another_ca_is_refused(self):
        other = Authority(self.lab.client_a, "other")
        done = self.login(other.issue("alice"))
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn("refuses the certificate", done.stderr)

    def test_one_of_nobody_is_refused(self):
        done = self.login(self.mallory)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn("there is no user of its name", done.stderr)
        self.assertEqual(self.audit()[-1][1], "denied: unknown")

    def test_files_are_looked_at_first(self):
        open_key = os.path.join(self.lab.client_a.dir, "open.key")
        shutil.copy(self.alice[1], open_key)
        os.chmod(open_key, 0o644)
        for files, text in (((self.alice[0], open_key), "chmod 600"), ((self.alice[0], self.bob[1]), "is not the key of"),
                            ((self.alice[1], self.alice[1]), "no certificate")):
            done = self.login(files)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn(text, done.stderr)
        self.assertEqual(self.login(self.alice, "--user", "bob").returncode, USAGE)


if __name__ == "__main__":
    unittest.main()
