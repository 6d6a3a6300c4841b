"""A server that names itself otherwise than its clients do: behind the kill switch nobody can be asked for that name."""
import unittest

from case import NODE_ADDRESS, PASSWORD, LoggedCase
from lab import lab as places
from lab.capture import Capture, leaks, summary
from lab.programs import RELAY, SERVER_PORT, URL, Client, Node, Server
from lab.wait import wait_until

NAME = "relay.lab.test"
CHATTER = f"{places.os.path.dirname(places.__file__)}/chatter.py"


class RelayHost(LoggedCase):
    def start(self, *arguments):
        """The server is known to nodes and clients' routes as NAME. The node can look it up; the client cannot."""
        server = self.server = Server(self.lab.server)
        server.url = f"https://{NAME}:{SERVER_PORT}"
        server.start(*arguments)
        self.addCleanup(server.stop)
        user = self.id().rsplit(".", 1)[1][:20]
        server.add_user(user, PASSWORD)
        self.lab.node.sh("cat >>/etc/hosts", input=f"{places.SERVER} {NAME}\n")
        node = Node(self.lab.node, server.pin(), url=server.url)
        node.start()
        self.addCleanup(node.stop)
        client = Client(self.lab.client_a, node.pin)
        client.vpn("login", "--server", URL, "--pin", node.pin, "--user", user, "--password-file", "-", input=PASSWORD + "\n")
        self.addCleanup(client.vpn, "disconnect", check=False)
        return client

    def connect(self, client):
        """Until it has a direct path; nothing may leave the client besides once its kill switch is closed."""
        capture = Capture(self.lab.client_a, "eth0", {RELAY}, "relay-host")
        chatter = self.lab.client_a.popen("/usr/bin/python3", CHATTER)
        try:
            client.connect(expect=NODE_ADDRESS)
            wait_until(lambda: client.status()["path"].startswith("direct"), 10, "a direct path")
        finally:
            chatter.kill()
            packets = capture.stop()
        # It is closed before the API is asked for anything; the chatter before that was nobody's secret.
        closed = min(packet.time for packet in packets if packet.what == "relay")
        self.assertEqual([packet for packet in leaks(packets) if packet.time > closed], [], summary(packets))

    def allocated(self):
        """Whether the client found TURN, which the route names by that name."""
        return self.server.metrics()["higgs_turn_requests_total"] > 0

    def test_is_found_by_the_addresses_that_come_with_the_route(self):
        self.connect(self.start("--public-addresses", places.SERVER))
        self.assertTrue(self.allocated())

    def test_without_them_the_relay_is_taken_where_the_api_is(self):
        self.connect(self.start())
        self.assertFalse(self.allocated())


if __name__ == "__main__":
    unittest.main()
