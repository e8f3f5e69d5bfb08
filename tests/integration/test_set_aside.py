"""Events that end their worker: they alone are set aside, and their actors are told."""

import json

from people import new_id
from stack import Town
from waiting import until

SETTINGS = {"ack_wait_ms": 3000, "lease_ttl_ms": 1000}
NOTICE = {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}


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
    (letter,) = json.loads(stack.ctl("dlq", "list", "--json", "--tenant", town.name))["letters"]
    stack.ctl("dlq", "replay", letter["sequence"])
    phone.wait_push(20, 30, type_="notice.posted")
    until(lambda: town.find("outcomes", event_id=poison)[0]["status"] == "applied", 30)
    outcome = phone.outcome(accepted[poison])
    assert outcome["status"] == "APPLIED" and int(outcome["sequence"]) == accepted[poison]["sequence"]
    assert len(town.find("notices")) == 20
    until(lambda: not stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>"), 30)


def test_what_stands_before_a_crashing_event_is_not_set_aside_with_it(new_stack):
    """Each time it is done, and its ack waits for its value when the next one ends the worker: it is not to be counted for
    that."""
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
