"""A relay with another name than the API's: behind the kill switch its addresses come with the route and from nowhere else."""
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
        server = Server(self.lab.server)
        server.start(*arguments, url=f"https://{NAME}:{SERVER_PORT}")
        self.addCleanup(server.stop)
        user = self.id().rsplit(".", 1)[1][:20]
        server.add_user(user, PASSWORD)
        self.lab.node.sh("cat >>/etc/hosts", input=f"{places.SERVER} {NAME}\n")
        node = Node(self.lab.node, server.pin())
        node.start(url=f"https://{NAME}:{SERVER_PORT}")
        self.addCleanup(node.stop)
        client = Client(self.lab.client_a, node.pin)
        client.vpn("login", "--server", URL, "--pin", node.pin, "--user", user, "--password-file", "-", input=PASSWORD + "\n")
        self.addCleanup(client.vpn, "disconnect", check=False)
        return client

    def test_is_reached_without_a_question_to_any_resolver(self):
        client = self.start("--public-addresses", places.SERVER)
        capture = Capture(self.lab.client_a, "eth0", RELAY, "relay-host")
        chatter = self.lab.client_a.popen("/usr/bin/python3", CHATTER)
        try:
            client.connect(expect=NODE_ADDRESS)
        finally:
            chatter.kill()
            packets = capture.stop()
        # The kill switch is closed before the API is asked for anything; the chatter before it was nobody's secret.
        closed = min(packet.time for packet in packets if packet.what == "relay")
        self.assertEqual([packet for packet in leaks(packets) if packet.time > closed], [], summary(packets))
        self.assertNotIn(NAME, {event["name"] for event in self.lab.seen(self.lab.web, "dns")})
        client.disconnect()

    def test_without_its_addresses_the_client_does_not_get_there(self):
        client = self.start()
        client.begin("connect", "--state-dir", client.state)
        wait_until(lambda: "cannot reach" in client.output(), 30, "the client to say what it cannot reach")
        self.assertIsNone(client.exit_address())
        self.assertNotIn(NAME, {event["name"] for event in self.lab.seen(self.lab.web, "dns")}, "nor does it ask about")


if __name__ == "__main__":
    unittest.main()
