"""TLS of the client port: versions, resumption, and a certificate replaced under open sessions."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time

import pytest

from certificates import Authority, Mounted, served_serial
from people import new_id
from phone import ENCODINGS, Phone
from stack import Process, Stack, built
from waiting import holds, until

POLL_S = 2  # TLS_POLL_MS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def mounted(tmp_path_factory, authority):
    made = Mounted(tmp_path_factory.mktemp("mounted"))
    made.put(*authority.pair()[:2])
    return made


@pytest.fixture(scope="module")
def stack(tmp_path_factory, mounted):
    running = Stack(tmp_path_factory.mktemp("stack"), tls_cert_file=mounted.cert, tls_key_file=mounted.key,
                    request_timeout_ms=3000).start()  # fmt: skip
    yield running
    running.end()


def port_of(stack):
    return stack.gateways[0].port


def phone_of(stack, authority, person, encoding="json", **options):
    phone = Phone(f"wss://localhost:{port_of(stack)}/v1/ws", encoding, ssl=authority.client(), **options)
    stack.phones.append(phone)
    phone.hello(stack.keys.token(person), [f"member.{person.member}", f"org.{person.path}"])
    return phone


def https(stack, authority, method, path, body=None, token=None):
    connection = http.client.HTTPSConnection("localhost", port_of(stack), timeout=10, context=authority.client())
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, answer.headers, json.loads(text) if text else None


def logged(stack, event):
    return sum(f"event={event} " in line for line in stack.gateways[0].text().splitlines())


def replace(authority, mounted, **kind):
    """A new certificate in the files; its serial number."""
    cert, key, serial = authority.pair(**kind)
    mounted.put(cert, key)
    return serial


def taken(process, serial):
    """How often the process says that it took this certificate."""
    digits = f"{serial:X}"
    digits = digits if len(digits) % 2 == 0 else "0" + digits
    return process.text().count(f"event=tls_certificate_loaded serial={digits} ")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_session_over_tls(stack, town, authority, encoding):
    phone = phone_of(stack, authority, town.secretary, encoding)
    notice = {"orgPath": town.branch, "noticeClass": "CONFIRM", "title": "通知", "body": "内" * 9000, "noticeId": "n1"}
    phone.emit("notice.published", notice)
    phone.wait_push(type_="notice.posted")
    phone.close()


def test_who_is_typing_over_tls(stack, town, authority):
    """Such a signal never waits for a socket; with TLS it goes out at the end of the loop's turn."""
    channel = f"thread.{town.branch}.t1"
    sender, *others = [phone_of(stack, authority, town.person(f"m{n}"), ENCODINGS[n % 2]) for n in range(3)]
    for phone in (sender, *others):
        phone.subscribe(channel)
    sender.signal(channel)
    for phone in others:
        assert phone.wait_signal() == [{"channel": channel, "member": "m0", "kind": "TYPING"}]
    sender.expect({"ping": {}}, "pong")
    assert not sender.signals


def test_http_over_tls_with_a_body_of_many_records(stack, town, authority):
    notice = {"orgPath": town.branch, "noticeClass": "CONFIRM", "title": "t", "body": "容" * 9500, "noticeId": "n2"}
    event = {"eventId": new_id("e"), "type": "notice.published", "payload": notice}
    status, _, answer = https(stack, authority, "POST", "/v1/events", event, stack.keys.token(town.secretary))
    assert status == 202, answer
    path = f"/v1/query/notice/list?minSequence={answer['sequence']}"
    status, _, reply = https(stack, authority, "GET", path, token=stack.keys.token(town.secretary))
    assert status == 200 and len(reply["notices"][0]["body"]) == 9500


def test_many_requests_on_one_connection(stack, town, authority):
    connection = http.client.HTTPSConnection("localhost", port_of(stack), timeout=10, context=authority.client())
    head = {"Authorization": f"Bearer {stack.keys.token(town.secretary)}", "Content-Type": "application/json"}
    for n in range(10):
        event = {"eventId": f"e{n}", "type": "notice.read", "payload": {"noticeId": "n" * (n * 6 + 1)}}
        connection.request("POST", "/v1/events", json.dumps(event), head)
        answer = connection.getresponse()
        assert answer.status == 202, answer.read()
        answer.read()
    connection.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(stack, authority, version):
    context = authority.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        served_serial(port_of(stack), context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_versions_resume_by_ticket(stack, authority, version):
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    session, resumed = None, []
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port_of(stack)), timeout=10) as sock:
            with context.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
                assert tls.version() == version.name.replace("_", ".")
                assert tls.cipher()[0].split("_")[-1] != "SHA" and "CBC" not in tls.cipher()[0]
                assert tls.selected_alpn_protocol() is None
                tls.sendall(b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n")
                assert tls.recv(100).startswith(b"HTTP/1.1 426")  # behind it a ticket of TLS 1.3 is here, too
                session = tls.session
                resumed.append(tls.session_reused)
    assert resumed == [False, True]


@pytest.mark.parametrize("offered, chosen", [(["h2", "http/1.1"], "http/1.1"), (["h2"], None)])
def test_only_http_1_1_is_negotiated(stack, authority, offered, chosen):
    context = authority.client()
    context.set_alpn_protocols(offered)
    with socket.create_connection(("127.0.0.1", port_of(stack)), timeout=10) as sock:
        try:
            with context.wrap_socket(sock, server_hostname="localhost") as tls:
                assert tls.selected_alpn_protocol() == chosen
        except ssl.SSLError:
            assert chosen is None


@pytest.mark.parametrize("name", ["admin", "gateway", "example.org"])
def test_another_name_gets_the_same_certificate(stack, authority, name):
    context = authority.client()
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port_of(stack)), timeout=10) as sock:
        with context.wrap_socket(sock, server_hostname=name) as tls:
            tls.sendall(f"GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert tls.recv(100).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\0" * 600, b"\x80\x2e\x01\x03\x01"]
)
def test_what_is_not_tls_is_closed(stack, town, authority, data):
    with socket.create_connection(("127.0.0.1", port_of(stack)), timeout=20) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while chunk := sock.recv(4096):
                answer += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP/1" not in answer
    phone_of(stack, authority, town.person("after")).close()


def wait_served(stack, authority, serial, timeout=15):
    until(lambda: served_serial(port_of(stack), authority.client()) == serial, timeout, what="the new one is served")


def test_a_new_certificate_is_served_and_sessions_stay(stack, town, authority, mounted):
    old = served_serial(port_of(stack), authority.client())
    phone = phone_of(stack, authority, town.secretary)
    for kind in ("rsa", "ec"):
        new = replace(authority, mounted, kind=kind)
        wait_served(stack, authority, new)
        assert new != old
        phone.emit("notice.read", {"noticeId": "n1"})
    not_after = stack.metric(stack.gateways[0], "yizhan_gateway_tls_not_after_seconds")
    assert 29 * 86400 < not_after - time.time() < 31 * 86400
    assert taken(stack.gateways[0], new) == 1


def test_a_signal_is_enough(stack, town, authority, mounted):
    new = replace(authority, mounted)
    os.kill(stack.gateways[0].pid, signal.SIGHUP)
    wait_served(stack, authority, new)


def broken_pairs(authority):
    cert, key, _ = authority.pair()
    return {
        "another key": (cert, authority.pair()[1]),
        "no certificate": (b"hello\n", key),
        "cut": (cert[: len(cert) // 3], key),
        "no key": (cert, b""),
        "key with a passphrase": (cert, encrypted(key)),
        "expired": authority.pair(begins=-9, days=-1)[:2],
        "not valid yet": authority.pair(begins=1)[:2],
    }


def encrypted(key):
    done = subprocess.run(["openssl", "pkcs8", "-topk8", "-passout", "pass:secret"], input=key, capture_output=True)
    assert done.returncode == 0 and b"ENCRYPTED" in done.stdout
    return done.stdout


def wait_refusals(stack, count):
    until(lambda: logged(stack, "tls_certificate_refused") >= count, what="the pair is refused")


def test_a_broken_pair_changes_nothing(stack, town, authority, mounted):
    good = replace(authority, mounted)
    wait_served(stack, authority, good)
    phone = phone_of(stack, authority, town.secretary)
    for what, pair in broken_pairs(authority).items():
        before = logged(stack, "tls_certificate_refused")
        mounted.put(*pair)
        wait_refusals(stack, before + 1)
        assert served_serial(port_of(stack), authority.client()) == good, what
    phone.emit("notice.read", {"noticeId": "n1"})
    last = logged(stack, "tls_certificate_refused")
    holds(lambda: logged(stack, "tls_certificate_refused") == last, POLL_S + 1, what="the same pair is refused once")
    new = replace(authority, mounted)
    wait_served(stack, authority, new)


def test_all_processes_take_a_new_certificate(stack, town, authority, mounted):
    port, admin = stack.ports.take(), stack.ports.take(2)
    many = Process("gateways", [built("yz-gateway"), "--listen-port", port, "--admin-port", admin,
                                "--processes", 2], stack.folder)  # fmt: skip
    many.start(**stack._env(**stack.gateways[0].settings))
    try:
        for number in range(2):
            wait_ready(stack, many, admin + number)
        new = replace(authority, mounted)
        os.kill(many.pid, signal.SIGHUP)
        until(lambda: taken(many, new) == 2, what="both processes have taken it")
        assert {served_serial(port, authority.client()) for _ in range(20)} == {new}
    finally:
        many.terminate()


def wait_ready(stack, process, port):
    def ready():
        assert process.running, process.tail()
        try:
            return stack.http("GET", "/readyz", port=port)[0] == 200
        except OSError:
            return False

    until(ready, 60, what=f"port {port} is ready")


@pytest.mark.parametrize(
    "cert, key",
    [("missing.pem", "tls.key"), ("tls.crt", "missing.pem"), ("tls.crt", ""), ("", "tls.key"), ("tls.crt", "tls.crt")],
)
def test_a_pair_that_is_no_good_at_the_start_ends_it(stack, mounted, cert, key):
    def path(name):
        return str(mounted.folder / name) if name else ""

    done = subprocess.run(
        [str(built("yz-gateway")), "--listen-port", str(stack.ports.take()), "--tls-cert-file", path(cert),
         "--tls-key-file", path(key), "--keys-dir", str(stack.keys.folder), "--nats-url", stack.settings["nats_url"]],
        capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2
    assert "event=tls_certificate_refused" in done.stdout + done.stderr
