"""What cannot be processed is kept with its reason, told to its sender, and can be replayed or dropped."""

import json

import pytest

import wire
from handmade import headers, partition
from people import new_id
from waiting import until

NOTICE = {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}


def publish(town, body, domain="notice", **changes):
    """Straight into EVENTS, as a gateway with a fault or a stranger with the password would."""
    event_id = new_id("e")
    subject = f"evt.{partition(town.name, 'notice|n1')}.{town.name}.{domain}.g1/c1/b1"
    ack = town.stack.bus.publish(subject, body, headers(town.name, event_id, **changes))
    return event_id, ack.seq


def dead(town, count=1, timeout=20):
    """The tenant's dead letters, once there are `count`."""
    return until(
        lambda: len(found := town.stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>")) >= count and found,
        timeout, every=0.1, what=f"{count} dead letters")  # fmt: skip


def test_an_honest_event_by_hand_is_applied(town):
    """The test's own way of publishing is right, so that the others fail for their reason only."""
    event_id, sequence = publish(town, wire.pack("NoticePublished", NOTICE))
    phone = town.phone(town.secretary)
    outcome = phone.outcome({"eventId": event_id, "sequence": sequence})
    assert outcome["status"] == "APPLIED" and town.find("notices")


GARBAGE = {
    "noise": (b"\xff\xfe\xfd not protobuf", {}),
    "empty": (b"", {}),
    "unknown type": (b"", {"type_": "no.such"}),
    "cut off": (wire.pack("NoticePublished", NOTICE)[:-3], {}),
    "a field from the future": (wire.pack("NoticePublished", NOTICE) + b"\xf8\x07\x01", {}),
    "out of contract": (wire.pack("NoticePublished", {**NOTICE, "title": "t" * 100}), {}),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_dead_lettered_with_its_reason_and_told(town, name):
    body, changes = GARBAGE[name]
    phone = town.phone(town.secretary, subscribe=["member.sec"])
    event_id, sequence = publish(town, body, **changes)
    letter = dead(town)[0]
    assert (letter.data or b"") == body and letter.headers["ce-id"] == event_id
    assert letter.headers["Yz-Dead-Reason"] and int(letter.headers["Yz-Origin-Sequence"]) == sequence
    assert letter.headers["Yz-Origin-Subject"].startswith("evt.") and letter.headers["Yz-Origin-Time"]
    assert int(letter.headers["Yz-Dead-Attempts"]) >= 0
    outcome = phone.outcome({"eventId": event_id, "sequence": sequence})
    assert outcome["status"] == "DEAD_LETTERED" and outcome["code"]
    told = phone.wait_push(channel="member.sec", type_="event.outcome")[0]["payload"]
    assert told["eventId"] == event_id and told["status"] == "DEAD_LETTERED"


@pytest.mark.parametrize("missing", ["ce-id", "ce-type", "ce-tenant", "ce-actor", "ce-orgpath"])
def test_an_event_without_its_headers_is_kept_and_does_not_block(town, missing):
    before = len(town.stack.bus.messages("DEADLETTERS", "dlq.>"))
    publish(town, wire.pack("NoticePublished", NOTICE), **{missing: None})
    until(lambda: len(town.stack.bus.messages("DEADLETTERS", "dlq.>")) > before, 20, every=0.1)
    town.phone(town.secretary).done("notice.published", {**NOTICE, "noticeId": "n2"})


def test_a_message_of_no_shape_at_all(town):
    before = len(town.stack.bus.messages("DEADLETTERS", "dlq.>"))
    town.stack.bus.publish("evt.7.nobody", b"?")
    town.stack.bus.publish("evt.8.x.y.z.a.b.c", b"?", {"a": "b"})
    until(lambda: len(town.stack.bus.messages("DEADLETTERS", "dlq.>")) >= before + 2, 20, every=0.1)
    assert town.stack.workers[0].running


def test_yzctl_lists_shows_and_drops(town):
    event_id, sequence = publish(town, b"\xff")
    dead(town)
    (mine,) = letters(town)
    assert mine["reason"] in town.stack.ctl("dlq", "list", "--tenant", town.name)
    shown = town.stack.ctl("dlq", "show", mine["sequence"])
    assert event_id in shown and str(sequence) in shown
    town.stack.ctl("dlq", "drop", mine["sequence"], "--reason", "a test")
    assert not town.stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>") and not letters(town)
    town.stack.ctl("dlq", "show", mine["sequence"], code=1)


def letters(town):
    """The tenant's dead letters as yzctl lists them."""
    return json.loads(town.stack.ctl("dlq", "list", "--json", "--tenant", town.name))["letters"]
