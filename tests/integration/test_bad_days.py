"""Floods, half-open sockets, slow readers, silence, a full house: bounded memory, and others are undisturbed."""

import contextlib
import socket
import threading
import time

import pytest
import websockets.exceptions

from people import new_id
from phone import Closed
from waiting import until

MEGABYTE = 1 << 20
SETTINGS = {
    "hello_timeout_ms": 3000,
    "idle_timeout_ms": 4000,
    "sessions_max": 40,
    "session_backlog_max_bytes": 256 * 1024,
    "session_frames_per_s": 500,
    "session_frames_burst": 2000,
    "log_level": "info",
}


class Bystander:
    """A session that pings all the while: each of its pings must be answered, whatever others do."""

    def __init__(self, town):
        self.phone = town.phone(town.person("calm"), subscribe=["org.g1/c1/b1"])
        self.answered, self.failure, self._going = 0, None, True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while self._going:
                self.phone.expect({"ping": {}}, "pong")
                self.answered += 1
                time.sleep(0.02)
        except BaseException as failure:  # noqa: BLE001  (told by the test's thread)
            self.failure = failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._going = False
        self._thread.join()
        assert self.failure is None, self.failure


def raw_socket(stack):
    return socket.create_connection(("127.0.0.1", stack.gateways[0].port), timeout=10)


def upgrade(stack, sock):
    sock.sendall(
        (f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{stack.gateways[0].port}\r\nUpgrade: websocket\r\n"
         "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: yizhan.v1.json\r\n\r\n").encode()
    )  # fmt: skip
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(4096)
    assert b" 101 " in head.split(b"\r\n")[0], head


def masked(text):
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + data


def closes(sock, timeout):
    """The server ends the connection within timeout."""
    sock.settimeout(timeout)
    try:
        while sock.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_a_hundred_thousand_frames_at_once(stack, town):
    """Frames over the rate are refused, then the session is closed; nobody else notices, and nothing piles up."""
    before = stack.gateways[0].rss_bytes()
    with Bystander(town) as calm:
        phone = town.phone(town.person("flood"))
        data = masked('{"id":1,"ping":{}}') * 100_000
        sender = threading.Thread(target=_send_all, args=(phone.ws.socket, data))
        sender.start()
        try:
            phone.read_until(lambda: len(phone.items) > 100_000, 60, "all answers, or the close")
        except Closed:
            pass
        phone.ws.socket.close()
        sender.join()
    refused = [i for i in phone.items if i.get("reply", {}).get("error", {}).get("code") == "rate_limited"]
    assert refused or phone.closing, "the flood was answered as if it were none"
    if phone.closing:
        assert phone.closing["code"] in ("flood", "slow_reader") and phone.closing["reconnect"]
    assert calm.answered > 1
    stack.gateways[0].check_memory(before, 32 * MEGABYTE)


def _send_all(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass


def test_rate_limited_frames_are_temporary_and_the_rest_is_answered(stack, town):
    phone = town.phone(town.person("eager"))
    ids = [phone.send({"ping": {}}) for _ in range(2600)]
    answers = []
    try:
        answers = [phone.reply(frame_id) for frame_id in ids]
    except Closed:
        assert phone.closing["code"] == "flood"
    for name, value in answers:
        assert name == "pong" or (value["code"] == "rate_limited" and value["temporary"]), value


def test_silence_before_hello_is_closed(stack):
    phone = stack.connect()
    code, closing = phone.wait_closed(10)
    assert code == 3502 and closing["code"] == "hello_timeout"


def test_silence_after_hello_is_closed_and_a_ping_keeps_it(stack, town):
    silent, lively = town.phone(town.person("m1")), town.phone(town.person("m2"))
    deadline = time.monotonic() + 30
    while silent.close_code is None:
        lively.expect({"ping": {}}, "pong")
        try:
            silent.read_for(0.5)
        except Closed:
            pass
        assert time.monotonic() < deadline, "the silent one is still there"
    assert silent.close_code == 3005 and silent.closing["code"] == "idle" and silent.closing["reconnect"]
    lively.expect({"ping": {}}, "pong")


def test_half_open_sockets_are_dropped(stack, town):
    """Connected, and then: nothing, half a line, half a head."""
    with Bystander(town):
        socks = []
        for start in [b"", b"GET /v1/ws HT", b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpg"] * 10:
            socks.append(raw_socket(stack))
            socks[-1].sendall(start)
        assert all(closes(sock, 30) for sock in socks)


def test_a_peer_that_stops_in_mid_frame_is_closed(stack, town):
    with raw_socket(stack) as sock:
        upgrade(stack, sock)
        sock.sendall(masked('{"id":1,"hello":{"token":"')[:12])
        assert closes(sock, 15)


def test_noise_instead_of_http(stack, town):
    noises = [b"\x16\x03\x01\x02\x00" + bytes(200), b"\0" * 5000, b"A" * 70000,
              b"GET " + b"/" * 70000 + b" HTTP/1.1\r\n\r\n",
              b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n"]  # fmt: skip
    with Bystander(town):
        socks = [raw_socket(stack) for _ in noises]
        for sock, noise in zip(socks, noises, strict=True):
            _send_all(sock, noise)
        assert all(closes(sock, 30) for sock in socks)
    assert stack.admin(stack.gateways[0], "/healthz")[0] == 200


def test_a_slow_reader_is_closed_and_resumes_without_loss(stack, town):
    """It gets a reconnect code; memory stays bounded; the reader beside it gets everything at once."""
    slow = raw_socket(stack)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    upgrade(stack, slow)
    member = town.person("slow")
    hello = f'{{"id":1,"hello":{{"token":"{stack.keys.token(member)}","subscribe":[{{"channel":"org.g1/c1/b1"}}]}}}}'
    slow.sendall(masked(hello))
    reader = town.phone(town.person("m1"), encoding="protobuf", subscribe=["org.g1/c1/b1"])
    desk = town.phone(town.secretary, encoding="protobuf")
    position = reader.position("org.g1/c1/b1")
    before, count = stack.gateways[0].rss_bytes(), 300
    closed_before = stack.metric(stack.gateways[0], "yizhan_gateway_slow_readers_total")
    for n in range(count):
        desk.emit("notice.published", {"noticeId": f"n{n}", "orgPath": town.branch,
                                       "noticeClass": "INFO", "title": "t", "body": "文" * 9000})  # fmt: skip
        reader.wait_push(n + 1, type_="notice.posted")
        reader.expect({"ping": {}}, "pong")  # or it would be closed as idle
        with contextlib.suppress(OSError):  # once it is closed
            slow.sendall(masked('{"id":2,"ping":{}}'))
    until(lambda: stack.metric(stack.gateways[0], "yizhan_gateway_slow_readers_total") > closed_before,
          what="the slow reader is closed")  # fmt: skip
    slow.close()
    stack.gateways[0].check_memory(before, 64 * MEGABYTE)
    assert resumed_notices(town, member, position, count) == [f"n{n}" for n in range(count)]


def resumed_notices(town, member, position, count):
    """What was missed is more than may wait for one session: it comes in some reconnects, without loss."""
    got = []
    for _ in range(60):
        phone = town.phone(member, subscribe=[("org.g1/c1/b1", position)])
        assert phone.welcome["subscribed"][0]["ok"].get("recovered")
        try:
            phone.wait_push(count - len(got), 60, type_="notice.posted")
        except Closed:
            assert phone.closing["code"] == "slow_reader" and phone.closing["reconnect"]
            assert phone.pushes, "each session gets on"
        got += [p["payload"]["noticeId"] for p in phone.of(type_="notice.posted")]
        position = phone.position("org.g1/c1/b1")
        if len(got) >= count:
            break
    return got


def test_a_full_house_turns_away_and_lets_in_again(stack, town):
    """sessions_max sessions are held; the next handshake is answered with 503."""
    phones = []
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        while len(phones) < 60:
            phones.append(town.phone(town.person(f"m{len(phones)}")))
    assert refused.value.response.status_code == 503 and refused.value.response.headers["Retry-After"]
    assert 30 <= len(phones) <= 40
    phones[0].expect({"ping": {}}, "pong")
    for phone in phones[5:]:
        phone.close()

    def let_in():
        try:
            return town.phone(town.person("late"))
        except websockets.exceptions.InvalidStatus:
            return None

    until(let_in, what="there is room again")


def test_sessions_that_vanish_are_forgotten(stack, town):
    """No memory, no session stays behind when connections break without a close."""
    gateway = stack.gateways[0]
    idle = lambda: stack.metric(gateway, "yizhan_gateway_sessions") == 0  # noqa: E731
    for phone in stack.phones:
        phone.close()
    until(idle, 30, what="all sessions gone")
    _come_and_go(stack, town, 10)
    before = gateway.rss_bytes()
    for _ in range(20):
        _come_and_go(stack, town, 30)
    until(idle, 30, what="all sessions gone")
    assert stack.metric(gateway, "yizhan_gateway_subscribers") == 0
    gateway.check_memory(before, 8 * MEGABYTE)


def _come_and_go(stack, town, count):
    phones = []
    for _ in range(count):
        phone = town.phone(town.person(new_id("m")[:12]), subscribe=["org.g1/c1/b1", "org.g1"])
        phones.append(phone)
    for phone in phones:
        phone.ws.socket.close()  # no close frame
    gateway = stack.gateways[0]
    until(lambda: stack.metric(gateway, "yizhan_gateway_sessions") == 0, 30, what="forgotten")
