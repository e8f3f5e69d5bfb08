"""The document of the HTTP API (schemas/openapi.json) against a real gateway: it is served, what it allows is taken, what it
forbids is refused, and what comes back is what it says."""

import json
import urllib.parse

import pytest

import api_document
from authority import TYPES
from people import new_id
from stack import Town
from test_authority import PAYLOADS

HOME = "g1/c1/b1"
# Every request here comes from one address.
SETTINGS = {"address_frames_per_s": 100000, "address_frames_burst": 100000}
QUERIES = [name for name, kind in TYPES if kind == "query" and name in api_document.query_types()]
ASKED = [name for name in QUERIES if api_document.query_method(name) == "get"]
POSTED = [name for name in QUERIES if api_document.query_method(name) == "post"]
SENT = [name for name, kind in TYPES if kind == "event" and name in api_document.event_types()]


class Desk:
    """An admin, who may send everything."""

    def __init__(self, stack):
        town = Town(stack)
        self.stack = stack
        self.token = stack.keys.token(town.person("boss", HOME, ("member", f"secretary@{HOME}", "admin@g1")))

    def post(self, name, payload, **more):
        """Status and answer, which is what the document says."""
        event = {"eventId": new_id("e"), "type": name, "payload": payload, **more}
        status, headers, answer = self.stack.http("POST", "/v1/events", event, self.token)
        self.check("/v1/events", "post", status, headers, answer)
        return event, status, answer

    def ask(self, name, request, method="POST"):
        """The request as a body."""
        path = api_document.query_path(name)
        status, headers, answer = self.stack.http(method, path, request, self.token)
        self.check(path, "post", status, headers, answer)
        return status, headers, answer

    def get(self, name, fields):
        path = api_document.query_path(name)
        pairs = [(key, text(value)) for key, value in fields.items()
                 for value in (value if isinstance(value, list) else [value])]  # fmt: skip
        url = f"{path}?{urllib.parse.urlencode(pairs)}" if pairs else path
        status, headers, answer = self.stack.http("GET", url, token=self.token)
        self.check(path, "get", status, headers, answer)
        return status, answer

    @staticmethod
    def check(path, method, status, headers, answer):
        kind = "application/json" if status < 300 else "application/problem+json"
        assert headers["Content-Type"] == kind, answer
        assert api_document.answer_faults(path, method, status, answer) == [], answer


def text(value):
    return json.dumps(value) if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def desk(stack):
    return Desk(stack)


def test_the_document_is_served_as_it_is_in_the_tree(stack):
    status, headers, document = stack.http("GET", "/v1/openapi.json")
    assert status == 200 and headers["Content-Type"] == "application/json" and headers["Cache-Control"] == "no-cache"
    assert document == api_document.DOCUMENT
    assert stack.http("HEAD", "/v1/openapi.json")[0] == 200
    again = stack.http("GET", "/v1/openapi.json", headers={"If-None-Match": headers["ETag"]})
    assert again[0] == 304 and again[2] == "" and again[1]["ETag"] == headers["ETag"]
    assert stack.http("GET", "/v1/openapi.json", headers={"If-None-Match": '"other"'})[0] == 200
    assert stack.http("POST", "/v1/openapi.json", {})[0] == 405


def test_every_type_is_in_the_document():
    """But those of the system, and those without a token, which have paths of their own."""
    clients = {key for key, who in TYPES.items() if who not in ("system", "anyone") and key[1] != "channel"}
    assert {name for name, kind in clients if kind == "event"} == set(api_document.event_types())
    assert {name for name, kind in clients if kind == "query"} == set(api_document.query_types())


def test_the_judge_finds_what_is_wrong():
    """Every reply in these tests is judged by it (phone.py)."""
    good = {"notices": [{"noticeId": "n1", "sequence": "7"}]}
    assert api_document.reply_faults("notice.list", good) == []
    for wrong in ({"noSuchField": 1}, {"notices": {}}, {"notices": [{"sequence": 7}]}, {"notices": [{"noticeClass": "LOUD"}]}):
        assert api_document.reply_faults("notice.list", wrong), wrong


@pytest.mark.parametrize("name", SENT)
def test_an_event(desk, name):
    event, status, answer = desk.post(name, PAYLOADS[name](HOME), occurredAt="2026-01-01T08:00:00+08:00")
    assert api_document.event_faults(event) == []
    assert status == 202 and answer["eventId"] == event["eventId"], answer


@pytest.mark.parametrize("name", ASKED)
def test_a_query(desk, name):
    status, answer = desk.get(name, PAYLOADS[name](HOME))
    assert status == 200 or answer["code"] == "not_found", answer
    taken = {p["name"] for p in api_document.content(api_document.query_path(name), "get")["parameters"] if "name" in p}
    assert set(PAYLOADS[name](HOME)) <= taken


def test_what_tells_of_a_person_stands_in_no_url():
    assert POSTED == ["member.search"]


@pytest.mark.parametrize("name", POSTED)
def test_a_posted_query(desk, name):
    """Its request is the body; a URL is refused, whatever stands in it."""
    sample = PAYLOADS[name](HOME)
    assert api_document.request_faults(name, sample) == []
    status, _, answer = desk.ask(name, sample)
    assert status == 200, answer
    for method in ("GET", "HEAD", "PUT"):
        status, headers, answer = desk.stack.http(
            method, f"{api_document.query_path(name)}?orgPath={urllib.parse.quote(HOME, '')}", token=desk.token
        )
        assert status == 405 and headers["Allow"] == "POST, OPTIONS"
        assert method == "HEAD" or answer["code"] == "method_not_allowed"
    status, _, answer = desk.ask(name, {**sample, "noSuchField": 1})
    assert api_document.request_faults(name, {**sample, "noSuchField": 1})
    assert status == 400 and (answer["code"], answer["field"]) == ("unknown_field", "payload.noSuchField")
    path = api_document.query_path(name)
    assert desk.stack.http("POST", path, sample)[0] == 401
    status, _, answer = desk.stack.http("POST", f"{path}?orgPath=g1", sample, desk.token)
    assert status == 400 and (answer["code"], answer["field"]) == ("unknown_field", "orgPath")
    assert desk.stack.http("POST", f"{path}?min_sequence=0", sample, desk.token)[0] == 200
    assert desk.stack.http("OPTIONS", path)[0] == 204


@pytest.mark.parametrize("name", SENT)
def test_what_an_event_may_not_hold(desk, name):
    """Each field with a value of another type, a field that there is not: the document forbids it and the gateway refuses it."""
    sample = PAYLOADS[name](HOME)
    fields = api_document.properties(api_document.payload_of(name))
    wrong = {field: {"wrong": 1} for field in fields if "properties" not in api_document.resolved(fields[field])}
    for field, value in {**wrong, "noSuchField": 1}.items():
        event, status, answer = desk.post(name, {**sample, field: value})
        assert api_document.event_faults(event), f"{field} = {value} is allowed"
        assert status == 400 and answer["field"] == f"payload.{field}", answer
        assert answer["code"] == ("unknown_field" if field == "noSuchField" else "wrong_type"), answer


@pytest.mark.parametrize("name", SENT)
def test_the_limits_of_an_event_are_the_gateways_own(desk, name):
    """Every limit that the document states, overstepped by one."""
    sample = PAYLOADS[name](HOME)
    for field, schema in api_document.properties(api_document.payload_of(name)).items():
        for value, code in beyond(schema, sample.get(field)):
            event, status, answer = desk.post(name, {**sample, field: value})
            assert api_document.event_faults(event), f"{field} of {len(str(value))} characters is allowed"
            # invalid_value: the field does not belong beside the others of the sample at all.
            assert status == 400 and answer["code"] in (code, "invalid_value"), answer
            assert answer["field"].partition("[")[0] == f"payload.{field}", answer


@pytest.mark.parametrize("name", SENT)
def test_what_an_event_must_hold(desk, name):
    sample = PAYLOADS[name](HOME)
    required = api_document.resolved(api_document.payload_of(name)).get("required", [])
    for field in sample:
        event, status, answer = desk.post(name, {k: v for k, v in sample.items() if k != field})
        lacking = status == 400 and (answer["code"], answer["field"]) == ("missing_field", f"payload.{field}")
        assert lacking == (field in required), answer
        assert bool(api_document.event_faults(event)) == lacking


def beyond(schema, sample):
    """Values just outside what the schema allows, and the code for each."""
    if "pattern" in schema and schema.get("format") is None:
        yield "a.b", "invalid_value"
        yield "a//b", "invalid_value"
        return
    if "maxLength" in schema:
        yield "文" * (schema["maxLength"] + 1), "too_long"
    if schema.get("minLength"):
        yield "", "missing_field"
    if "maxItems" in schema and schema["items"].get("type") == "string":
        yield [f"x{n}" for n in range(schema["maxItems"] + 1)], "too_many"
    if schema.get("minItems"):
        yield [], "missing_field"
    if schema.get("uniqueItems") and sample:
        yield [sample[0], sample[0]], "invalid_value"
    if schema.get("type") == "integer" and "default" in schema:
        yield schema["anyOf"][1]["maximum"] + 1 if "anyOf" in schema else schema["maximum"] + 1, "invalid_value"


@pytest.mark.parametrize("name", ASKED)
def test_what_a_query_may_not_hold(desk, name):
    sample = PAYLOADS[name](HOME)
    status, answer = desk.get(name, {**sample, "noSuchField": "1"})
    assert status == 400 and (answer["code"], answer["field"]) == ("unknown_field", "payload.noSuchField")
    for parameter in api_document.content(api_document.query_path(name), "get")["parameters"]:
        schema = api_document.resolved(parameter.get("schema", {}))
        if schema.get("format", "").startswith(("int", "uint")):
            status, answer = desk.get(name, {**sample, parameter["name"]: "many"})
            assert status == 400 and answer["code"] == "wrong_type", answer
        if "maximum" in schema and "default" in schema:
            status, answer = desk.get(name, {**sample, parameter["name"]: schema["maximum"] + 1})
            assert status == 400 and answer["code"] == "invalid_value", answer


def test_an_unknown_type(desk):
    event = {"eventId": "e1", "type": "no.such", "payload": {}}
    assert api_document.event_faults(event)
    status, headers, answer = desk.stack.http("POST", "/v1/events", event, desk.token)
    desk.check("/v1/events", "post", status, headers, answer)
    assert status == 400 and answer["code"] == "unknown_type"
    status, headers, answer = desk.stack.http("GET", "/v1/query/no/such", token=desk.token)
    desk.check(api_document.query_path(ASKED[0]), "get", status, headers, answer)
    assert status == 404 and answer["code"] == "unknown_type"


@pytest.mark.parametrize("status, code, change", [
    (401, "token_missing", {"token": None}),
    (401, "token_malformed", {"token": "x"}),
    (405, "method_not_allowed", {"method": "PUT"}),
    (415, "wrong_type", {"headers": {"Content-Type": "text/plain"}}),
    (413, "frame_too_large", {"body": b'"' + b"e" * 200_000 + b'"'}),
    (400, "bad_json", {"body": b"{"}),
])  # fmt: skip
def test_errors_are_the_documents_own(desk, status, code, change):
    event = {"eventId": "e1", "type": "notice.read", "payload": {"noticeId": "n1"}}
    request = {"method": "POST", "path": "/v1/events", "body": event, "token": desk.token, **change}
    got, headers, answer = desk.stack.http(**request)
    assert (got, answer["code"]) == (status, code) and answer["type"] == f"urn:yizhan:error:{code}"
    desk.check("/v1/events", "post", got, headers, answer)
