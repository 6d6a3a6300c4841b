"""A CA for users, made and used with the commands of docs/operations.md, "Certificates of users"."""
import os

SETTINGS = """[ca]
default_ca = users
[users]
certificate = ca.crt
private_key = ca.key
database = index.txt
default_md = sha256
default_crl_days = 30
[client]
extendedKeyUsage = clientAuth
"""
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """In a directory of its own on that host."""

    def __init__(self, host, name="authority"):
        self._host, self._dir = host, os.path.join(host.dir, name)
        os.makedirs(self._dir)
        for file, text in (("ca.cnf", SETTINGS), ("index.txt", "")):
            with open(self.path(file), "w", encoding="ascii") as out:
                out.write(text)
        self._openssl("req", "-x509", *NEW_KEY, "-days", "3650", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", "ca.key", "-out", "ca.crt")
        self.list_revoked()

    def path(self, file):
        return os.path.join(self._dir, file)

    def issue(self, user):
        """(certificate, key), two files."""
        self._openssl("req", *NEW_KEY, "-subj", f"/CN={user}", "-keyout", f"{user}.key", "-out", f"{user}.csr")
        self._openssl("x509", "-req", "-in", f"{user}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "365",
                      "-extfile", "ca.cnf", "-extensions", "client", "-out", f"{user}.crt")
        return self.path(f"{user}.crt"), self.path(f"{user}.key")

    def revoke(self, user):
        self._openssl("ca", "-config", "ca.cnf", "-revoke", f"{user}.crt")
        self.list_revoked()

    def list_revoked(self):
        self._openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl")

    def _openssl(self, *arguments):
        self._host.run("env", "-C", self._dir, "openssl", *arguments)
