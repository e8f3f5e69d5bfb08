"""Input that no honest client sends: a stable code each time, and the session and everybody else go on."""

import json
import struct

import pytest

import wire
from people import new_id

GOOD_NOTICE = {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}


def emit_text(payload_text, event_id="e1", type_="notice.published"):
    return (f'{{"id":9,"emit":{{"eventId":"{event_id}","type":"{type_}",'
            f'"payload":{payload_text}}}}}')  # fmt: skip


def nested(depth, inner="1"):
    return '{"a":' * depth + inner + "}" * depth


BAD_TEXTS = {
    "empty": ("", {"bad_json", "bad_frame"}),
    "blank": ("  ", {"bad_json", "bad_frame"}),
    "no JSON": ("hello?", "bad_json"),
    "cut off": ('{"id":9,"ping":', "bad_json"),
    "two values": ('{"id":9,"ping":{}} {"id":9}', "bad_json"),
    "a list": ("[]", {"wrong_type", "bad_json", "bad_frame"}),
    "a string": ('"ping"', {"wrong_type", "bad_json", "bad_frame"}),
    "null": ("null", {"wrong_type", "bad_json", "bad_frame"}),
    "the same name twice": ('{"id":9,"id":10,"ping":{}}', {"bad_json", "invalid_value"}),
    "two bodies": ('{"id":9,"ping":{},"subscribe":{"channel":"org.g1"}}',
                   {"invalid_value", "bad_frame", "wrong_type"}),
    "unknown field": ('{"id":9,"ping":{},"mood":1}', "unknown_field"),
    "unknown field inside": ('{"id":9,"emit":{"eventId":"e1","type":"notice.read","x":1}}',
                             "unknown_field"),
    "unknown field in the payload": (emit_text('{"noticeId":"n1","mood":1}', type_="notice.read"),
                                     "unknown_field"),
    "id is text": ('{"id":"nine","ping":{}}', {"wrong_type", "invalid_value"}),
    "id is negative": ('{"id":-1,"ping":{}}', {"wrong_type", "invalid_value"}),
    "id is too big": ('{"id":4294967296,"ping":{}}', {"wrong_type", "invalid_value"}),
    "id has a fraction": ('{"id":1.5,"ping":{}}', {"wrong_type", "invalid_value"}),
    "ping is a number": ('{"id":9,"ping":7}', "wrong_type"),
    "text field is a number": (emit_text('{"noticeId":7}', type_="notice.read"), "wrong_type"),
    "unknown enum": (emit_text(json.dumps({**GOOD_NOTICE, "noticeClass": "SHOUT"})),
                     {"invalid_value", "wrong_type"}),
    "list for an object": (emit_text("[]"), "wrong_type"),
    "payload is text": (emit_text('"n1"'), "wrong_type"),
    "no timestamp": (emit_text(json.dumps({**GOOD_NOTICE, "expiresAt": "soon"})),
                     {"invalid_value", "wrong_type"}),
    "depth bomb of lists": ("[" * 20000, {"too_deep", "bad_json"}),
    "depth bomb of objects": (nested(5000), {"too_deep", "unknown_field", "bad_json"}),
    "depth bomb in the payload": (emit_text(nested(1000)), {"too_deep", "unknown_field", "bad_json"}),
    "lone surrogate": (emit_text('{"noticeId":"n1","title":"\\ud800"}'), "invalid_utf8"),
    "NUL in a text": (emit_text(json.dumps({**GOOD_NOTICE, "title": "a\x00b"})), "invalid_utf8"),
    "NaN": ('{"id":NaN,"ping":{}}', "bad_json"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_json_has_a_code_and_the_session_goes_on(town, name):
    text, codes = BAD_TEXTS[name]
    phone = town.phone(town.secretary)
    reply = phone.answer_to(text)["reply"]
    assert reply["error"]["code"] in (codes if isinstance(codes, set) else {codes}), reply
    assert reply.get("id", 0) in (0, 9, 10) and not reply["error"].get("temporary")
    phone.expect({"ping": {}}, "pong")


def field(number, wire_type, content):
    return bytes([number << 3 | wire_type]) + content


def length_delimited(number, content):
    return field(number, 2, varint(len(content)) + content)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def emit_bytes(payload, type_=b"notice.published"):
    emit = length_delimited(1, b"e1") + length_delimited(2, type_) + length_delimited(3, payload)
    return field(1, 0, varint(9)) + length_delimited(5, emit)


def deep_groups(depth):
    body = b""
    for _ in range(depth):
        body = length_delimited(5, body)
    return body


BAD_BYTES = {
    "empty": (b"", {"bad_frame", "missing_field", "invalid_value"}),
    "noise": (bytes(range(255, 200, -1)), {"bad_frame", "unknown_field", "wrong_type"}),
    "cut varint": (b"\x08\xff", "bad_frame"),
    "endless varint": (b"\x08" + b"\xff" * 40, "bad_frame"),
    "cut length": (field(1, 0, b"\x09") + b"\x2a\x7f\x0a", "bad_frame"),
    "length of 4 GB": (field(1, 0, b"\x09") + b"\x2a" + varint(2**32 - 1), "bad_frame"),
    "length of 2^63": (field(1, 0, b"\x09") + b"\x2a" + varint(2**63), "bad_frame"),
    "field zero": (b"\x02\x00", {"bad_frame", "unknown_field"}),
    "unknown field": (field(1, 0, b"\x09") + length_delimited(7, b"") + field(15, 0, b"\x01"),
                      "unknown_field"),
    "wrong wire type": (length_delimited(1, b"9") + length_delimited(7, b""),
                        {"wrong_type", "bad_frame"}),
    "group": (b"\x0b\x0c", {"bad_frame", "wrong_type", "unknown_field"}),
    "unknown field in the payload": (emit_bytes(wire.pack("NoticePublished", GOOD_NOTICE)
                                                + b"\xf8\x07\x01"), "unknown_field"),
    "invalid UTF-8 in a text": (emit_bytes(length_delimited(1, b"n1") + length_delimited(2, b"g1/c1/b1")
                                           + field(3, 0, b"\x01") + length_delimited(4, b"\xc3\x28")),
                                "invalid_utf8"),
    "overlong UTF-8": (emit_bytes(length_delimited(4, b"\xc0\xaf")), "invalid_utf8"),
    "payload of noise": (emit_bytes(b"\xff\xff\xff"), {"bad_frame", "wrong_type"}),
    "enum out of range": (emit_bytes(wire.pack("NoticePublished", {**GOOD_NOTICE, "noticeClass": 77})),
                          {"invalid_value", "wrong_type"}),
    "depth bomb": (deep_groups(5000), {"bad_frame", "too_deep", "wrong_type", "unknown_field",
                                       "invalid_utf8"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bad_protobuf_has_a_code_and_the_session_goes_on(town, name):
    data, codes = BAD_BYTES[name]
    phone = town.phone(town.secretary, encoding="protobuf")
    reply = phone.answer_to(data)["reply"]
    assert reply["error"]["code"] in (codes if isinstance(codes, set) else {codes}), reply
    phone.expect({"ping": {}}, "pong")


def test_each_truncation_of_a_good_frame_is_survived(town, encoding):
    """Cut anywhere: an error or, where the rest happens to be a frame of its own, its answer; never silence."""
    body = {"emit": {"eventId": "e1", "type": "notice.published", "payload": GOOD_NOTICE}}
    whole = wire.encode_client_frame({"id": 9, **body}, encoding)
    phone = town.phone(town.secretary, encoding=encoding)
    for end in range(len(whole)):
        if end % 8 == 7:
            phone = town.phone(town.secretary, encoding=encoding)
        item = phone.answer_to(whole[:end])
        assert "error" in item["reply"], (end, item)


def test_each_flipped_byte_of_a_good_frame_is_survived(stack, town):
    """Whatever a flip makes of it, there is one answer, and the gateway lives."""
    body = {"emit": {"eventId": "e1", "type": "thread.posted", "payload": {
        "orgPath": "g1/c1/b1", "threadId": "t1", "messageId": "m1", "text": "你好"}}}  # fmt: skip
    whole = wire.encode_client_frame({"id": 9, **body}, "protobuf")
    phone = town.phone(town.person("m1"), encoding="protobuf")
    for at in range(len(whole)):
        if at % 8 == 7:
            phone = town.phone(town.person("m1"), encoding="protobuf")
        phone.answer_to(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
    assert stack.gateways[0].running


@pytest.mark.parametrize("kind", ["text on protobuf", "binary on json"])
def test_the_wrong_kind_of_message_is_a_bad_frame(town, kind):
    encoding = "protobuf" if "protobuf" in kind else "json"
    phone = town.phone(town.secretary, encoding=encoding)
    phone.send_raw('{"id":9,"ping":{}}' if encoding == "protobuf" else b'{"id":9,"ping":{}}')
    phone.read_until(lambda: phone.items[1:], 30, "an error")
    assert "error" in phone.items[1].get("reply", {}), phone.items[1]


def test_invalid_utf8_in_a_text_message_ends_only_that_session(town):
    """RFC 6455 asks for failing the connection (1007); an error frame would do too."""
    other = town.phone(town.person("m1"))
    phone = town.phone(town.secretary)
    head = struct.pack("!BB", 0x81, 0x80 | 20) + b"\0\0\0\0"  # unmasked by a mask of zeros
    phone.ws.socket.sendall(head + b'{"id":9,"ping":"\xc3\x28"}'[:20])
    try:
        phone.read_until(lambda: phone.items[1:], 30, "an error")
        assert "error" in phone.items[1]["reply"]
    except AssertionError:
        assert phone.close_code in (1007, 1002, 1006, 3503)
    other.expect({"ping": {}}, "pong")


def test_a_message_over_the_limit_closes_with_its_reason(town, encoding):
    phone = town.phone(town.secretary, encoding=encoding)
    limit = phone.welcome["maxFrameBytes"]
    padding = " " * limit if encoding == "json" else bytes(limit)
    phone.send_raw(('{"id":9,"ping":{}}' + padding) if encoding == "json" else b"\x08\x09" + padding)
    code, closing = phone.wait_closed()
    assert code == 3504 and closing["code"] == "frame_too_large"


def test_a_message_over_the_limit_in_fragments_closes_too(town):
    phone = town.phone(town.secretary)
    try:
        phone.ws.send(["x" * 1000 for _ in range(80)])
    except Exception as closed:  # noqa: BLE001  (the server may close while fragments are on their way)
        assert "clos" in repr(closed).lower()
    code, closing = phone.wait_closed()
    assert code == 3504, closing


def test_a_message_in_many_fragments_is_one_message(town):
    phone = town.phone(town.secretary)
    phone.ws.send(list('{"id":4711,"ping":{}}'))
    assert phone.reply(4711)[0] == "pong"


def test_a_large_message_within_the_limit_is_taken(town, encoding):
    phone = town.phone(town.secretary, encoding=encoding, subscribe=["org.g1/c1/b1"])
    notice = {**GOOD_NOTICE, "noticeId": new_id("n"), "body": "通" * 10000}
    phone.emit("notice.published", notice)
    assert phone.wait_push(type_="notice.posted")[0]["payload"]["body"] == notice["body"]


def test_too_many_bad_frames_close_the_session(town):
    phone = town.phone(town.secretary)
    for _ in range(200):
        try:
            phone.send_raw("no JSON")
        except AssertionError:
            break
    code, closing = phone.wait_closed()
    assert code == 3503 and closing["code"] == "protocol_error"


CONTRACT = [
    ("notice.published", {"title": ""}, "missing_field", "title"),
    ("notice.published", {"title": "题" * 65}, "too_long", "title"),
    ("notice.published", {"body": "文" * 10001}, "too_long", "body"),
    ("notice.published", {"noticeClass": "NOTICE_CLASS_UNSPECIFIED"}, None, "noticeClass"),
    ("notice.published", {"noticeId": "a b"}, "invalid_value", "noticeId"),
    ("notice.published", {"orgPath": "g1/c1/b1/"}, "invalid_value", "orgPath"),
    ("meeting.convened", {"title": "题" * 65}, "too_long", "title"),
    ("meeting.convened", {"place": "地" * 129}, "too_long", "place"),
    ("meeting.convened", {"roster": []}, "missing_field", "roster"),
    ("meeting.convened", {"roster": ["m1", "m2", "m1"]}, "invalid_value", "roster[2]"),
    ("meeting.convened", {"roster": ["m1", "m 2"]}, "invalid_value", "roster[1]"),
    ("meeting.convened", {"codePeriodS": 5}, "invalid_value", "codePeriodS"),
    ("meeting.convened", {"codePeriodS": 31}, "invalid_value", "codePeriodS"),
    ("meeting.convened", {"endsAt": "2030-01-01T00:00:00Z", "startsAt": "2030-01-02T00:00:00Z"},
     "invalid_value", "endsAt"),
    ("meeting.convened", {"endsAt": "2030-01-03T00:00:00Z", "startsAt": "2030-01-01T00:00:00Z"},
     "invalid_value", "endsAt"),
    ("meeting.convened", {"kind": None}, None, "kind"),
    ("checkin.recorded", {"code": "short"}, "code_malformed", "code"),
    ("checkin.recorded", {"code": "=" * 38}, "code_malformed", "code"),
    ("checkin.recorded", {"method": None}, None, "method"),
    ("thread.posted", {"text": ""}, "missing_field", "text"),
    ("thread.posted", {"text": "字" * 1001}, "too_long", "text"),
    ("thread.posted", {"messageId": ""}, "missing_field", "messageId"),
    ("thread.posted", {"threadId": "x" * 65}, None, "threadId"),
]  # fmt: skip
GOOD = {
    "notice.published": GOOD_NOTICE,
    "meeting.convened": {"orgPath": "g1/c1/b1", "meetingId": "m1", "kind": "GROUP", "title": "t",
                         "startsAt": "2030-01-01T00:00:00Z", "endsAt": "2030-01-01T01:00:00Z",
                         "roster": ["m1"]},
    "checkin.recorded": {"orgPath": "g1/c1/b1", "meetingId": "m1", "method": "CODE",
                         "code": "A" * 38},
    "thread.posted": {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": "x1", "text": "t"},
}  # fmt: skip


@pytest.mark.parametrize("type_, change, code, field", CONTRACT)
def test_the_contract_names_the_field_before_anything_is_accepted(town, type_, change, code, field):
    payload = {k: v for k, v in {**GOOD[type_], **change}.items() if v is not None}
    with town.phone(town.secretary) as phone:
        error = phone.emit_error(type_, payload)
    assert error["field"] == f"payload.{field}", error
    assert code is None or error["code"] == code, error


def test_nothing_bad_reached_the_bus(stack, town):
    """The last sequence of EVENTS stands still under bad input."""
    before = stack.bus.stream("EVENTS")["state"]["last_seq"]
    with town.phone(town.secretary) as phone:
        for type_, change, *_ in CONTRACT:
            payload = {k: v for k, v in {**GOOD[type_], **change}.items() if v is not None}
            phone.emit_error(type_, payload)
    assert stack.bus.stream("EVENTS")["state"]["last_seq"] == before
