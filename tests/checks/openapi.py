#!/usr/bin/env python3
"""openapi.py [--write]: schemas/openapi.json, the HTTP API as OpenAPI 3.1, written from the schemas or compared with them.

Types, their messages, the fields that a payload must have and the lengths of texts are what the contracts say (contract.py);
messages and texts come from the .proto files, who may send a type from schemas/AUTHORITY.md, the errors from common/err.def. An
interpreter with tests/requirements.txt is wanted, for its protoc, and a build. What a comment of a field says in one of these
forms is a limit in the document as well:

    1 to 64 characters · at most 128 characters          of a string
    1 to 5,000 · at most 16 · each once                  of a repeated field
    1 to 100, 0: 20                                      of a number, 0 being the default
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from contract import Contracts, posted, tables
from google.protobuf import descriptor_pb2
from tree import ROOT, macro_rows

FILE = ROOT / "schemas/openapi.json"
TIMESTAMP = ".google.protobuf.Timestamp"
MESSAGE_TAG, ENUM_TAG, FIELD_TAG, NESTED_TAG, NESTED_ENUM_TAG, VALUE_TAG = 4, 5, 2, 3, 4, 2  # of descriptor.proto's paths
ID = "^[A-Za-z0-9_-]{1,64}$"
FORMS = {"id": {"pattern": ID}, "path": {"pattern": ID[:-1] + "(/[A-Za-z0-9_-]{1,64}){0,11}$", "maxLength": 256}}
NUMBERS = {  # of descriptor.proto: type, format, text form of 64 bits
    1: {"type": "number", "format": "double"},
    2: {"type": "number", "format": "float"},
    3: {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]*)$"},
    4: {"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]*)$"},
    5: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    6: {"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]*)$"},
    7: {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1},
    8: {"type": "boolean"},
    9: {"type": "string"},
    12: {"type": "string", "contentEncoding": "base64"},
    13: {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1},
    15: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    16: {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]*)$"},
    17: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    18: {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]*)$"},
}
ENUM, MESSAGE, REPEATED = 14, 11, 3

# What needs no token, and whose sender is told to nobody.
PUBLIC = {"security": [], "parameters": [
    {"name": "tenant", "in": "path", "required": True, "schema": {"type": "string", "pattern": ID}}]}  # fmt: skip

# Codes that a path answers with another status than the error's own (gateway/http.c).
OTHER_STATUS = {404: ["unknown_type"], 411: ["missing_field"], 415: ["wrong_type"]}
REASONS = {400: "the request is wrong", 401: "a token is missing or refused", 403: "this may not be done here",
           404: "there is no such thing", 405: "the method does not belong here", 409: "it contradicts what is there",
           411: "the length is not given", 413: "the body is too large", 415: "the body is not JSON",
           422: "it cannot be processed", 429: "too many requests; wait", 500: "a fault of the server; try again",
           503: "not now; try again", 504: "no answer in time; try again"}  # fmt: skip
EVENT_STATUSES = [400, 401, 403, 405, 411, 413, 415, 429, 500, 503, 504]
QUERY_STATUSES = [400, 401, 403, 404, 405, 409, 429, 500, 503, 504]

WHO = {
    "anyone": "anyone, without a token",
    "member": "a member",
    "member of the org": "a member of the org it names or of one below it, and whoever's role covers that org",
    "overseer": "a secretary, inspector or admin whose scope covers the org it names, else the own one",
    "secretary": "a secretary or admin whose scope covers the org it names, else the own one",
    "admin": "an admin whose scope covers the org it names, else the own one",
}
ABOUT = """\
The HTTP side of Yizhan (驿站): the same events and queries as over the WebSocket, with the same checks and errors. Pushes come \
by the WebSocket alone (`/v1/ws`, PROTOCOL.md).

**JSON.** The proto3 JSON mapping: names in lowerCamelCase, 64-bit numbers as strings (numbers are read, too), enums by name, \
times as RFC 3339, bytes as base64. A field that has its default value (0, false, an empty text or list) is left out of an \
answer and may be left out of a request. An unknown field is refused, never ignored.

**Events.** An event is accepted once it is stored: `202` with its sequence. It then has exactly one outcome, which \
`/v1/query/event/outcome` tells: applied, refused (with a code of the errors below, and the field) or set aside. Send the same \
event with the same `eventId` again whenever no answer came; another payload under a used id is refused.

**Queries.** Fields of the request are parameters of the URL; a repeated field is a parameter that stands several times. Lists \
come in pages: an answer's `next…` field is a cursor that the next request takes as `before` or `after` (as its text says); \
empty or absent, there is no more. `min_sequence` makes a query wait until that event is settled (read your writes).

**Errors** are problem documents (RFC 9457). `code` is stable and names what is wrong; `field` names the field, `detail` says \
it in words; `temporary` says that the same request may succeed later, not before `Retry-After`.
"""


class Protos:
    """The .proto files as protoc reads them, with their comments."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "set"
            files = sorted(str(path) for path in (ROOT / "schemas").glob("*.proto"))
            subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_out={out}", "--include_source_info",
                            f"-I{ROOT / 'schemas'}", *files], check=True)  # fmt: skip
            files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
        self.messages, self.enums, self.texts = {}, {}, {}
        for file in files:
            comments = {tuple(l.path): l for l in file.source_code_info.location}  # noqa: E741
            for i, message in enumerate(file.message_type):
                self._message(f".{file.package}.{message.name}", message, (MESSAGE_TAG, i), comments)
            for i, enum in enumerate(file.enum_type):
                self._enum(f".{file.package}.{enum.name}", enum, (ENUM_TAG, i), comments)

    def _message(self, name, message, path, comments):
        text = told(comments.get(path))
        self.messages[name] = (message, text, [told(comments.get((*path, FIELD_TAG, i))) for i in range(len(message.field))])
        if match := re.match(r"(?:Event|Query) ([a-z_]+\.[a-z_]+)[:,.]?\s*", text):
            self.texts[match[1]] = text[match.end():]  # of a type: beside one of its messages
        for i, nested in enumerate(message.nested_type):
            self._message(f"{name}.{nested.name}", nested, (*path, NESTED_TAG, i), comments)
        for i, enum in enumerate(message.enum_type):
            self._enum(f"{name}.{enum.name}", enum, (*path, NESTED_ENUM_TAG, i), comments)

    def _enum(self, name, enum, path, comments):
        self.enums[name] = (enum, told(comments.get(path)),
                            [told(comments.get((*path, VALUE_TAG, i))) for i in range(len(enum.value))])  # fmt: skip


def told(location):
    """A comment as one text, its lines joined."""
    if location is None:
        return ""
    text = location.leading_comments + " " + location.trailing_comments
    return " ".join(text.split())


def capital(text):
    return text[:1].upper() + text[1:]


def number(text):
    return int(text.replace(",", ""))


def limits(field, text):
    """What the comment says of the values, as a schema's keywords."""
    found = {}
    if field.label == REPEATED:
        if match := re.search(r"\b([\d,]*\d) to ([\d,]*\d)\b(?! char)", text):
            found = {"minItems": number(match[1]), "maxItems": number(match[2])}
        elif match := re.search(r"\bat most ([\d,]*\d)\b(?! char)", text):
            found = {"maxItems": number(match[1])}
        if "each once" in text:
            found["uniqueItems"] = True
    elif field.type == 9:
        if match := re.search(r"\b([\d,]*\d) to ([\d,]*\d) characters", text):
            found = {"minLength": number(match[1]), "maxLength": number(match[2])}
        elif match := re.search(r"\bat most ([\d,]*\d) characters", text):
            found = {"maxLength": number(match[1])}
    elif field.type in (5, 13) and (match := re.search(r"\b([\d,]*\d) to ([\d,]*\d), 0: ([\d,]*\d)\b", text)):
        low, high = number(match[1]), number(match[2])
        found = {"default": number(match[3])}
        found |= {"minimum": 0, "maximum": high} if low <= 1 else {"anyOf": [{"const": 0}, {"minimum": low, "maximum": high}]}
    return found


class Document:
    def __init__(self, protos, types, who, contracts):
        self.protos, self.types, self.who, self.contracts = protos, types, who, contracts
        self.schemas = {}

    def text(self, name, kind):
        """What a type is, and who may send it."""
        text = self.protos.texts.get(name, "").rstrip(".")
        return " ".join(filter(None, [f"{capital(text)}." if text else "", f"Who: {WHO[self.who[name, kind]]}."]))

    def reference(self, name):
        """The schema of a message or enum, made when it is first asked for."""
        key = name.removeprefix(".yizhan.v1.")
        if key not in self.schemas:
            self.schemas[key] = {}  # a message may hold itself
            self.schemas[key] = self.enum(name) if name in self.protos.enums else self.message(name)
        return {"$ref": f"#/components/schemas/{key}"}

    def enum(self, name):
        enum, text, texts = self.protos.enums[name]
        values = [(value.name, told) for value, told in zip(enum.value, texts, strict=True) if value.number != 0]
        listed = "; ".join(f"`{value}`: {told}" for value, told in values if told)
        return {"type": "string", "enum": [value for value, _ in values], **described(". ".join(filter(None, [text, listed])))}

    def value(self, field):
        if field.type == MESSAGE:
            if field.type_name == TIMESTAMP:
                return {"type": "string", "format": "date-time"}
            return self.reference(field.type_name)
        return self.reference(field.type_name) if field.type == ENUM else dict(NUMBERS[field.type])

    def field(self, field, text):
        schema = self.value(field)
        if field.label == REPEATED:
            schema = {"type": "array", "items": schema}
        return {**schema, **limits(field, text), **described(text)}

    def message(self, name):
        message, text, texts = self.protos.messages[name]
        fields = {field.json_name: self.field(field, told) for field, told in zip(message.field, texts, strict=True)}
        schema = {"type": "object", "properties": fields, "additionalProperties": False, **described(text)}
        groups = [[field.json_name for field in message.field if field.HasField("oneof_index") and field.oneof_index == i]
                  for i in range(len(message.oneof_decl))]  # fmt: skip
        if at_most_one := [{"not": {"required": [a, b]}} for group in groups for n, a in enumerate(group) for b in group[n + 1:]]:
            schema["allOf"] = at_most_one
        return schema

    def ask_contract(self, name, field, schema, required):
        """What a type's contract wants of a text, added to its schema; a comment that says another length is wrong. What need
        not be there may be empty, which is the same."""
        if field.json_name not in required:
            schema.pop("minLength", None)
            schema.pop("minItems", None)
        if schema.get("type") != "string" or field.type != 9:
            return
        if form := self.contracts.form(name, field.json_name):
            schema |= FORMS[form]
        elif length := self.contracts.longest(name, field.json_name):
            if schema.get("maxLength", length) != length:
                raise ValueError(f"{name}: {field.name} may have {length} characters, its comment says {schema['maxLength']}")
            schema["maxLength"] = length

    def asked(self, name, message):
        """The schema of a payload or request with what its contract wants; what two types want, if they share it."""
        reference = self.reference(message)
        schema = self.schemas[reference["$ref"].rpartition("/")[2]]
        required = self.contracts.wanted(name)
        for field in self.protos.messages[message][0].field:
            self.ask_contract(name, field, schema["properties"][field.json_name], required)
        schema["required"] = [field for field in schema.get("required", required) if field in required]
        return reference

    # events

    def event(self, name):
        payload = self.asked(name, self.types[name][0])
        self.schemas[f"event.{name}"] = {
            "type": "object",
            "properties": {
                "eventId": {"type": "string", "pattern": ID,
                            "description": "Chosen by the client, once per event and kept over retries: a ULID or UUID."},
                "type": {"const": name},
                "payload": payload,
                "occurredAt": {"type": "string", "format": "date-time",
                               "description": "The phone's clock: kept as evidence, decides nothing."},
            },
            "required": ["eventId", "type", "payload"],
            "additionalProperties": False,
            "description": self.text(name, "event"),
        }  # fmt: skip
        return f"#/components/schemas/event.{name}"

    def events(self, names, public=None):
        references = {name: self.event(name) for name in names}
        return {
            "operationId": "emitPublic" if public else "emit",
            "tags": ["public" if public else "events"],
            **(public or {}),
            "summary": "Something happened: send an event" + (" without saying who one is" if public else ""),
            "description": "The event is stored, its outcome follows. A retry with the same `eventId` and payload is answered "
                           "like the first try, with `duplicate`.",
            "requestBody": {"required": True, "content": {"application/json": {"schema": {
                "oneOf": [{"$ref": at} for at in references.values()],
                "discriminator": {"propertyName": "type", "mapping": references},
            }}}},
            "responses": {
                "202": {"description": "Stored.",
                        "content": {"application/json": {"schema": self.reference(".yizhan.v1.Accepted")}}},
                **problems(EVENT_STATUSES),
            },
        }  # fmt: skip

    # queries

    def parameter(self, name, field, text, required):
        if field.type == MESSAGE and field.type_name != TIMESTAMP:
            raise ValueError(f"{name}: {field.name} is a message, which no URL can give")
        schema = {key: value for key, value in self.field(field, text).items() if key != "description"}
        self.ask_contract(name, field, schema, required)
        asked = {"required": True} if field.json_name in required else {}
        return {"name": field.json_name, "in": "query", **asked, **described(text), "schema": schema}

    def public_query(self, name):
        """The request comes as JSON, so that nothing of it stands in a URL."""
        operation = self.posted_query(name)
        responses = {status: answer for status, answer in operation["responses"].items() if status != "401"}
        return {**operation, "tags": ["public"], **PUBLIC, "parameters": PUBLIC["parameters"] + operation["parameters"],
                "responses": responses}  # fmt: skip

    def posted_query(self, name):
        """The request comes as JSON, so that nothing of it stands in a URL."""
        operation = self.query(name)
        asked = {"requestBody": {"required": True, "content": {"application/json": {
            "schema": self.asked(name, self.types[name][0])}}}}  # fmt: skip
        answer = {"200": operation["responses"]["200"]}
        return {**operation, "parameters": operation["parameters"][-1:], **asked,
                "responses": answer | problems(sorted([*QUERY_STATUSES, 411, 413, 415]))}  # fmt: skip

    def query(self, name):
        request, reply = self.types[name]
        message, _, texts = self.protos.messages[request]
        required = self.contracts.wanted(name)
        text = self.text(name, "query")
        return {
            "operationId": name,
            "tags": [name.partition(".")[0]],
            "summary": text.partition(". ")[0] if name in self.protos.texts else name,
            "description": text,
            "parameters": ([] if self.who[name, "query"] == "anyone" else
                           [self.parameter(name, field, told, required)
                            for field, told in zip(message.field, texts, strict=True)])
            + [{"$ref": "#/components/parameters/min_sequence"}],
            "responses": {
                "200": {"description": "The answer.", "content": {"application/json": {"schema": self.reference(reply)}}},
                **problems(QUERY_STATUSES),
            },
        }


def described(text):
    return {"description": text} if text else {}


def problems(statuses):
    return {str(status): {"$ref": f"#/components/responses/problem{status}"} for status in statuses}


def problem_schemas():
    codes = collections.defaultdict(list)
    for _, code, _, status, *_ in macro_rows("common/err.def", "YZ_ERR"):
        codes[int(status)].append(code)
    for status, more in OTHER_STATUS.items():
        codes[status] += more
    texts = {row[1]: row[4] for row in macro_rows("common/err.def", "YZ_ERR")}
    responses = {}
    for status in sorted(set(EVENT_STATUSES + QUERY_STATUSES)):
        listed = "; ".join(f"`{code}`: {texts[code]}" for code in codes[status])
        responses[f"problem{status}"] = {
            "description": f"{capital(REASONS[status])}. {listed}",
            "content": {"application/problem+json": {"schema": {
                "allOf": [{"$ref": "#/components/schemas/Problem"}],
                "properties": {"status": {"const": status}, "code": {"enum": codes[status]}},
            }}},
        }  # fmt: skip
        if status in (429, 500, 503, 504):
            responses[f"problem{status}"]["headers"] = {"Retry-After": {
                "description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}  # fmt: skip
    problem = {
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri", "pattern": "^urn:yizhan:error:[a-z_]+$",
                     "description": "The code as a URN."},
            "title": {"type": "string", "description": "The code in words, the same each time."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "This occurrence in words."},
            "code": {"type": "string", "enum": list(texts), "description": "Stable: branch on it."},
            "field": {"type": "string", "description": "The field it is about, `payload.title`; empty: none."},
            "temporary": {"type": "boolean", "description": "The same request may succeed later."},
        },
        "required": ["type", "title", "status", "detail", "code", "field", "temporary"],
        "additionalProperties": False,
    }  # fmt: skip
    return {"Problem": problem}, responses


def authority():
    """(type, kind): who, as AUTHORITY.md's first table says."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| (event|query) \| (.+?) \|$", (ROOT / "schemas/AUTHORITY.md").read_text(), re.M)
    return {(name, kind): who for name, kind, who in rows}


def wanted():
    """The document, as a dict in the order in which it is read."""
    with Contracts() as contracts:
        return written(Protos(), contracts)


def written(protos, contracts):
    types, who, by_post = tables(), authority(), posted()
    if missing := {name for name, _ in who} ^ set(types):
        raise ValueError(f"in AUTHORITY.md or in a contract, and not in the other, or the build is old: {missing}")
    document = Document(protos, types, who, contracts)
    open_to_tokens = sorted(key for key, by in who.items() if by not in ("system", "anyone"))
    open_to_all = sorted(key for key, by in who.items() if by == "anyone")
    paths = {"/v1/events": {"post": document.events([name for name, kind in open_to_tokens if kind == "event"])}}
    for name, kind in open_to_tokens:
        if kind == "query":
            asked = {"post": document.posted_query(name)} if name in by_post else {"get": document.query(name)}
            paths[f"/v1/query/{name.replace('.', '/')}"] = asked
    if events := [name for name, kind in open_to_all if kind == "event"]:
        paths["/v1/public/{tenant}/events"] = {"post": document.events(events, PUBLIC)}
    for name, kind in open_to_all:
        if kind == "query":
            paths[f"/v1/public/{{tenant}}/query/{name.replace('.', '/')}"] = {"post": document.public_query(name)}
    paths["/v1/openapi.json"] = {"get": {
        "operationId": "openapi", "tags": ["document"], "summary": "This document", "security": [],
        "responses": {"200": {"description": "OpenAPI 3.1.", "headers": {"ETag": {"schema": {"type": "string"}}},
                              "content": {"application/json": {"schema": {"type": "object"}}}},
                      "304": {"description": "It is the one that If-None-Match names."}}}}  # fmt: skip
    schemas, responses = problem_schemas()
    tags = sorted({name.partition(".")[0] for name, kind in open_to_tokens if kind == "query"})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Yizhan (驿站)", "version": "1", "description": ABOUT},
        "servers": [{"url": "/", "description": "The gateway that served this document."}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in ["events", *tags, *(["public"] if open_to_all else []), "document"]],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "parameters": {"min_sequence": {
                "name": "min_sequence", "in": "query",
                "description": "Answer only once the event with this sequence is settled (read your writes).",
                "schema": dict(NUMBERS[4])}},
            "schemas": dict(sorted((document.schemas | schemas).items())),
            "responses": responses,
        },
    }  # fmt: skip


def text():
    return json.dumps(wanted(), ensure_ascii=False, indent=1) + "\n"


def main():
    if "--write" in sys.argv:
        FILE.write_text(text(), encoding="utf-8")
    return 0 if FILE.read_text(encoding="utf-8") == text() else 1


if __name__ == "__main__":
    sys.exit(main())
