"""schemas/openapi.json is what the schemas say, holds every type, and is sound OpenAPI 3.1."""

import json

import contract
import jsonschema
import openapi
import pytest
import tree


@pytest.fixture(scope="module")
def document():
    return json.loads(openapi.FILE.read_text(encoding="utf-8"))


def nodes(value, at="#"):
    """Every object of the document, with its place."""
    if isinstance(value, dict):
        yield at, value
        for key, inner in value.items():
            yield from nodes(inner, f"{at}/{key}")
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from nodes(inner, f"{at}/{n}")


def test_it_is_written_from_the_schemas():
    assert openapi.FILE.read_text(encoding="utf-8") == openapi.text(), "scripts/format writes it anew"


def test_every_type_is_there_with_its_message(document):
    """But for the system's events. What needs no token has paths of its own."""
    who = openapi.authority()
    for name, (asked, reply) in contract.tables().items():
        kind = "query" if reply else "event"
        anyone = who[name, kind] == "anyone"
        if who[name, kind] == "system":
            assert f"event.{name}" not in document["components"]["schemas"], name
            continue
        if kind == "event":
            path = "/v1/public/{tenant}/events" if anyone else "/v1/events"
            body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            place = f"#/components/schemas/event.{name}"
            assert body["discriminator"]["mapping"][name] == place and {"$ref": place} in body["oneOf"]
            payload = document["components"]["schemas"][f"event.{name}"]["properties"]["payload"]["$ref"]
            assert payload.rpartition("/")[2] == asked.removeprefix(".yizhan.v1."), name
        else:
            path = ("/v1/public/{tenant}/query/" if anyone else "/v1/query/") + name.replace(".", "/")
            operation = document["paths"][path]["post" if anyone or name in contract.posted() else "get"]
            answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            assert answer.rpartition("/")[2] == reply.removeprefix(".yizhan.v1."), name


def test_every_reference_leads_somewhere(document):
    places = {at for at, _ in nodes(document)}
    for at, node in nodes(document):
        if "$ref" in node:
            assert node["$ref"] in places, at
    used = {node["$ref"] for _, node in nodes(document) if "$ref" in node}
    unused = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]} - used
    assert not unused


def test_every_schema_is_json_schema(document):
    """OpenAPI 3.1's schemas are those of JSON Schema 2020-12."""
    for at, node in nodes(document):
        if at.startswith("#/components/schemas/") and at.count("/") == 3 or at.endswith("/schema"):
            jsonschema.Draft202012Validator.check_schema(node)


def test_every_error_stands_at_its_status(document):
    """But for what only an outcome says: that an event was set aside."""
    for _, code, _, status, *_ in tree.macro_rows("common/err.def", "YZ_ERR"):
        response = document["components"]["responses"].get(f"problem{status}")
        assert response or code == "unprocessable", code
        if response:
            assert code in response["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"]


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            parameters = [p["name"] for p in operation.get("parameters", []) if "name" in p]
            assert len(parameters) == len(set(parameters)), path
            assert operation.get("summary") and operation["responses"], path
