"""What a client may take up before its token was accepted: connections, heads, bodies; and whom a proxy speaks for."""

import json
import socket
import time

import pytest
import websockets.exceptions

from phone import Phone
from stack import Stack
from waiting import until

REQUEST_S = 1  # request_timeout_ms
STRANGERS = 8
BURST = 40
LARGE = 32 << 20  # bytes of a page: more than the sockets between hold


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Short times; gateway 1 has few places for an address, gateway 2 is slow to take new ones, gateway 3 has a proxy."""
    pages = tmp_path_factory.mktemp("pages")
    (pages / "large.bin").write_bytes(bytes(LARGE))
    made = Stack(tmp_path_factory.mktemp("stack"), gateways=4, request_timeout_ms=REQUEST_S * 1000, static_dir=pages)
    made.gateways[1].argv += ["--address-unauthenticated-max", STRANGERS]
    made.gateways[2].argv += ["--address-connections-burst", BURST, "--address-connections-per-s", 1]
    made.gateways[3].argv += ["--trusted-proxies", "127.0.0.0/8", "--address-unauthenticated-max", STRANGERS]
    for gateway in made.gateways:
        gateway.argv = [str(word) for word in gateway.argv]
    made.start()
    yield made
    made.end()


def dial(stack, gateway=0):
    return socket.create_connection(("127.0.0.1", stack.gateways[gateway].port), timeout=20)


def is_closed(sock):
    sock.settimeout(0.01)
    try:
        return sock.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def trickle(sock, data):
    """Byte by byte, until the server ends it."""
    for n in range(len(data)):
        try:
            sock.sendall(data[n : n + 1])
        except OSError:
            return True
        if is_closed(sock):
            return True
        time.sleep(0.05)
    return False


def test_a_head_that_comes_byte_by_byte_is_cut_off(stack):
    with dial(stack) as sock:
        assert trickle(sock, b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 300)


def test_a_body_that_comes_byte_by_byte_is_cut_off(stack, town):
    token = stack.keys.token(town.secretary)
    head = (f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 2000\r\n\r\n")  # fmt: skip
    with dial(stack) as sock:
        sock.sendall(head.encode())
        assert trickle(sock, b" " * 1999)


def test_who_reads_slowly_gets_the_whole_answer(stack):
    """The time for a request is not that for its answer."""
    with dial(stack) as sock:
        sock.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = sock.recv(4096).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        time.sleep(3 * REQUEST_S)
        got = len(body)
        while chunk := sock.recv(min(1 << 20, LARGE - got)):
            got += len(chunk)
        assert got == LARGE


@pytest.mark.parametrize("data", [b"", b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n", b"POST"])
def test_who_says_nothing_more_is_closed(stack, data):
    with dial(stack) as sock:
        sock.sendall(data)
        until(lambda: is_closed(sock), 30, what="the connection is closed")


def test_a_half_closed_connection_is_closed(stack):
    with dial(stack) as sock:
        sock.sendall(b"GET /v1/ws HTTP/1.1\r\n")
        sock.shutdown(socket.SHUT_WR)
        until(lambda: is_closed(sock), 30, what="the connection is closed")


@pytest.mark.parametrize("more", ["A: " + "b" * 40000 + "\r\n", "".join(f"N{n}: v\r\n" for n in range(3000))])
def test_a_head_that_is_too_large_ends_the_connection(stack, more):
    with dial(stack) as sock:
        answer = b""
        try:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
            while chunk := sock.recv(4096):
                answer += chunk
        except OSError:
            pass
    assert b" 200 " not in answer


def test_strangers_of_an_address_are_few_and_known_ones_do_not_count(stack, town):
    phones = [town.phone(town.person(f"m{n}"), gateway=1) for n in range(STRANGERS + 2)]
    waiting = []
    while len(waiting) <= STRANGERS + 20:
        sock = dial(stack, 1)
        waiting.append(sock)
        if len(waiting) > STRANGERS:
            until(lambda sock=sock: is_closed(sock), what="one more is closed at once")
            break
    for phone in phones:
        phone.emit("notice.read", {"noticeId": "n1"})
    for sock in waiting:
        sock.close()
    until(lambda: let_in(stack, town, 1), what="there is room again")


def let_in(stack, town, gateway, **headers):
    try:
        phone = Phone(stack.url(gateway), additional_headers=headers or None)
    except (websockets.exceptions.WebSocketException, OSError):
        return False
    try:
        phone.hello(stack.keys.token(town.person("m1")))
        return True
    finally:
        phone.close()


def test_an_address_that_connects_too_often_is_closed(stack, town):
    before = stack.metric(stack.gateways[2], "yizhan_gateway_connections_refused_total")
    ended = 0
    for _ in range(BURST * 2):
        with dial(stack, 2) as sock:
            try:
                sock.sendall(b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n")
                ended += not sock.recv(100).startswith(b"HTTP/1.1 426")
            except OSError:
                ended += 1
    assert ended > 0
    assert stack.metric(stack.gateways[2], "yizhan_gateway_connections_refused_total") >= before + ended
    until(lambda: let_in(stack, town, 2), 30, what="it is let in again, a connection a second")


def test_a_proxy_speaks_for_many_addresses(stack, town):
    """Each address it names has its own places; what stands further left in the header is not believed."""
    held = [Phone(stack.url(3), additional_headers={"X-Forwarded-For": f"9.9.9.{n}, 198.51.100.7"}) for n in range(STRANGERS)]
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        Phone(stack.url(3), additional_headers={"X-Forwarded-For": "9.9.9.99, 198.51.100.7"})
    assert refused.value.response.status_code == 429
    assert json.loads(refused.value.response.body)["code"] == "rate_limited"
    assert let_in(stack, town, 3, **{"X-Forwarded-For": "198.51.100.8"})
    assert let_in(stack, town, 3, **{"X-Forwarded-For": "198.51.100.7, 203.0.113.5"})
    for phone in held:
        phone.close()


def connections(stack, number):
    return stack.metric(stack.gateways[number], "yizhan_gateway_connections")


def shake_hands(stack, *lines):
    """A handshake through the proxy with these header lines: its socket, and the answer's status and code."""
    head = [b"GET /v1/ws HTTP/1.1", b"Host: x", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    sock = dial(stack, 3)
    sock.sendall(b"\r\n".join([*head, *lines]) + b"\r\n\r\n")
    answer = sock.recv(4096)
    body = answer.partition(b"\r\n\r\n")[2]
    return sock, int(answer.split()[1]), json.loads(body) if answer.split()[1] != b"101" else {}


@pytest.mark.parametrize("lines", [
    [], [b"X-Forwarded-For: "], [b"X-Forwarded-For: 198.51.100.4, unknown"], [b"X-Forwarded-For: 127.0.0.1"],
    [b"X: the line behind this one is lost", b"X-Forwarded-For: 198.51.100.9"],
])  # fmt: skip
def test_whom_a_proxy_does_not_name_counts_as_the_proxy(stack, town, lines):
    held = [shake_hands(stack, *lines) for _ in range(STRANGERS)]
    assert [status for _, status, _ in held] == [101] * STRANGERS
    sock, status, problem = shake_hands(stack, *lines)
    assert (status, problem["code"]) == (429, "rate_limited")
    with dial(stack, 3) as plain:
        plain.sendall(b"\r\n".join([b"GET /nothing HTTP/1.1", b"Host: x", *lines]) + b"\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 429")
    assert let_in(stack, town, 3, **{"X-Forwarded-For": "198.51.100.8"})
    for each, _, _ in [*held, (sock, 0, {})]:
        each.close()
    until(lambda: connections(stack, 3) == 1, what="only who asks for it is left")


def test_what_a_proxy_names_in_two_lines_is_one_list(stack, town):
    last = b"X-Forwarded-For: 198.51.100.11"
    held = [shake_hands(stack, b"X-Forwarded-For: 9.9.9.%d" % n, last) for n in range(STRANGERS)]
    sock, status, _ = shake_hands(stack, b"X-Forwarded-For: 9.9.9.99", last)
    assert status == 429
    assert let_in(stack, town, 3), "the proxy's own address has places"
    for each, _, _ in [*held, (sock, 0, {})]:
        each.close()
    until(lambda: connections(stack, 3) == 1, what="only who asks for it is left")


def test_a_list_of_addresses_too_long_to_be_read_is_refused(stack, town):
    header = b"X-Forwarded-For: " + b"9.9.9.9, " * 60 + b"198.51.100.12"
    sock, status, problem = shake_hands(stack, header)
    assert (status, problem["code"], problem["field"]) == (400, "too_long", "X-Forwarded-For")
    with dial(stack, 3) as plain:
        plain.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
        answer = plain.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400") and json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_long"
    sock.close()


def test_the_header_of_anybody_else_is_ignored(stack):
    """Gateway 1 trusts no proxy: all these are one address."""
    held = []
    with pytest.raises((websockets.exceptions.WebSocketException, OSError)):
        for n in range(STRANGERS + 1):
            held.append(Phone(stack.url(1), additional_headers={"X-Forwarded-For": f"198.51.100.{n}"}))
    assert len(held) <= STRANGERS
    for phone in held:
        phone.close()


def test_a_connection_of_a_proxy_carries_one_request(stack):
    """What one client smuggles behind its request cannot become the request of another."""
    smuggled = b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nX: y\r\nContent-Length: 40\r\n\r\n"
    with dial(stack, 3) as sock:
        sock.sendall(smuggled + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        try:
            while chunk := sock.recv(4096):
                answer += chunk
        except OSError:
            pass
    assert answer.count(b"HTTP/1.1") == 1 and b"Connection: close" in answer


@pytest.mark.parametrize("change, status", [
    ({"Sec-WebSocket-Version": "8"}, b"426"), ({"Sec-WebSocket-Version": ""}, b"426"),
    ({"Sec-WebSocket-Key": "short"}, b"400"), ({"Sec-WebSocket-Key": "A" * 24}, b"400"),
    ({"Sec-WebSocket-Key": ""}, b"400"), ({"Connection": "keep-alive"}, b"400"), ({}, b"101"),
])  # fmt: skip
def test_a_handshake_is_whole(stack, change, status):
    headers = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **change}  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    with dial(stack) as sock:
        sock.sendall(f"GET /v1/ws HTTP/1.1\r\n{lines}\r\n".encode())
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert status != b"426" or b"Sec-WebSocket-Version: 13" in answer
