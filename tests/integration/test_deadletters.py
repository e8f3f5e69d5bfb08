"""What cannot be processed is kept with its reason, told to its sender, and can be replayed or dropped."""

import json

import pytest

import wire
from handmade import headers, partition
from people import new_id
from test_authority import PAYLOADS
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
    until(lambda: len(town.stack.bus.messages("DEADLETTERS", "dlq.>")) > before, 30, every=0.1)
    town.phone(town.secretary).done("notice.published", {**NOTICE, "noticeId": "n2"})


def test_a_message_of_no_shape_at_all(town):
    before = len(town.stack.bus.messages("DEADLETTERS", "dlq.>"))
    town.stack.bus.publish("evt.7.nobody", b"?")
    town.stack.bus.publish("evt.8.x.y.z.a.b.c", b"?", {"a": "b"})
    until(lambda: len(town.stack.bus.messages("DEADLETTERS", "dlq.>")) >= before + 2, 30, every=0.1)
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


@pytest.mark.parametrize(("type_", "told"), [("notice.published", True), ("complaint.filed", False),
                                             ("complaint.filed_named", False)])  # fmt: skip
def test_who_sent_a_dropped_letter_is_logged_unless_it_was_a_complaint(town, type_, told):
    event_id, _ = publish(town, b"\xff", type_.split(".")[0], type_=type_, **{"ce-actor": "somebody"})
    dead(town)
    (mine,) = letters(town)
    said = town.stack.ctl("dlq", "drop", mine["sequence"], "--reason", "a test", errors=True)
    assert "event=deadletter_dropped" in said and f"type={type_}" in said and f"tenant={town.name}" in said
    assert ("actor=somebody" in said and f"event_id={event_id}" in said) == told
    assert ("somebody" in said or event_id in said) == told


@pytest.mark.parametrize("type_", ["complaint.filed", "complaint.rated", "complaint.filed_named"])
def test_who_complained_is_neither_stored_nor_told(town, type_):
    """Also when a fault let the actor through to the bus."""
    event_id, sequence = publish(town, b"\xff", "complaint", type_=type_, **{"ce-actor": "somebody"})
    dead(town)
    (outcome,) = until(lambda: town.find("outcomes"), 30)
    assert outcome["status"] == "dead_lettered" and outcome["sequence"] == sequence
    assert "somebody" not in str(outcome) and event_id not in str(outcome)
    assert not town.stack.bus.messages("CHANNELS", f"chan.{town.name}.member.somebody")


@pytest.mark.parametrize("type_", ["complaint.filed", "complaint.filed_named", "complaint.message_added", "complaint.rated"])
def test_yzctl_publishes_no_receipt_and_no_sender_of_a_complaint(town, type_):
    """A gateway would hash the one and drop the other; straight into the stream they would go in clear."""
    payload = json.dumps(PAYLOADS[type_]("g1/c1/b1"))
    said = town.stack.ctl("publish", type_, payload, "--tenant", town.name, "--member", "m1", "--path", "g1/c1/b1",
                          "--role", "member", "--json", code=1)  # fmt: skip
    error = json.loads(said)["error"]
    assert (error["code"], error["field"], error["temporary"]) == ("forbidden", "type", False)


def letters(town):
    """The tenant's dead letters as yzctl lists them."""
    return json.loads(town.stack.ctl("dlq", "list", "--json", "--tenant", town.name))["letters"]
