"""Raw WebSocket lines for load: frames are built once and written as bytes, replies are read by a pattern.

One asyncio loop drives hundreds of lines at tens of thousands of frames a second, where a client library would measure
itself. JSON subprotocol; frames of a client are masked with zeros.
"""

import asyncio
import json
import re
import select
import socket

REPLY = re.compile(rb'"reply":\{"id":(\d+),"(\w+)":\{(?:"code":"(\w+)")?')
RETRY = re.compile(rb'"retryAfterMs":(\d+)')
CLOSING = re.compile(rb'"closing":\{"closeCode":(\d+)')


def framed(body, opcode=0x81):
    """A client frame: text, or a dict as JSON; FIN and opcode in the first byte."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    size = len(data)
    if size < 126:
        head = bytes([opcode, 0x80 | size])
    elif size < 65536:
        head = bytes([opcode, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([opcode, 0xFF]) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + data


def handshake(port):
    return (f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: yizhan.v1.json\r\n\r\n").encode()  # fmt: skip


def hello(token, channels=()):
    return framed({"id": 1, "hello": {"token": token, "subscribe": [{"channel": channel} for channel in channels]}})


class Line(asyncio.Protocol):
    """One connection. on_reply(line, id, result, code, retry_ms) for each reply; close_code once it was told to go."""

    def __init__(self, on_reply=None):
        self.on_reply = on_reply or (lambda *_: None)
        self.status = self.close_code = None
        self.head = b""  # of the answer to the handshake
        self._buffer, self.replies, self.transport = bytearray(), 0, None
        self.opened = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, port, token=None, channels=(), on_reply=None):
        """Connect, shake hands, say hello (with a token). The line, whatever its status is."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: cls(on_reply), "127.0.0.1", port)
        line.transport.write(handshake(port))
        await line.opened
        if token and line.status == 101:
            line.send(hello(token, channels))
        return line

    def send(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    def close(self):
        self.transport.abort()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _error):
        for future in (self.opened, self.ended):
            if not future.done():
                future.set_result(None)

    def data_received(self, data):
        self._buffer += data
        if self.status is None:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self.status = head, int(head.split()[1])
            self._buffer = bytearray(rest)
            self.opened.set_result(None)
        if self.status == 101:
            self._take_frames()

    def _take_frames(self):
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size = buffer[at + 1]
            start = at + {126: 4, 127: 10}.get(size, 2)
            if start > at + 2:
                size = int.from_bytes(buffer[at + 2 : start], "big")
            if len(buffer) < start + size:
                break
            self._take(buffer[at], bytes(buffer[start : start + size]))
            at = start + size
        del buffer[:at]

    def _take(self, opcode, data):
        if opcode == 0x88:
            self.close_code = int.from_bytes(data[:2], "big")
            return
        for text in data.split(b"\n"):
            reply = REPLY.search(text)
            if reply:
                self.replies += 1
                retry = RETRY.search(text) if reply[2] == b"error" else None
                self.on_reply(self, int(reply[1]), reply[2].decode(), (reply[3] or b"").decode(),
                              int(retry[1]) if retry else 0)  # fmt: skip
            closing = CLOSING.search(text)
            if closing:
                self.close_code = int(closing[1])


def pour(port, token, frames, going, first=b""):
    """A flooder on a blocking socket: the same bytes again and again, as fast as they are taken, until it is closed or
    going() is false. The number of bytes it got rid of."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
        sock.sendall(handshake(port))
        while b"\r\n\r\n" not in sock.recv(65536):
            pass
        sock.sendall(hello(token) + first)
        sent, data = 0, memoryview(frames * (65536 // len(frames) + 1))
        while going():
            try:
                readable, writable, _ = select.select([sock], [sock], [], 1)
                if readable and not sock.recv(1 << 20):
                    break
                if writable:
                    sent += sock.send(data[sent % len(frames) :], socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                break
        return sent
