"""Live pushes on the wire, frame by frame as RFC 6455 has them: whole messages in order, whatever the socket takes at a
time, and no frame of the connection's own inside another."""

import base64
import json
import socket
import struct

import pytest

import wire
from people import new_id

CHANNEL = "org.g1"
SETTINGS = {"log_level": "info", "session_backlog_max_bytes": 4 << 20}


class Wire:
    """A WebSocket read and written byte by byte, with a small receive buffer."""

    def __init__(self, stack, person, encoding, receive_bytes=4096, tls=None):
        self.encoding, self.buffer = encoding, b""
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", stack.gateways[0].port))
        key = base64.b64encode(b"0123456789abcdef").decode()
        self.sock.sendall(f"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                          f"Sec-WebSocket-Protocol: yizhan.v1.{encoding}\r\n\r\n".encode())  # fmt: skip
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.sock.recv(1)
        assert self.buffer.startswith(b"HTTP/1.1 101 ")
        self.buffer = b""
        hello = {"id": 1, "hello": {"token": stack.keys.token(person), "subscribe": [{"channel": CHANNEL}]}}
        data = wire.encode_client_frame(hello, encoding)
        self.send(1 if encoding == "json" else 2, data.encode() if encoding == "json" else data)
        assert "welcome" in self.message()[0]["reply"]

    def send(self, opcode, data):
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        self.sock.sendall(bytes([0x80 | opcode]) + size + b"\0\0\0\0" + data)

    def take(self, count):
        while len(self.buffer) < count:
            more = self.sock.recv(65536)
            assert more, "the connection ended"
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def frame(self):
        """(opcode, payload) of the next frame; the server's are whole messages and never masked."""
        head = self.take(2)
        length = head[1]
        assert head[0] & 0xF0 == 0x80 and length < 0x80, head
        if length == 126:
            length = struct.unpack(">H", self.take(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self.take(8))[0]
        return head[0] & 0x0F, self.take(length)

    def items(self, opcode, payload):
        if self.encoding == "json":
            assert opcode == 1 and payload.endswith(b"\n")
            return [item for line in payload.decode().splitlines() for item in json.loads(line)["items"]]
        assert opcode == 2
        return wire.unpack("ServerFrame", payload)["items"]

    def message(self):
        return self.items(*self.frame())

    def close(self):
        self.sock.close()


def push_of(number, size):
    notice = wire.pack("NoticePosted", {"noticeId": f"n{number}", "title": "通" * (size // 3)})
    return wire.pack("Push", {"id": f"{number}-0", "type": "notice.posted", "payload": base64.b64encode(notice).decode()})


def publish(stack, town, numbers, size):
    stack.bus.publish_many(f"chan.{town.name}.{CHANNEL}", [push_of(n, size) for n in numbers])


def ids(items):
    return [item["push"]["id"] for item in items]


@pytest.mark.parametrize("size", [30, 90, 120, 1000, 30000, 70000])
def test_each_size_of_a_push_is_one_whole_frame(stack, town, encoding, size):
    phone = Wire(stack, town.person("m1"), encoding)
    publish(stack, town, range(3), size)
    got = []
    while len(got) < 3:
        got += ids(phone.message())
    assert got == ["0-0", "1-0", "2-0"]
    phone.close()


def test_what_the_socket_takes_in_parts_arrives_whole(stack, town, encoding):
    """Nobody reads for a while, and pings go on: a pong stands between two messages, never inside one."""
    count, pings = 80, 20
    phone = Wire(stack, town.person("m1"), encoding)
    calm = Wire(stack, town.person("m2"), encoding, receive_bytes=1 << 20)
    for n in range(pings):
        publish(stack, town, range(n * count // pings, (n + 1) * count // pings), 45000)
        phone.send(9, f"ping {n}".encode())
    for each in (calm, phone):
        got, pongs = [], []
        while len(got) < count:
            opcode, payload = each.frame()
            if opcode == 10:
                pongs.append(int(payload.decode().removeprefix("ping ")))
            else:
                got += ids(each.items(opcode, payload))
        assert got == [f"{n}-0" for n in range(count)]
        assert each is calm or pongs, "the pings came while it was read"
        assert pongs == sorted(set(pongs)), "each is answered once; one that waits may be passed over"
        each.close()


def test_a_session_of_several_channels_gets_all_of_them(stack, town, encoding):
    """One turn of the gateway brings pushes of both channels, and replies: each in its own order."""
    phone = town.phone(town.person("m1"), encoding=encoding, subscribe=[CHANNEL, "org.g1/c1/b1"])
    others = [Wire(stack, town.person(f"o{n}"), encoding) for n in range(3)]
    for first in range(0, 200, 20):
        publish(stack, town, range(first, first + 20), 200)
        stack.bus.publish_many(f"chan.{town.name}.org.g1/c1/b1", [push_of(new_id(), 100) for _ in range(20)])
        phone.send({"ping": {}})
    for each in others:
        got = []
        while len(got) < 200:
            got += ids(each.message())
        assert got == [f"{n}-0" for n in range(200)]
        each.close()
    phone.wait_push(400, 20, type_="notice.posted")
    assert [p["id"] for p in phone.of(channel=CHANNEL)] == [f"{n}-0" for n in range(200)]


def test_not_everybody_may_see_everything(stack, town, encoding):
    """Pushes for some stand between those for all."""
    member = town.phone(town.person("m1"), encoding=encoding, subscribe=[CHANNEL])
    boss = town.phone(town.person("s1", roles=("member", "secretary@g1")), encoding=encoding, subscribe=[CHANNEL])
    for n in range(60):
        headers = {"Yz-Push-Roles": "secretary"} if n % 3 == 0 else None
        stack.bus.publish(f"chan.{town.name}.{CHANNEL}", push_of(n, 100), headers)
    boss.wait_push(60, 20, type_="notice.posted")
    member.wait_push(40, 20, type_="notice.posted")
    assert [p["id"] for p in boss.of(type_="notice.posted")] == [f"{n}-0" for n in range(60)]
    assert [p["id"] for p in member.of(type_="notice.posted")] == [f"{n}-0" for n in range(60) if n % 3]
