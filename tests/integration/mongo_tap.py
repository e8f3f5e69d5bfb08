"""A relay between a program and the database that notes each find: what was asked, and how many rows were fetched.

It speaks no protocol of its own: bytes go on as they came, and OP_MSG messages are read on the way. The program connects
with directConnection, so that it does not go around the tap.
"""

import contextlib
import dataclasses
import socket
import struct
import threading
import time

import bson

HEADER = struct.Struct("<iiii")  # length, request id, response to, opcode
OP_MSG = 2013
KIND_BODY = 0
READS = ("find", "aggregate", "count", "distinct")


@dataclasses.dataclass
class Read:
    label: str
    command: dict
    rows: int = 0  # fetched with the first reply and all getMore
    began: float = 0.0
    seconds: float = 0.0  # until its first reply; for people, no test judges it

    @property
    def collection(self):
        return self.command[next(iter(self.command))]


class MongoTap:
    """reads: every Read so far, in order. label: what the next ones are noted under."""

    def __init__(self, port):
        self.reads, self.label = [], ""
        self._target = ("127.0.0.1", port)
        self._asked = {}  # (connection, request id): Read
        self._cursors = {}  # cursor id: Read
        self._lock = threading.Lock()
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [near, far]
                threading.Thread(target=self._relay, args=(near, far, far, self._on_request), daemon=True).start()
                threading.Thread(target=self._relay, args=(far, near, far, self._on_reply), daemon=True).start()

    def _relay(self, source, sink, connection, note):
        """Whole messages from source to sink, each noted before it goes on."""
        stream = source.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while head := stream.read(HEADER.size):
                length, request, response_to, opcode = HEADER.unpack(head)
                rest = stream.read(length - HEADER.size)
                if opcode == OP_MSG and rest[4] == KIND_BODY:
                    body_len = struct.unpack_from("<i", rest, 5)[0]
                    with self._lock:
                        note(connection, request, response_to, bson.decode(rest[5 : 5 + body_len]))
                sink.sendall(head + rest)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def _on_request(self, connection, request, _, body):
        name = next(iter(body))
        if name in READS:
            read = Read(self.label, body, began=time.monotonic())
            self.reads.append(read)
            self._asked[connection, request] = read
        elif name == "getMore" and body[name] in self._cursors:
            self._asked[connection, request] = self._cursors[body[name]]

    def _on_reply(self, connection, _, response_to, body):
        read = self._asked.pop((connection, response_to), None)
        if read and "cursor" in body:
            cursor = body["cursor"]
            read.seconds = read.seconds or time.monotonic() - read.began
            read.rows += len(cursor.get("firstBatch", cursor.get("nextBatch", ())))
            if cursor["id"]:
                self._cursors[cursor["id"]] = read
