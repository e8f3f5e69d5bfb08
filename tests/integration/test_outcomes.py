"""Every accepted event has exactly one outcome; ids that come again; ids that mean something else."""

import pytest

from people import new_id
from phone import Refused
from stack import Town


def notice(notice_id, title="t"):
    return {"noticeId": notice_id, "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": title}


def outcomes(town, event_id):
    return town.find("outcomes", event_id=event_id)


def test_an_applied_event_has_its_outcome_and_no_outcome_push(town, encoding):
    desk = town.phone(town.secretary, encoding=encoding, subscribe=["member.sec"])
    accepted = desk.emit("notice.published", notice("n1"))
    outcome = desk.outcome(accepted)
    assert outcome["status"] == "APPLIED" and outcome["type"] == "notice.published"
    assert int(outcome["sequence"]) == accepted["sequence"] and outcome["receivedAt"]
    assert not outcome.get("code") and not outcome.get("field")
    stored = outcomes(town, accepted["eventId"])
    assert len(stored) == 1 and stored[0]["status"] == "applied" and stored[0]["actor"] == "sec"
    assert stored[0]["_id"] == f"{town.name}|sec|{accepted['eventId']}"
    desk.read_for(0.3)
    assert not desk.of("member.sec", "event.outcome")


def test_a_refused_event_is_told_in_the_inbox_and_changes_nothing(town, encoding):
    desk = town.phone(town.secretary, encoding=encoding, subscribe=["member.sec"])
    desk.done("notice.published", notice("n1", "first"))
    accepted = desk.emit("notice.published", notice("n1", "second"))
    told = desk.wait_push(channel="member.sec", type_="event.outcome")[0]["payload"]
    assert told["eventId"] == accepted["eventId"] and told["status"] == "REFUSED"
    assert told["code"] == "exists" and told["text"] and int(told["sequence"]) == accepted["sequence"]
    assert desk.outcome(accepted) == told
    assert [n["title"] for n in town.find("notices")] == ["first"]


def test_a_retry_is_answered_with_the_first_acceptance(town, encoding):
    desk = town.phone(town.secretary, encoding=encoding, subscribe=["org.g1/c1/b1", "member.sec"])
    first = desk.emit("notice.published", notice("n1"), event_id="again")
    retries = [desk.emit("notice.published", notice("n1"), event_id="again") for _ in range(3)]
    assert not first["duplicate"] and all(r["duplicate"] for r in retries)
    assert {r["sequence"] for r in retries} == {first["sequence"]}
    assert desk.outcome(first)["status"] == "APPLIED"
    desk.wait_push(channel="org.g1/c1/b1")
    desk.read_for(0.5)
    assert len(desk.pushes) == 1 and len(outcomes(town, "again")) == 1


def test_the_phones_clock_does_not_make_another_event(town):
    desk = town.phone(town.secretary)
    first = desk.emit("notice.published", notice("n1"), event_id="e1",
                      occurredAt="2026-01-01T00:00:00Z")  # fmt: skip
    again = desk.emit("notice.published", notice("n1"), event_id="e1",
                      occurredAt="2026-01-01T00:09:00Z")  # fmt: skip
    assert again["duplicate"] and again["sequence"] == first["sequence"]


def test_both_encodings_of_an_event_are_the_same_event(town):
    phones = [town.phone(town.secretary, encoding=e) for e in ("json", "protobuf")]
    first, second = [p.emit("notice.published", notice("n1"), event_id="e1") for p in phones]
    assert second["duplicate"] and second["sequence"] == first["sequence"]


def test_the_same_id_for_another_event_is_a_conflict(town, encoding):
    desk = town.phone(town.secretary, encoding=encoding, subscribe=["member.sec"])
    first = desk.done("notice.published", notice("n1", "first"), event_id="e1")
    second = desk.emit("notice.published", notice("n2", "second"), event_id="e1")
    assert not second["duplicate"] and second["sequence"] > first["sequence"]
    told = desk.wait_push(channel="member.sec", type_="event.outcome")[0]["payload"]
    assert told["code"] == "id_conflict" and told["status"] == "REFUSED" and told["eventId"] == "e1"
    assert [n["title"] for n in town.find("notices")] == ["first"]
    assert len(outcomes(town, "e1")) == 1
    assert desk.outcome(first)["status"] == "APPLIED", "the first event's outcome stands"


def test_the_same_id_for_another_type_is_a_conflict(town):
    desk = town.phone(town.secretary, subscribe=["member.sec"])
    desk.done("notice.published", notice("n1"), event_id="e1")
    desk.emit("notice.read", {"noticeId": "n1"}, event_id="e1")
    told = desk.wait_push(channel="member.sec", type_="event.outcome")[0]["payload"]
    assert told["code"] == "id_conflict"


def test_equal_ids_of_others_are_other_events(stack, town):
    """Another member's and another tenant's event with the same id, even with the same payload."""
    other = Town(stack)
    first = town.phone(town.secretary).done("notice.published", notice("n1"), event_id="same")
    second = stack.phone(other.secretary).done("notice.published", notice("n1"), event_id="same")
    deputy = town.person("deputy", roles=("member", "secretary@g1/c1/b1"))
    third = town.phone(deputy).done("notice.published", notice("n2"), event_id="same")
    assert len({e["sequence"] for e in (first, second, third)}) == 3
    assert not any(e["duplicate"] for e in (first, second, third))
    assert len(outcomes(town, "same")) == 2 and len(outcomes(other, "same")) == 1


def test_outcomes_are_ones_own(town):
    accepted = town.phone(town.secretary).done("notice.published", notice("n1"))
    with pytest.raises(Refused) as refused:
        town.phone(town.person("m1")).query("event.outcome", {"eventId": accepted["eventId"]})
    assert refused.value.code == "not_found"


def test_sequences_rise_and_the_generation_is_in_them(town):
    desk = town.phone(town.secretary)
    sequences = [desk.emit("notice.published", notice(new_id("n")))["sequence"] for _ in range(5)]
    assert sequences == sorted(sequences) and sequences[0] >> 40 >= 1
