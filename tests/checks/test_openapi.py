"""schemas/openapi.json is what the schemas say, holds every type, and is sound OpenAPI 3.1."""

import json
import re

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


def contract(name):
    """(type, descriptor of the payload or request, of the reply or None, authority) of a domain's tables."""
    rows = re.findall(r'\{"([a-z_.]+)",\s*&yizhan__v1__(\w+)__descriptor,\s*(?:&yizhan__v1__(\w+)__descriptor,\s*)?(YZ_BY_\w+)',
                      tree.text(f"schemas/{name}.c"))  # fmt: skip
    return [(kind, message, reply or None, who) for kind, message, reply, who in rows]


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def test_every_type_of_the_contracts_is_there_with_its_message(document):
    """The .c tables are what the gateway judges by; system events and what needs no token have no place here."""
    events = {name: at for name, at in document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
              ["schema"]["discriminator"]["mapping"].items()}  # fmt: skip
    seen = set()
    for domain, in tree.macro_rows("schemas/domains.def", "X"):
        for name, message, reply, who in contract(domain):
            path = f"/v1/query/{name.replace('.', '/')}"
            if who == "YZ_BY_SYSTEM":
                assert name not in events and path not in document["paths"], name
                continue
            if who == "YZ_BY_ANYONE":
                continue
            seen.add(name)
            if reply is None:
                payload = document["components"]["schemas"][f"event.{name}"]["properties"]["payload"]["$ref"]
                assert snake(payload.rpartition("/")[2]) == message, name
            else:
                answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
                assert snake(answer.rpartition("/")[2]) == reply, name
    queries = {path.removeprefix("/v1/query/").replace("/", ".") for path in document["paths"] if path.startswith("/v1/query/")}
    assert seen == set(events) | queries


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
