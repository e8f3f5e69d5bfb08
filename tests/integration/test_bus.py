"""What strangers read on the bus and in the logs: CloudEvents, protobuf, ids; and nothing personal."""

import hashlib
import re

import jwt

import wire
from meeting import Meeting
from people import new_id
from waiting import until

EPOCH = re.compile(r"^\d+\.[0-9a-z]+$")


def test_an_event_is_a_cloudevent_in_binary_mode(town):
    heard = town.stack.bus.listen(f"evt.*.{town.name}.>")
    payload = {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "CONFIRM", "title": "通知"}
    accepted = town.phone(town.secretary).emit(
        "notice.published", payload, event_id="e1", occurredAt="2026-01-01T00:00:00Z")  # fmt: skip
    message = until(lambda: heard and heard[0], 30)
    assert re.fullmatch(rf"evt\.\d+\.{town.name}\.notice\.g1/c1/b1", message.subject)
    head = message.headers
    assert head["ce-specversion"] == "1.0" and head["ce-id"] == "e1" and head["ce-source"]
    assert head["ce-type"] == "notice.published" and head["ce-subject"] == "notice|n1"
    assert head["ce-time"].startswith("2026-01-01T00:00:00") and head["ce-actor"] == "sec"
    assert head["content-type"] == "application/protobuf" and head["ce-tenant"] == town.name
    assert head["ce-orgpath"] == "g1/c1/b1" and head["ce-schemaversion"]
    assert wire.unpack("NoticePublished", message.data) == payload
    assert head["Nats-Msg-Id"] == message_id(town.name, "sec", "e1", "notice.published", message.data)
    assert accepted["sequence"] >= 1 << 40


def message_id(*parts):
    digest = hashlib.sha256()
    for part in parts:
        part = part if isinstance(part, bytes) else part.encode()
        digest.update(len(part).to_bytes(8, "little") + part)
    return "e-" + digest.hexdigest()[:32]


def test_the_body_on_the_bus_is_canonical(town):
    """Whatever way a client wrote it, the same event is the same bytes."""
    heard = town.stack.bus.listen(f"evt.*.{town.name}.>")
    phone = town.phone(town.secretary)
    phone.send_raw('{"id":90,"emit":{"event_id":"a","type":"notice.read","payload":{"notice_id":"n1"}}}')
    phone.send_raw('{"emit":{"payload":{"noticeId":"n\\u0031"},"type":"notice.read","eventId":"b"},"id":91}')
    assert {phone.reply(n)[0] for n in (90, 91)} == {"accepted"}
    until(lambda: len(heard) == 2, 30)
    assert heard[0].data == heard[1].data == wire.pack("NoticeRead", {"noticeId": "n1"})


def test_a_push_on_the_bus(town):
    accepted = town.phone(town.secretary).done("notice.published", {
        "noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"})  # fmt: skip
    messages = town.stack.bus.messages("CHANNELS", f"chan.{town.name}.>")
    assert [m.subject for m in messages] == [f"chan.{town.name}.org.g1/c1/b1"]
    push = wire.unpack("Push", messages[0].data)
    assert push["id"].startswith(f"{accepted['sequence']}-") and push["type"] == "notice.posted"
    assert "channel" not in push and "offset" not in push
    assert messages[0].headers["Nats-Msg-Id"] == f"p-{push['id']}"


def test_the_streams_are_as_declared(stack):
    config = {name: stack.bus.stream(name)["config"]
              for name in ("EVENTS", "CHANNELS", "THREADS", "STATE", "DEADLETTERS")}  # fmt: skip
    assert config["EVENTS"]["retention"] == "workqueue" and config["EVENTS"]["discard"] == "new"
    assert config["EVENTS"]["max_bytes"] > 0 and config["EVENTS"]["max_age"] == 0
    assert config["CHANNELS"]["max_msgs_per_subject"] == 1000
    assert config["STATE"]["max_msgs_per_subject"] == 1 and config["DEADLETTERS"]["discard"] == "new"
    for name, prefix in (("CHANNELS", "chan"), ("THREADS", "thr"), ("STATE", "state")):
        assert config[name]["republish"]["dest"].startswith(f"live.{prefix}."), config[name]
        assert config[name]["allow_direct"] and config[name]["storage"] == "file"
    for each in config.values():
        assert EPOCH.match(each["metadata"]["yizhan-epoch"]), each["metadata"]


def test_apply_twice_changes_nothing(stack):
    before = {n: stack.bus.stream(n)["config"] for n in ("EVENTS", "CHANNELS", "STATE")}
    stack.apply()
    assert before == {n: stack.bus.stream(n)["config"] for n in before}


def test_settled_events_leave_the_queue(stack, town):
    phone = town.phone(town.secretary)
    accepted = phone.emit("notice.published", {"noticeId": "n1", "orgPath": "g1/c1/b1",
                                               "noticeClass": "INFO", "title": "t"})  # fmt: skip
    phone.outcome(accepted)
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 30, what="the queue is empty")


def test_no_personal_word_and_no_token_in_any_log(stack, town):
    """All texts, names and tokens of a full round, looked for in all logs at level debug."""
    secret = {"title": "SECRETTITLE", "body": "SECRETBODY 秘密", "text": "SECRETPOST", "device": "SECRETDEVICE"}
    person = town.person("m1")
    token = stack.keys.token(person)
    phone = stack.connect()
    phone.hello(token, ["member.m1", "org.g1/c1/b1"], device=secret["device"])
    desk = town.phone(town.secretary)
    desk.done("notice.published", {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO",
                                   "title": secret["title"], "body": secret["body"]})  # fmt: skip
    phone.done("thread.posted", {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": "x1",
                                 "text": secret["text"]})  # fmt: skip
    held = Meeting(town, desk, [person])
    code = held.code()
    phone.done("checkin.recorded", held.checkin(code))
    phone.emit("checkin.recorded", held.checkin(code))
    bad = stack.keys.sign(person.claims(aud="shop"))
    stack.connect().error_of({"hello": {"token": bad}})
    stack.http("GET", "/v1/query/notice/list", token=bad)
    stack.http("GET", "/v1/query/notice/list", token=token)
    phone.error_of({"emit": {"eventId": "e", "type": "thread.posted", "payload": {"text": "SECRETPOST"}}})
    stack.bus.publish(f"evt.3.{town.name}.notice.g1/c1/b1", b"SECRETBODY", {"ce-id": new_id()})
    needles = [*secret.values(), "秘密", code, token, bad, *token.split(".")[1:], *bad.split(".")[1:]]
    assert jwt.get_unverified_header(token)["kid"] == "hs"
    for process in stack.gateways + stack.workers:
        text = process.text()
        assert text, f"{process.name} says nothing"
        assert [needle for needle in needles if needle in text] == [], process.name
    log_lines(stack)


def log_lines(stack):
    """Our own log lines are key=value, each with its program and level."""
    for process in stack.gateways + stack.workers:
        for line in process.text().splitlines():
            assert re.match(r"^\S+=\S", line), f"{process.name}: {line}"
