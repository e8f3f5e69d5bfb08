"""Which web pages may connect: the Origin that a browser sends, preflights, and what pages are told to keep to."""

import pytest
import websockets.exceptions

from phone import Phone
from stack import Stack
from waiting import until

PAGES = "https://pages.example"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    pages = folder / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("<!doctype html>")
    (pages / "app.js").write_text("1")
    made = Stack(folder, gateways=3, static_dir=pages)
    for gateway, allowed in zip(made.gateways, ("", f"{PAGES}, http://127.0.0.1:9999", "*"), strict=True):
        gateway.argv += ["--allowed-origins", allowed]
    made.start()
    yield made
    made.end()


def same_host(stack, gateway):
    return f"http://127.0.0.1:{stack.gateways[gateway].port}"


def handshake(stack, gateway, origin):
    """The status of a WebSocket handshake by a page of this origin, and the problem's code."""
    try:
        phone = Phone(stack.url(gateway), origin=origin)
    except websockets.exceptions.InvalidStatus as refused:
        response = refused.response
        assert "problem+json" in response.headers["Content-Type"]
        return response.status_code, response.body.decode()
    phone.close()
    return 101, ""


FOREIGN = ["https://evil.example", "null", PAGES + ".evil.example", PAGES + "/", "http://pages.example",
           PAGES + ":444", "https://pages.example@evil.example", "file://", "", "https://", "*"]  # fmt: skip


@pytest.mark.parametrize("gateway, origin, admitted", [
    *[(0, origin, origin == "") for origin in FOREIGN],
    *[(1, origin, origin == "") for origin in FOREIGN],
    *[(2, origin, True) for origin in FOREIGN],
    (0, "same", True), (1, "same", False), (2, "same", True),
    (0, PAGES, False), (1, PAGES, True), (1, PAGES.upper().replace("HTTPS", "https"), True), (2, PAGES, True),
    (1, "http://127.0.0.1:9999", True), (0, None, True), (1, None, True), (2, None, True),
])  # fmt: skip
def test_a_page_may_connect_when_its_origin_is_allowed(stack, gateway, origin, admitted):
    origin = same_host(stack, gateway) if origin == "same" else origin
    status, body = handshake(stack, gateway, origin)
    assert status == (101 if admitted else 403)
    assert admitted or '"code":"origin_not_allowed"' in body
    headers = {} if origin is None else {"Origin": origin}
    port = stack.gateways[gateway].port
    for method, path, good in (("GET", "/index.html", 200), ("POST", "/v1/events", 401), ("GET", "/v1/query/notice/list", 401)):
        got, _, answer = stack.http(method, path, b"{}" if method == "POST" else None, port=port, headers=headers)
        assert got == (good if admitted else 403), answer
        assert admitted or answer["code"] == "origin_not_allowed"


def test_no_session_begins_for_a_foreign_page(stack):
    before = stack.metric(stack.gateways[1], "yizhan_gateway_sessions_opened_total")
    assert handshake(stack, 1, "https://evil.example")[0] == 403
    assert stack.metric(stack.gateways[1], "yizhan_gateway_sessions_opened_total") == before
    until(lambda: stack.metric(stack.gateways[1], "yizhan_gateway_connections") <= 1, what="the connection is gone")


@pytest.mark.parametrize("gateway, allowed", [(1, PAGES), (2, "*")])
def test_a_preflight_is_answered(stack, gateway, allowed):
    asked = {"Origin": PAGES, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    status, headers, _ = stack.http("OPTIONS", "/v1/events", port=stack.gateways[gateway].port, headers=asked)
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == allowed
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert headers["Vary"] == "Origin" and headers["Access-Control-Max-Age"]
    assert headers["Access-Control-Allow-Credentials"] is None


def test_a_preflight_of_a_foreign_page_is_refused(stack):
    for gateway in (0, 1):
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        port = stack.gateways[gateway].port
        status, headers, _ = stack.http("OPTIONS", "/v1/events", port=port, headers=asked)
        assert status == 403 and headers["Access-Control-Allow-Origin"] is None


def test_the_answer_may_be_read_by_the_page(stack, town):
    token = stack.keys.token(town.secretary)
    port = stack.gateways[1].port
    _, headers, reply = stack.http("GET", "/v1/query/notice/list", token=token, port=port, headers={"Origin": PAGES})
    assert reply == {} and headers["Access-Control-Allow-Origin"] == PAGES
    _, headers, _ = stack.http("GET", "/v1/query/notice/list", token=token, port=port)
    assert headers["Access-Control-Allow-Origin"] is None and headers["Vary"] == "Origin"


def test_what_a_page_is_told(stack):
    for path in ("/", "/app.js"):
        status, headers, _ = stack.http("GET", path)
        assert status == 200
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer" and headers["Permissions-Policy"]
        assert headers["Cache-Control"] == "no-cache" and headers["Strict-Transport-Security"] is None


def test_what_an_answer_is_told(stack, town):
    token = stack.keys.token(town.secretary)
    for path, expected in (("/v1/query/notice/list", 200), ("/v1/nothing", 404), ("/nothing", 404)):
        status, headers, _ = stack.http("GET", path, token=token)
        assert status == expected
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("allowed", ["pages.example", "https://pages.example/", "https://a b", "https://x\nX-Y: z", "ftp://x"])
def test_a_setting_that_names_no_origin_ends_the_start(stack, allowed):
    import subprocess

    from stack import built

    done = subprocess.run(
        [str(built("yz-gateway")), "--listen-port", "0", "--allowed-origins", allowed, "--keys-dir", str(stack.keys.folder),
         "--nats-url", stack.settings["nats_url"]], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2 and "event=allowed_origins_unusable" in done.stdout + done.stderr
