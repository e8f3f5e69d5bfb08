"""schemas/openapi.json as a judge: whether a JSON value is what the document says of it."""

import functools
import json

import jsonschema

from wire import ROOT

DOCUMENT = json.loads((ROOT / "schemas/openapi.json").read_text(encoding="utf-8"))
EVENTS = "/v1/events"


@functools.cache
def _validator(at):
    schema = DOCUMENT
    for word in at.split("/")[1:]:
        schema = schema[word.replace("~1", "/")]
    return jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def faults(at, value):
    """What the schema at this place of the document finds wrong, as texts."""
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in _validator(at).iter_errors(value)]


def query_path(name):
    return f"/v1/query/{name.replace('.', '/')}"


def query_method(name):
    """By POST alone, or by GET."""
    return next(method for method in ("get", "post") if method in DOCUMENT["paths"][query_path(name)])


def request_faults(name, request):
    """Of the body of a query that is posted."""
    return faults(_place(query_path(name), "post", "requestBody", "content", "application~1json", "schema"), request)


def event_types():
    return sorted(content(EVENTS, "post")["requestBody"]["content"]["application/json"]["schema"]["discriminator"]["mapping"])


def query_types():
    return sorted(p.removeprefix("/v1/query/").replace("/", ".") for p in DOCUMENT["paths"] if p.startswith("/v1/query/"))


def content(path, method):
    return DOCUMENT["paths"][path][method]


def _place(path, method, *rest):
    return "/".join(["#", "paths", path.replace("/", "~1"), method, *rest])


def event_faults(event):
    return faults(_place(EVENTS, "post", "requestBody", "content", "application~1json", "schema"), event)


def answer_faults(path, method, status, value):
    """Of an answer to this operation: also its status must be one of the document's."""
    responses = content(path, method)["responses"]
    if str(status) not in responses:
        return [f"{method} {path} is not said to answer {status}"]
    if reference := responses[str(status)].get("$ref"):
        return faults(f"{reference}/content/application~1problem+json/schema", value)
    return faults(_place(path, method, "responses", str(status), "content", "application~1json", "schema"), value)


def reply_faults(name, value):
    """Of a query's reply, however it came; a query without a token is answered at another path."""
    path = query_path(name)
    return answer_faults(path, query_method(name), 200, value) if path in DOCUMENT["paths"] else []


def properties(schema):
    """The properties of a schema that may be a reference."""
    return resolved(schema)["properties"]


def resolved(schema):
    reference = schema.get("$ref")
    return DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def payload_of(name):
    return DOCUMENT["components"]["schemas"][f"event.{name}"]["properties"]["payload"]
