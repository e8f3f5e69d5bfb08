"""What passes over the bus, by the broker's own clock: when each event and each push was stored, in nanoseconds.

A client of NATS' own protocol in a thread, as a stranger who may read everything. It listens to the deliveries to workers
(their reply subject holds the event's sequence and time) and to what is republished from THREADS (its header holds the
time, the push's id the event's sequence). When it reads them makes no difference to the times.
"""

import datetime
import json
import re
import socket
import threading

DELIVERED = re.compile(rb"^\$JS\.ACK\.(?:\S+\.)?EVENTS\.[^.]+\.\d+\.(\d+)\.\d+\.(\d+)\.\d+")
STAMP = re.compile(rb"Nats-Time-Stamp: (\S+)")
PUSH_ID = re.compile(rb"(\d{10,})-\d+")


def nanoseconds(stamp):
    """RFC 3339 with up to nine digits behind the point."""
    moment, _, fraction = stamp.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(moment + "+00:00")
    return int(at.timestamp()) * 1000000000 + int(fraction.ljust(9, "0"))


class Tap:
    """stored and pushed: {sequence of the event: CLOCK_REALTIME in ns}, filled as they come."""

    def __init__(self, port, user, password):
        self.stored, self.pushed = {}, {}
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "user": user, "pass": password}
        self._socket.sendall(f"CONNECT {json.dumps(options)}\r\nSUB _INBOX_worker.> 1\r\nSUB live.thr.> 2\r\nPING\r\n".encode())
        self._lines = self._socket.makefile("rb")
        for line in self._lines:
            assert not line.startswith(b"-ERR"), line
            if line.startswith(b"PONG"):
                break
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _read(self):
        while line := self._lines.readline():
            if line.startswith(b"PING"):
                self._socket.sendall(b"PONG\r\n")
            elif line.startswith((b"MSG ", b"HMSG ")):
                words = line.split()
                self._take(words, self._lines.read(int(words[-1]) + 2))

    def _take(self, words, body):
        """MSG subject sid [reply] size; HMSG subject sid [reply] size-of-headers size."""
        with_reply = len(words) == (6 if words[0] == b"HMSG" else 5)
        if words[2] == b"1" and with_reply and (found := DELIVERED.match(words[3])):
            self.stored[int(found[1])] = int(found[2])
        elif words[2] == b"2" and (stamp := STAMP.search(body)) and (push := PUSH_ID.search(body, stamp.end())):
            self.pushed.setdefault(int(push[1]), nanoseconds(stamp[1].decode()))
