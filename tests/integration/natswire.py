"""NATS' own protocol over a socket: what the server answers to one line, at once and without a client's help."""

import json
import re
import socket

DENIED = re.compile(r"Permissions Violation for (?:Publish|Subscription) to \"([^\"]*)\"")


class Refused(Exception):
    """The server does not take these credentials."""


class NatsWire:
    def __init__(self, port, user=None, password=None):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._lines = self._socket.makefile("rb")
        assert self._line().startswith("INFO ")
        credentials = {"user": user, "pass": password} if user is not None else {}
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, **credentials}
        self._sid = 0
        answer = self.ask(f"CONNECT {json.dumps(options)}")
        if answer:
            raise Refused(answer[0])

    def close(self):
        self._lines.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _line(self):
        return self._lines.readline().decode().strip()

    def ask(self, line):
        """Send it; what the server says until it has seen it. Messages that come are skipped."""
        self._socket.sendall(f"{line}\r\nPING\r\n".encode())
        said = []
        while True:
            line = self._line()
            if line == "PONG" or not line:
                return said
            if line.startswith("-ERR"):
                said.append(line)

    def _denied(self, line):
        return any(DENIED.search(answer) for answer in self.ask(line))

    def may_publish(self, subject, body="", reply=""):
        return not self._denied(f"PUB {subject} {reply} {len(body)}\r\n{body}")

    def may_subscribe(self, subject, queue=""):
        """And takes it back at once."""
        self._sid += 1
        denied = self._denied(f"SUB {subject} {queue} {self._sid}")
        self.ask(f"UNSUB {self._sid}")
        return not denied

    def listen(self, subject, queue=""):
        self._sid += 1
        assert not self._denied(f"SUB {subject} {queue} {self._sid}")

    def next_message(self):
        """(subject, reply, body) of the next message; waits for it."""
        while True:
            words = self._line().split()
            if words and words[0] in ("MSG", "HMSG"):
                size = int(words[-1])
                body = self._lines.read(size + 2)[:size]
                with_reply = len(words) == (5 if words[0] == "MSG" else 6)
                return words[1], words[3] if with_reply else "", body
