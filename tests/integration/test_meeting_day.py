"""Meetings on their whole way: convened, reminded of, opened, checked in to by every method, voted in, closed; what follows
by itself, with workers killed in between."""

import collections
import datetime
import math
import threading

from meeting import Meeting, rfc3339
from people import new_id
from waiting import until

SETTINGS = {"workers": 2}
METHODS = ["CODE", "OFFLINE", "GEO", "ONLINE"]
LONG_AGO = datetime.datetime(2025, 3, 1, tzinfo=datetime.timezone.utc)


class Whole(Meeting):
    """Starts in an hour and two seconds: its reminder is due in two seconds. m5 does not vote."""

    def announcement(self, roster):
        return {**super().announcement(roster), "startsAt": rfc3339(3602), "endsAt": rfc3339(3602 + 5400), "methods": METHODS,
                "voters": [person.member for person in roster if person.member != "m5"]}  # fmt: skip

    def moved_forward(self):
        """It is held now: what lies before its window would not count."""
        window = {"startsAt": rfc3339(-1), "endsAt": rfc3339(5400)}
        self.desk.done("meeting.changed", {**self.named, **window, "revision": 1, "title": "支部党员大会", "reason": "提前"})

    def emit(self, person, type_, **fields):
        return self.town.phone(person).done(type_, {**self.named, **fields})

    def refused(self, person, type_, **fields):
        phone = self.town.phone(person)
        outcome = phone.outcome(phone.emit(type_, {**self.named, **fields}))
        return outcome.get("code"), outcome.get("field")

    def entries(self, limit):
        """Attendance as a whole, page by page."""
        found, after = [], ""
        while True:
            page = self.desk.query("meeting.attendance", {**self.named, "after": after, "limit": limit})
            found += page.get("entries", [])
            after = page.get("nextAfter", "")
            if not after:
                return {entry["member"]: entry for entry in found}


def hours(town, held):
    """member: minutes of this meeting, by the ledger: what was credited, less what was taken back."""
    sums = collections.Counter()
    for row in town.find("study_hours", source=f"{held.path}/{held.id}"):
        sums[row["member"]] += row["seconds"]
    return {member: seconds // 60 for member, seconds in sums.items() if seconds}


def killed(stack, number):
    """SIGKILL to a worker, and a new one in its place."""
    stack.workers[number].kill()
    stack.start_worker(stack.workers[number])


def convene(town, desk, people):
    inbox = town.phone(people[0], subscribe=["member.m1"])
    held = Whole(town, desk, people, opened=False)
    reminder = inbox.wait_push(type_="meeting.reminder")[0]["payload"]
    assert reminder["meetingId"] == held.id and reminder["title"] == "支部党员大会"
    return held


def check_in(held, people):
    """By every method; m4 stays away. Returns the code that it will have scanned without a network."""
    code = held.code()
    held.emit(people[0], "checkin.recorded", method="CODE", code=code)
    held.emit(people[1], "checkin.recorded", method="GEO", inFence=True)
    held.emit(people[2], "checkin.recorded", method="ONLINE", code=held.code())
    manual = {"method": "MANUAL", "member": "m5", "reason": "手机没电"}
    assert held.refused(people[0], "checkin.recorded", **manual, witness="m2") == ("forbidden", "method")
    assert held.refused(held.town.secretary, "checkin.recorded", **manual, witness="x") == ("not_on_roster", "witness")
    held.emit(held.town.secretary, "checkin.recorded", **manual, witness="m1")
    return code


def vote(stack, held, people, screen):
    """Three of four say yes; a worker dies between the first and the second."""
    held.emit(held.town.secretary, "meeting.vote_opened", voteId="v1", kind="ORDINARY_VOTE", motion="工作计划")
    held.emit(people[0], "meeting.vote_cast", voteId="v1", choice="VOTE_YES")
    killed(stack, 0)
    held.emit(people[1], "meeting.vote_cast", voteId="v1", choice="VOTE_YES")
    held.emit(people[2], "meeting.vote_cast", voteId="v1", choice="VOTE_YES")
    cast = {"voteId": "v1", "choice": "VOTE_NO"}
    assert held.refused(people[2], "meeting.vote_cast", **cast) == ("already_voted", "voteId")
    assert held.refused(people[3], "meeting.vote_cast", **cast) == ("not_present", "meetingId")
    assert held.refused(people[4], "meeting.vote_cast", **cast) == ("not_a_voter", "meetingId")
    assert held.refused(held.town.person("x"), "meeting.vote_cast", **cast) == ("not_on_roster", "meetingId")
    held.emit(held.town.secretary, "meeting.vote_closed", voteId="v1")
    decided = screen.wait_push(2, type_="meeting.vote")[1]["payload"]
    told = {name: decided[name] for name in ("result", "shouldAttend", "present", "yes", "ruleVersion")}
    assert told == {"result": "VOTE_PASSED", "shouldAttend": 4, "present": 3, "yes": 3, "ruleVersion": "2026-1"}
    assert held.desk.query("meeting.votes", held.named)["votes"] == [decided]


def minutes_of(town, held):
    """Whole minutes from its opening to its closing, a minute that has begun being one."""
    meeting = town.find("meetings", meeting_id=held.id)[0]
    return math.ceil((meeting["closed_at"] - meeting["opened_at"]).total_seconds() / 60)


def corrected_again(town, held, person, took):
    """Present after all, and then not: the member sees each step and its reason; the sum of its year follows."""
    phone = town.phone(person)
    for state, minutes in (("PRESENT", took), ("ABSENT", 0), ("PRESENT", took), ("ON_LEAVE", 0)):
        held.emit(town.secretary, "checkin.corrected", member=person.member, state=state, reason=f"r{state}")
        until(lambda minutes=minutes: phone.query("study.hours").get("minutes", 0) == minutes, what=f"{minutes} minutes")
    newest, before = phone.query("study.hours", {"limit": 2})["entries"]
    assert (newest["takenBackSeconds"], newest["reason"], newest.get("seconds", 0)) == (60 * took, "rON_LEAVE", 0)
    assert (before["seconds"], before["reason"], before["rulesVersion"]) == (60 * took, "rPRESENT", "2026-1")


def test_a_whole_meeting(stack, town):
    desk, people = town.phone(town.secretary), town.members(5)
    held = convene(town, desk, people)
    screen = town.phone(town.secretary, subscribe=[held.channel])
    held.emit(people[3], "checkin.leave_requested", leaveClass="TRIP_LEAVE", reason="出差")
    held.moved_forward()
    held.open()
    code = check_in(held, people)
    vote(stack, held, people, screen)
    held.finish()
    killed(stack, 1)
    until(lambda: len(hours(town, held)) == 4, 30, what="the hours of those present")
    took = minutes_of(town, held)
    assert took >= 1 and set(hours(town, held).values()) == {took}
    held.emit(people[3], "checkin.recorded", method="OFFLINE", code=code)
    held.emit(town.secretary, "checkin.corrected", member="m2", state="ON_LEAVE", reason="核对签到表")
    until(lambda: hours(town, held) == dict.fromkeys(("m1", "m3", "m4", "m5"), took), 30,
          what="the hours of the one who came late, and none of the one who was not there")  # fmt: skip
    assert sorted(row["seconds"] for row in town.find("study_hours", member="m2")) == [-60 * took, 60 * took]
    corrected_again(town, held, people[1], took)
    entries = held.entries(2)
    assert {m: (e["state"], e.get("method"), e.get("corrected", False)) for m, e in entries.items()} == {
        "m1": ("PRESENT", "CODE", False), "m2": ("ON_LEAVE", "GEO", True), "m3": ("PRESENT", "ONLINE", False),
        "m4": ("PRESENT", "OFFLINE", False), "m5": ("PRESENT", "MANUAL", False)}  # fmt: skip
    assert (entries["m4"]["leave"], entries["m4"]["leaveReason"]) == ("LEAVE_REQUESTED", "出差")
    year = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))).year
    ask = {"orgPath": held.path, "year": year}
    until(lambda: desk.query("meeting.statistics", ask).get("kinds") == [
        {"kind": "ASSEMBLY", "held": 1, "shouldAttend": 5, "present": 4, "onLeave": 1, "minutes": took}],
        what="the figures of the year")  # fmt: skip
    filed = held.emit(town.secretary, "meeting.minutes_filed", revision=1, text="会议记录。")
    assert filed and desk.query("meeting.minutes", held.named)["text"] == "会议记录。"


def test_a_meeting_is_changed_and_found(town):
    desk, people = town.phone(town.secretary), town.members(1)
    reader = town.phone(people[0], subscribe=["org.g1/c1/b1", "member.m1"])
    held = [Meeting(town, desk, people, opened=False) for _ in range(3)]
    window = {"title": "t", "startsAt": rfc3339(7200), "endsAt": rfc3339(9000)}
    desk.done("meeting.changed", {**held[0].named, **window, "revision": 1})
    assert desk.refused("meeting.changed", {**held[0].named, **window, "revision": 1}) == "stale_revision"
    assert reader.wait_push(type_="meeting.updated")[0]["payload"]["revision"] == 1
    desk.done("meeting.cancelled", {**held[1].named, "reason": "改期"})
    assert desk.refused("meeting.opened", held[1].named) == "meeting_cancelled"
    found, before = [], ""
    for _ in range(3):
        page = reader.query("meeting.list", {"orgPath": town.branch, "limit": 1, "before": before})
        found += [(m["meeting"]["meetingId"], m["state"]) for m in page["meetings"]]
        before = page.get("nextBefore", "")
    assert not before and found[0] == (held[0].id, "CONVENED") and dict(found)[held[1].id] == "CANCELLED"
    mine = [m["meeting"]["meetingId"] for m in reader.query("meeting.mine").get("meetings", [])]
    assert mine == [held[2].id, held[0].id]
    assert not town.phone(town.person("x")).query("meeting.mine").get("meetings")


def branch_document(town, path, members):
    """What the domain member keeps of a branch."""
    return {"_id": f"{town.name}|{path}", "tenant": town.name, "org_path": path, "next_place": len(members),
            "members": [{"m": m, "p": n, "k": kind, "r": "", "j": LONG_AGO} for n, (m, kind) in enumerate(members)]}  # fmt: skip


def test_the_roster_of_a_branch_stays_when_the_branch_changes(stack, town):
    desk = town.phone(town.secretary)
    document = branch_document(town, town.branch, [("m1", "FULL"), ("m2", "PROBATIONARY"), ("m3", "APPLICANT")])
    stack.documents["branches"].insert_one(document)
    named = {"orgPath": town.branch, "meetingId": new_id("m")}
    desk.done("meeting.convened", {**named, "kind": "THEME_DAY", "title": "t", "startsAt": rfc3339(60),
                                   "endsAt": rfc3339(3660), "rosterOfBranch": True})  # fmt: skip
    left = {**document["members"][1], "l": datetime.datetime.now(datetime.timezone.utc)}
    new = {"m": "m4", "p": 3, "k": "FULL", "r": "", "j": LONG_AGO}
    stack.documents["branches"].update_one({"_id": document["_id"]},
                                           {"$set": {"members": [document["members"][0], left, new]}})  # fmt: skip
    entries = desk.query("meeting.attendance", {**named, "limit": 10})["entries"]
    assert [(e["member"], e.get("voter", False)) for e in entries] == [("m1", True), ("m2", False)]


def test_an_open_meeting_that_goes_on_is_not_over(town):
    desk, reader = town.phone(town.secretary), town.phone(town.person("m1"))
    past = {"startsAt": rfc3339(-7200), "endsAt": rfc3339(-3600)}

    def mine():
        return [m["meeting"]["meetingId"] for m in reader.query("meeting.mine").get("meetings", [])]

    late, never = ({"orgPath": town.branch, "meetingId": new_id("m")} for _ in range(2))
    for named in (late, never):
        desk.done("meeting.convened", {**named, "kind": "GROUP", "title": "t", "roster": ["m1"], **past})
    desk.done("meeting.opened", late)
    assert mine() == [late["meetingId"]]
    desk.done("meeting.closed", late)
    assert mine() == []


def test_what_is_overdue_in_the_branches_of_a_company(stack, town):
    head = town.phone(town.person("h", "g1/c1", ("member", "secretary@g1/c1")))
    paths = ["g1/c1/b1", "g1/c1/b2", "g1/c10/b1"]
    stack.documents["branches"].insert_many([branch_document(town, path, [("m1", "FULL")]) for path in paths])
    # What stays of an org that was moved away or dissolved is no branch any more.
    ghost = branch_document(town, "g1/c1/b0", [("m1", "FULL"), ("m2", "FULL")])
    for entry in ghost["members"]:
        entry["l"] = LONG_AGO
    stack.documents["branches"].insert_many([ghost, branch_document(town, "g1/c1/b3", [])])
    held = Meeting(town, town.phone(town.secretary), town.members(1))
    held.finish()

    def gaps():
        found, after = {}, ""
        while True:
            page = head.query("meeting.gaps", {"orgPath": "g1/c1", "after": after, "limit": 1})
            assert page["ruleVersion"] == "2026-1"
            found.update({b["orgPath"]: {g["kind"]: g for g in b.get("gaps", [])} for b in page.get("branches", [])})
            after = page.get("nextAfter", "")
            if not after:
                return found

    until(lambda: "ASSEMBLY" not in gaps()["g1/c1/b1"], what="the assembly counts")
    found = gaps()
    assert list(found) == ["g1/c1", "g1/c1/b1", "g1/c1/b2"]
    assert found["g1/c1/b2"]["GROUP"] == {"kind": "GROUP", "overdueSince": "2026-01-31T16:00:00Z", "everyMonths": 1}
    assert set(found["g1/c1/b2"]) - set(found["g1/c1/b1"]) == {"ASSEMBLY"}


def at_once(phones, type_, payload):
    """Outcomes of the same from several phones at the same time: codes, sorted; "" is applied."""
    codes = []

    def send(phone):
        codes.append(phone.outcome(phone.emit(type_, payload)).get("code", ""))

    threads = [threading.Thread(target=send, args=(phone,)) for phone in phones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(codes)


def test_two_phones_of_a_member_check_in_and_vote_once(town):
    desk, people = town.phone(town.secretary), town.members(2)
    held = Meeting(town, desk, people)
    phones = [town.phone(people[0]) for _ in range(4)]
    again = ["already_checked_in"] * 3
    assert at_once(phones, "checkin.recorded", held.checkin()) == ["", *again]
    assert len(town.find("checkins")) == 1 and held.get()["present"] == 1
    desk.done("meeting.vote_opened", {**held.named, "voteId": "v1", "kind": "ORDINARY_VOTE", "motion": "m"})
    ballot = {**held.named, "voteId": "v1", "choice": "VOTE_YES"}
    assert at_once(phones, "meeting.vote_cast", ballot) == ["", *["already_voted"] * 3]
    desk.done("meeting.vote_closed", {**held.named, "voteId": "v1"})
    assert desk.query("meeting.votes", held.named)["votes"][0]["yes"] == 1


def test_no_message_takes_coordinates(town):
    held = Meeting(town, town.phone(town.secretary), town.members(1))
    phone = town.phone(town.person("m1"))
    for name in ("latitude", "longitude", "location"):
        error = phone.emit_error("checkin.recorded", {**held.named, "method": "GEO", "inFence": True, name: 39.9})
        assert (error["code"], error["field"]) == ("unknown_field", f"payload.{name}")
    assert not town.find("checkins")
