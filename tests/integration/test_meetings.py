"""Meetings and check-in: who may, when, with which code; documents, pushes, counts."""

import time

import pytest

from meeting import Meeting
from people import code_slot, new_id
from phone import Refused

# the grace of a code: short, so that an old slot is an expired one
SETTINGS = {"code_grace_ms": 2000}


@pytest.fixture
def desk(town):
    return town.phone(town.secretary)


def present(meeting):
    return [p["member"] for p in meeting.attendance().get("present", [])]


def test_the_life_of_a_meeting(town, desk, encoding):
    people = town.members(4)
    phone = town.phone(people[0], encoding=encoding, subscribe=["org.g1/c1/b1", "member.m1"])
    held = Meeting(town, desk, people, opened=False)
    phone.subscribe(held.channel)
    announced = phone.wait_push(type_="meeting.announced")[0]["payload"]
    assert announced["title"] == "支部党员大会" and announced["convener"] == "sec"
    assert announced["rosterCount"] == 4 and announced["kind"] == "ASSEMBLY"
    assert held.get()["state"] == "CONVENED"
    held.open()
    changed = phone.wait_push(channel=held.channel, type_="meeting.state_changed")
    assert changed[0]["payload"]["state"] == "OPEN" and held.get()["state"] == "OPEN"
    code = held.code()
    phone.done("checkin.recorded", held.checkin(code))
    confirmed = phone.wait_push(channel="member.m1", type_="checkin.confirmed")[0]["payload"]
    assert confirmed["meetingId"] == held.id and confirmed["method"] == "CODE"
    town.phone(people[1]).done("checkin.recorded", held.checkin(code))
    held.finish()
    last = phone.wait_push(2, channel=held.channel, type_="meeting.state_changed")[1]["payload"]
    assert last["state"] == "CLOSED" and last["present"] == 2
    got = held.get()
    assert got["state"] == "CLOSED" and got["present"] == 2
    attendance = held.attendance()
    assert sorted(p["member"] for p in attendance["present"]) == ["m1", "m2"]
    assert attendance["missing"] == ["m3", "m4"] and attendance["shouldAttend"] == 4


def test_the_documents(town, desk):
    people = town.members(2)
    held = Meeting(town, desk, people)
    accepted = town.phone(people[1]).done("checkin.recorded", held.checkin())
    documents = town.find("checkins")
    assert len(documents) == 1 and documents[0]["evt_seq"] == accepted["sequence"]
    assert documents[0]["_id"].startswith(f"{town.name}|") and documents[0]["_id"].endswith("|m2")
    assert len(town.find("meetings")) == 1 and len(town.find("meeting_rosters")) == 1


def test_the_present_members_of_the_demo_size(town, desk):
    people = town.members(50)
    held = Meeting(town, desk, people)
    code, screen = held.code(), town.phone(town.secretary, subscribe=[held.channel])
    for person in people:
        with town.phone(person) as phone:
            phone.emit("checkin.recorded", held.checkin(code))
    screen.wait_value(held.channel, "meeting.attendance_count", lambda v: v.get("present") == 50)
    assert sorted(present(held)) == sorted(p.member for p in people)


def check(town, held, person, expected, payload):
    phone = town.phone(person)
    accepted = phone.emit("checkin.recorded", payload)
    outcome = phone.outcome(accepted)
    assert (outcome["status"], outcome.get("code")) == expected, outcome


REFUSED = {
    "not on the roster": ("stranger", "not_on_roster", {}),
    "a code of the far past": ("m1", "code_expired", {"slots": -5}),
    "a code of the future": ("m1", "code_early", {"slots": 5}),
    "a code of another meeting": ("m1", "code_wrong", {"meeting_id": "another"}),
    "a code of another branch": ("m1", "code_wrong", {"org_path": "g1/c1/b2"}),
    "a code of another tenant": ("m1", "code_wrong", {"tenant": "elsewhere"}),
    "a code by a guessed key": ("m1", "code_wrong", {"key": b"x" * 32}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_check_in_is_refused_with_its_reason(town, desk, why):
    member, code, changes = REFUSED[why]
    held = Meeting(town, desk, town.members(3))
    changes = dict(changes)
    slots = changes.pop("slots", 0)
    payload = held.checkin(held.code(slots, **changes))
    check(town, held, town.person(member), ("REFUSED", code), payload)
    assert not town.find("checkins") and not present(held)
    check(town, held, town.person("m1"), ("APPLIED", None), held.checkin())


def test_a_flipped_bit_of_the_code_is_wrong(town, desk):
    held = Meeting(town, desk, town.members(1))
    code = held.code()
    for at in (8, 20, 30):
        flipped = code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :]
        check(town, held, town.person("m1"), ("REFUSED", "code_wrong"), held.checkin(flipped))


def test_the_second_check_in_is_refused_and_the_first_stands(town, desk, encoding):
    held = Meeting(town, desk, town.members(1))
    phone = town.phone(town.person("m1"), encoding=encoding)
    first = phone.done("checkin.recorded", held.checkin())
    assert phone.refused("checkin.recorded", held.checkin()) == "already_checked_in"
    assert phone.refused("checkin.recorded", held.checkin(method="OFFLINE")) == "already_checked_in"
    assert [c["evt_seq"] for c in town.find("checkins")] == [first["sequence"]]


def test_before_opening_and_after_closing(town, desk):
    held = Meeting(town, desk, town.members(2), opened=False)
    phone = town.phone(town.person("m1"))
    code = held.code()
    assert phone.refused("checkin.recorded", held.checkin(code)) == "meeting_not_open"
    held.open()
    phone.done("checkin.recorded", held.checkin(code))
    held.finish()
    late = town.phone(town.person("m2"))
    assert late.refused("checkin.recorded", held.checkin(code)) == "meeting_closed"
    assert held.get()["present"] == 1


def test_the_grace_of_a_slot(town, desk):
    """The slot before is taken within the grace behind its end, and refused later."""
    held = Meeting(town, desk, town.members(2), period_s=20)
    key = held.key()
    slot = code_slot(20)
    phones = [town.phone(person) for person in town.members(2)]
    while time.time() < (slot + 1) * 20 + 0.3:
        phones[0].expect({"ping": {}}, "pong")
        phones[1].read_for(0.1)
    phones[0].done("checkin.recorded", held.checkin(held.code(key=key, slot=slot)))
    while time.time() < (slot + 1) * 20 + 2.5:
        phones[1].read_for(0.1)
    payload = held.checkin(held.code(key=key, slot=slot))
    assert phones[1].refused("checkin.recorded", payload) == "code_expired"


def test_a_moved_clock_decides_nothing(town, desk):
    """occurredAt is evidence: neither does a phone's clock spoil a good code nor rescue an old one."""
    held = Meeting(town, desk, town.members(2))
    town.phone(town.person("m1")).done("checkin.recorded", held.checkin(),
                                       occurredAt="2001-01-01T00:00:00Z")  # fmt: skip
    old = held.code(-5)
    then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 150))
    assert town.phone(town.person("m2")).refused(
        "checkin.recorded", held.checkin(old), occurredAt=then) == "code_expired"  # fmt: skip


def test_an_offline_check_in_is_judged_by_the_slot_in_the_code(town, desk):
    held = Meeting(town, desk, town.members(4))
    code = held.code()
    held.finish()
    phone = town.phone(town.person("m1"))
    assert phone.refused("checkin.recorded", held.checkin(code)) == "meeting_closed"
    phone.done("checkin.recorded", held.checkin(code, "OFFLINE"))
    assert present(held) == ["m1"] and held.attendance()["present"][0]["method"] == "OFFLINE"


@pytest.mark.parametrize("slots, code", [(-10, "meeting_not_open"), (10, "code_early"), (-3000, "code_expired")])
def test_an_offline_code_from_outside_the_meeting(town, desk, slots, code):
    held = Meeting(town, desk, town.members(1))
    phone = town.phone(town.person("m1"))
    got = phone.refused("checkin.recorded", held.checkin(held.code(slots), "OFFLINE"))
    assert got == code


def test_meetings_that_do_not_exist_or_exist_already(town, desk):
    held = Meeting(town, desk, town.members(1))
    unknown = {"orgPath": town.branch, "meetingId": "none"}
    assert desk.refused("meeting.opened", unknown) == "not_found"
    assert desk.refused("meeting.closed", unknown) == "not_found"
    payload = {**unknown, "method": "CODE", "code": held.code()}
    assert town.phone(town.person("m1")).refused("checkin.recorded", payload) == "not_found"
    assert desk.refused("meeting.convened", held.announcement(town.members(2))) == "exists"
    assert desk.refused("meeting.opened", held.named) == "meeting_open_already"
    held.finish()
    assert desk.refused("meeting.closed", held.named) == "meeting_closed"
    assert desk.refused("meeting.opened", held.named) == "meeting_closed"


def test_the_code_key_is_for_those_who_show_it(town, desk):
    held = Meeting(town, desk, town.members(1))
    with pytest.raises(Refused) as refused:
        town.phone(town.person("m1")).query("meeting.code_key", held.named)
    assert refused.value.code == "forbidden"
    with pytest.raises(Refused) as refused:
        desk.query("meeting.code_key", {"orgPath": town.branch, "meetingId": new_id("m")})
    assert refused.value.code == "not_found"
    other = Meeting(town, desk, town.members(1))
    assert len(held.key()) == 32 and held.key() == held.key() != other.key()


def test_a_roster_of_five_thousand(town, desk):
    people = [town.person(f"m{n:04}") for n in range(5000)]
    held = Meeting(town, desk, people)
    town.phone(people[4999]).done("checkin.recorded", held.checkin())
    attendance = held.attendance()
    assert attendance["shouldAttend"] == 5000 and len(attendance["missing"]) == 4999
    assert desk.emit_error("meeting.convened", {
        **held.announcement(people + [town.person("x")]), "meetingId": new_id("m"),
    })["code"] == "too_many"  # fmt: skip
