"""HTTP on the client port, and the admin port."""

import json
import urllib.parse

import pytest
from meeting import Meeting
from people import new_id

NOTICE = {"orgPath": "g1/c1/b1", "noticeClass": "CONFIRM", "title": "通知", "body": "内容"}


def post(town, body, person=None, **options):
    token = options.pop("token", town.stack.keys.token(person or town.secretary))
    return town.stack.http("POST", "/v1/events", body, token, **options)


def get(town, path, person=None, **fields):
    path += "?" + urllib.parse.urlencode(fields) if fields else ""
    return town.stack.http("GET", path, token=town.stack.keys.token(person or town.secretary))


def is_problem(answer, status, code):
    got, headers, problem = answer
    assert headers["Content-Type"].startswith("application/problem+json")
    assert got == problem["status"] == status and problem["code"] == code, problem
    assert problem["type"] == f"urn:yizhan:error:{code}" and problem["title"]
    assert bool(headers["Retry-After"]) == bool(problem.get("temporary"))
    return problem


def test_an_event_by_http_is_the_same_event(town):
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1/b1"])
    event = {"eventId": new_id("e"), "type": "notice.published",
             "payload": {**NOTICE, "noticeId": "n1"}, "occurredAt": "2026-01-01T08:00:00+08:00"}  # fmt: skip
    status, _, answer = post(town, event)
    assert status == 202 and answer["eventId"] == event["eventId"] and not answer.get("duplicate")
    status, _, again = post(town, event)
    assert status == 202 and again["duplicate"] is True and again["sequence"] == answer["sequence"]
    push = reader.wait_push(type_="notice.posted")[0]
    assert push["payload"]["sequence"] == answer["sequence"]
    reader.read_for(0.5)
    assert len(reader.pushes) == 1


def test_a_query_by_http(town):
    event = {"eventId": new_id("e"), "type": "notice.published", "payload": {**NOTICE, "noticeId": "n1"}}
    sequence = post(town, event)[2]["sequence"]
    status, headers, reply = get(town, "/v1/query/notice/list", limit=5, min_sequence=sequence)
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    assert reply["notices"][0]["noticeId"] == "n1" and reply["notices"][0]["body"] == "内容"


@pytest.mark.parametrize("query", ["?", "?limit=5&", "?&limit=5"])
def test_an_empty_pair_is_none(town, query):
    token = town.stack.keys.token(town.secretary)
    assert town.stack.http("GET", f"/v1/query/notice/list{query}", token=token)[0] == 200


@pytest.mark.parametrize("query", ["?limit=5&&none=1", "?&none=1", "?&&limit=5&;&none=1", "?limit=5&&none"])
def test_what_stands_behind_an_empty_pair_is_read(town, query):
    token = town.stack.keys.token(town.secretary)
    problem = is_problem(town.stack.http("GET", f"/v1/query/notice/list{query}", token=token), 400, "unknown_field")
    assert problem["field"] == "payload.none"


@pytest.mark.parametrize("shift", range(3))
def test_a_long_name_is_told_as_far_as_whole_characters_go(town, shift):
    """Half a character would make the problem no JSON, and the answer 500."""
    name = "a" * shift + "党" * 50
    problem = is_problem(get(town, "/v1/query/notice/list", **{name: "1"}), 400, "unknown_field")
    assert len(problem["field"]) > len("payload.") + 30 and f"payload.{name}".startswith(problem["field"])


def test_query_fields_are_percent_decoded(town):
    desk = town.phone(town.secretary)
    held = Meeting(town, desk, [town.person("m1")])
    for path in ("g1/c1/b1", "g1%2Fc1%2Fb1", "%671%2fc1%2Fb1"):
        status, _, reply = town.stack.http(
            "GET", f"/v1/query/meeting/get?orgPath={path}&meetingId={held.id}",
            token=town.stack.keys.token(town.secretary))  # fmt: skip
        assert status == 200 and reply["state"] == "OPEN", reply


@pytest.mark.parametrize("body, status, code", [
    ({"eventId": "e1", "type": "no.such", "payload": {}}, 400, "unknown_type"),
    ({"eventId": "e1", "type": "notice.read", "payload": {"noticeId": "n1"}, "x": 1}, 400, "unknown_field"),
    ({"eventId": "e1", "type": "notice.read", "payload": {"noticeId": 7}}, 400, "wrong_type"),
    ({"eventId": "e1", "type": "notice.read", "payload": {}}, 400, "missing_field"),
    (b"{", 400, "bad_json"),
    (b"", 400, "bad_json"),
    ({"eventId": "e1", "type": "notice.published", "payload": {**NOTICE, "noticeId": "n1",
      "orgPath": "g2"}}, 403, "forbidden"),
    (b"[" * 5000, 400, None),
    (b'{"eventId":"\xff\xfe"}', 400, None),
])  # fmt: skip
def test_bad_events_are_problems(town, body, status, code):
    got, headers, problem = post(town, body)
    assert got == status, problem
    is_problem((got, headers, problem), status, code or problem["code"])


def test_a_problem_names_the_field(town):
    body = {"eventId": "e1", "type": "notice.read", "payload": {"noticeId": "a.b"}}
    assert is_problem(post(town, body), 400, "invalid_value")["field"] == "payload.noticeId"


def test_a_body_over_the_limit_is_refused(town):
    got, headers, problem = post(town, b'{"eventId":"' + b"e" * 200_000 + b'"}')
    is_problem((got, headers, problem), 413, "frame_too_large")


@pytest.mark.parametrize("path, status, code", [
    ("/v1/query/notice/none", 404, "unknown_type"),
    ("/v1/query/none/list", 404, "unknown_type"),
    ("/v1/query/notice/list?limit=abc", 400, None),
    ("/v1/query/notice/list?limit=101", 400, "invalid_value"),
    ("/v1/query/notice/list?colour=red", 400, "unknown_field"),
    ("/v1/query/notice/list?min_sequence=x", 400, "wrong_type"),
    ("/v1/query/notice/list?min_sequence=", 400, "wrong_type"),
    ("/v1/query/notice/list?min_sequence=18446744073709551616", 400, "wrong_type"),
    ("/v1/query/notice/list?min_sequence=1&min_sequence=1", 400, "invalid_value"),
    ("/v1/query/notice/list?min_sequence=1&minSequence=1", 400, "invalid_value"),
    ("/v1/query/meeting/get?orgPath=g1/c1/b1&meetingId=none", 404, "not_found"),
    ("/v1/query/meeting/get?orgPath=g2&meetingId=none", 403, "forbidden"),
    ("/v1/nothing", 404, "unknown_path"),
    ("/v1/query/notice", None, None),
    ("/../../etc/passwd", 404, None),
    ("/%2e%2e/%2e%2e/etc/passwd", 404, None),
])  # fmt: skip
def test_bad_queries_are_problems(town, path, status, code):
    got, headers, problem = get(town, path)
    if status is None:
        assert got in (400, 404)
    else:
        assert got == status, problem
    if isinstance(problem, dict):
        is_problem((got, headers, problem), got, code or problem["code"])


@pytest.mark.parametrize("method, path", [
    ("GET", "/v1/events"), ("PUT", "/v1/events"), ("DELETE", "/v1/events"),
    ("POST", "/v1/query/notice/list"),
])  # fmt: skip
def test_other_methods_are_refused(town, method, path):
    body = b"{}" if method in ("PUT", "POST") else None
    answer = town.stack.http(method, path, body, town.stack.keys.token(town.secretary))
    is_problem(answer, 405, "method_not_allowed")


def test_http_needs_a_token(town):
    is_problem(town.stack.http("GET", "/v1/query/notice/list"), 401, "token_missing")
    is_problem(town.stack.http("POST", "/v1/events", {}), 401, "token_missing")
    answer = town.stack.http("GET", "/v1/query/notice/list", headers={"Authorization": "Basic eDp5"})
    assert answer[0] == 401


def test_a_connection_is_kept_for_many_requests(town):
    import http.client

    gateway = town.stack.gateways[0]
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    head = {"Authorization": f"Bearer {town.stack.keys.token(town.secretary)}",
            "Content-Type": "application/json"}  # fmt: skip
    for n in range(20):
        event = {"eventId": f"e{n}", "type": "notice.read", "payload": {"noticeId": "n1"}}
        connection.request("POST", "/v1/events", json.dumps(event), head)
        answer = connection.getresponse()
        assert answer.status == 202 and json.loads(answer.read())["eventId"] == f"e{n}"
        connection.request("GET", "/v1/query/notice/list", headers=head)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
    connection.close()


def test_health_readiness_metrics(stack):
    for process in (stack.gateways[0], stack.workers[0]):
        assert stack.admin(process, "/healthz")[0] == 200
        assert stack.admin(process, "/readyz")[0] == 200
        assert stack.admin(process, "/nothing")[0] == 404
        status, text = stack.admin(process, "/metrics")
        assert status == 200
        families = [line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE ")]
        assert len(families) > 5 and len({name for name, _ in families}) == len(families)
        for name, kind in families:
            assert name.startswith(("yizhan_", "process_")) and kind in ("counter", "gauge", "histogram")
            assert (kind == "counter") == name.endswith("_total"), name
            assert f"# HELP {name} " in text


def test_the_admin_paths_are_not_on_the_client_port(stack):
    for path in ("/metrics", "/readyz", "/healthz"):
        assert stack.http("GET", path)[0] in (401, 404)


def test_metrics_count(town):
    stack, gateway = town.stack, town.stack.gateways[0]

    def accepted():
        return stack.metric(gateway, "yizhan_gateway_events_accepted_total")

    before = accepted()
    phone = town.phone(town.secretary)
    for n in range(3):
        phone.emit("notice.read", {"noticeId": f"n{n}"})
    assert accepted() == before + 3
    assert stack.metric(gateway, "yizhan_gateway_sessions") >= 1
    assert stack.metric(gateway, "yizhan_gateway_bus_connected") == 1
