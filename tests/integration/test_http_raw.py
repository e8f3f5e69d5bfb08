"""HTTP by the byte: pipelined, cut, mangled and unfinished requests; the gateway answers others all the while."""

import json
import random
import socket

import pytest

from people import new_id

SETTINGS = {"log_level": "info"}


def talk(stack, data, wait_s=0.5, pieces=(1 << 20,)):
    """What comes back for these bytes, sent in pieces; the connection ends either way."""
    answer = b""
    with socket.create_connection(("127.0.0.1", stack.gateways[0].port), timeout=10) as sock:
        sock.settimeout(wait_s)
        try:
            while data:
                size = random.choice(pieces)
                sock.sendall(data[:size])
                data = data[size:]
            while chunk := sock.recv(65536):
                answer += chunk
        except OSError:
            pass
    return answer


def get(path="/v1/ws", more=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def post(token, body=b"{}", more=""):
    head = (f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n")  # fmt: skip
    return head.encode() + body


def assert_alive(stack):
    assert talk(stack, get()).startswith(b"HTTP/1.1 426")


def test_pipelined_reads_are_all_answered(stack, town):
    assert talk(stack, get() * 5).count(b"HTTP/1.1 426") == 5


def test_a_pipelined_body_ends_the_connection_and_nothing_else(stack, town):
    """Two posts in one packet once made libwebsockets turn for ever."""
    token = stack.keys.token(town.person("writer"))
    body = b'{"eventId":"%s","type":"none.such"}' % new_id("raw").encode()
    answer = talk(stack, post(token, body) + post(token, body) + get())
    assert answer.count(b"HTTP/1.1 400") == 1
    assert_alive(stack)


def test_a_refused_body_does_not_become_the_next_request(stack, town):
    inner = get("/v1/events")
    answer = talk(stack, post("no.good.token", inner) + get())
    assert answer.count(b"HTTP/1.1 401") == 1
    assert answer.count(b"HTTP/1.1 426") == 1
    assert b" 405 " not in answer


@pytest.mark.parametrize("length", ["", "Content-Length: 5\r\n"])
@pytest.mark.parametrize("request_line", ["POST /v1/events", "GET /v1/ws", "PUT /v1/events"])
def test_chunks_do_not_become_the_next_request(stack, town, request_line, length):
    head = f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}"
    answer = talk(stack, head.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get())
    assert answer.count(b"HTTP/1.1") == 1
    assert b" 426 " not in answer


@pytest.mark.parametrize("upgrade", ["h2c", "tls/1.0", "", "websocket2", "WebSocket, h2c"])
def test_other_upgrades_are_refused(stack, town, upgrade):
    answer = talk(stack, get(more=f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n"))
    assert b" 101 " not in answer
    assert_alive(stack)


def test_connect_is_no_way_to_a_raw_socket(stack, town):
    assert b" 200 " not in talk(stack, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert_alive(stack)


@pytest.mark.parametrize("end", ["%0d%0a", "%0A", "%0D"])
@pytest.mark.parametrize("version", ["%20HTTP/1.1", ""])
def test_an_encoded_end_of_line_begins_no_header(stack, town, end, version):
    token = stack.keys.token(town.person("m1"))
    hidden = f"/v1/query/notice/list?limit=1{version}{end}Authorization:%20Bearer%20{token}{end}X-Y:%20"
    answer = talk(stack, get(hidden))
    assert answer.startswith(b"HTTP/1.1 400") and b"%0A or %0D" in answer, answer
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("pairs, field", [
    ("%FF=1", "query"), ("limit=1&a%C3", "query"), ("%ED%A0%80=1&limit=1", "query"), ("noticeId=%FF", "payload.noticeId"),
])  # fmt: skip
def test_what_is_no_utf8_is_said_so(stack, town, pairs, field):
    """And not said again in the answer, which is JSON."""
    token = stack.keys.token(town.person("m1"))
    answer = talk(stack, get(f"/v1/query/notice/get?{pairs}", f"Authorization: Bearer {token}\r\n"))
    assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1") == 1, answer
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (problem["code"], problem["field"]) == ("invalid_utf8", field)


@pytest.mark.parametrize("seed", range(4))
def test_random_requests_leave_the_gateway_alive(stack, town, seed):
    random.seed(seed)
    token = stack.keys.token(town.person("fuzz"))
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    words = [
        get(), get("/"), get("/v1/query/thread/page"), get(more="Content-Length: 3\r\n") + b"abc",
        get(more=upgrade + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
        get(more="Upgrade: h2c\r\nConnection: Upgrade\r\n"), post(token), post("x"), post(token, b""),
        b"PUT / HTTP/1.1\r\n\r\n", b"PATCH / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"\r\n", b"{}",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}", b"\x81\x80\0\0\0\0", b"\x88\x80\0\0\0\0",
    ]  # fmt: skip
    for n in range(250):
        data = bytearray(b"".join(random.choice(words) for _ in range(random.randint(1, 8))))
        for _ in range(random.choice((0, 0, 1, 4))):
            at = random.randrange(len(data))
            data[at : at + random.randint(0, 9)] = random.randbytes(random.randint(0, 3))
            data = data or bytearray(b"x")
        talk(stack, bytes(data), wait_s=0.01, pieces=(1 << 20, 1 << 20, 7, 100))
        if n % 50 == 49:
            assert_alive(stack)
