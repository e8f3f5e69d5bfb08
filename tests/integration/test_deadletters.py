"""What cannot be processed is kept with its reason, told to its sender, and can be replayed or dropped."""

import json

import pytest

import wire
from handmade import headers, partition
from people import new_id
from waiting import until

SETTINGS = {"ack_wait_ms": 3000, "lease_ttl_ms": 1000}
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


def nurse(town, fault):
    """Start the worker again and again with the fault point that ends it, until a letter is there; (letters, deaths)."""
    stack, worker, deaths = town.stack, town.stack.workers[0], 0
    stack.start_worker(worker, ready=False, fault=fault)

    def set_aside():
        nonlocal deaths
        if not worker.running:
            deaths += 1
            assert deaths < 12, "the event kills the worker without end"
            stack.start_worker(worker, ready=False, fault=fault)
        return stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>")

    return until(set_aside, 120, every=0.1, what="an event is set aside"), deaths


def test_a_crashing_event_is_set_aside_and_replayed_when_mended(new_stack):
    """It kills the worker again and again; then it alone is dead-lettered, and the others went through."""
    from stack import Town

    stack = new_stack(**SETTINGS)
    town = Town(stack)
    poison, worker = new_id("poison"), stack.workers[0]
    phone = stack.phone(town.secretary, subscribe=["member.sec", "org.g1/c1/b1"])
    worker.terminate()
    accepted = {}
    for n in range(20):
        event_id = poison if n == 7 else f"e{n}"
        accepted[event_id] = phone.emit("notice.published", {**NOTICE, "noticeId": f"n{n}"}, event_id)
    kept, deaths = nurse(town, f"crash_on_event:{poison}")
    assert [letter.headers["ce-id"] for letter in kept] == [poison] and deaths >= 3
    phone.wait_push(19, 60, type_="notice.posted")
    told = phone.wait_push(channel="member.sec", type_="event.outcome")[0]["payload"]
    assert told["eventId"] == poison and told["status"] == "DEAD_LETTERED"
    assert len(town.find("notices")) == 19
    worker.terminate()
    stack.start_worker(worker)
    stack.ctl("dlq", "replay", letters(town)[0]["sequence"])
    phone.wait_push(20, 30, type_="notice.posted")
    until(lambda: town.find("outcomes", event_id=poison)[0]["status"] == "applied", 10)
    outcome = phone.outcome(accepted[poison])
    assert outcome["status"] == "APPLIED" and int(outcome["sequence"]) == accepted[poison]["sequence"]
    assert len(town.find("notices")) == 20
    until(lambda: not stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>"), 10)


def test_what_stands_before_a_crashing_event_is_not_set_aside_with_it(new_stack):
    """Each time it is done, and its ack waits for its value when the next one ends the worker: it is not to be counted for
    that."""
    from stack import Town

    stack = new_stack(**SETTINGS)
    town = Town(stack)
    secretary, *readers = map(stack.phone, (town.secretary, *town.members(8)))
    secretary.done("notice.published", NOTICE)
    stack.workers[0].terminate()
    poison = new_id("poison")
    innocent = [reader.emit("notice.read", {"noticeId": "n1"}) for reader in readers[:-1]]
    readers[-1].emit("notice.read", {"noticeId": "n1"}, poison)
    _, deaths = nurse(town, f"crash_on_event:{poison}")
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 30, what="all is settled")
    kept = stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>")
    assert [letter.headers["ce-id"] for letter in kept] == [poison] and deaths >= 3
    for reader, event in zip(readers, innocent, strict=False):
        outcome = reader.outcome(event)
        assert outcome["status"] == "APPLIED" and int(outcome["sequence"]) == event["sequence"]


def test_who_was_told_of_a_refusal_is_told_when_the_event_is_set_aside_after_all(new_stack):
    """What it pushed before stands in the inbox; the dead letter is another message, and is not taken for a copy of it."""
    from stack import Town

    stack = new_stack(**SETTINGS)
    town = Town(stack)
    (person,) = town.members(1)
    phone = stack.phone(person, subscribe=[f"member.{person.member}"])
    worker = stack.workers[0]
    worker.terminate()
    event = phone.emit("notice.read", {"noticeId": "nowhere"}, new_id("e"))
    nurse(town, "before_ack")
    until(lambda: not worker.running, 30, what="the worker that set it aside has ended at its ack")
    stack.start_worker(worker)
    told = phone.wait_push(2, 30, channel=f"member.{person.member}", type_="event.outcome")
    assert [each["payload"]["status"] for each in told] == ["REFUSED", "DEAD_LETTERED"]
    assert phone.outcome(event)["status"] == "DEAD_LETTERED"
