"""yzctl demo: a month of made-up life, of which nothing is refused, and every query has something to show."""

import base64
import json

import authority
import pytest
from nacl.public import PrivateKey, SealedBox
from people import Person
from test_complaints import reply_key_of

TENANT = "showcase"
SETTINGS = {"public_tenants": TENANT}
DAYS = 15

GROUP = {"orgPath": "group"}
BRANCH = {"orgPath": "group/company1/branch1"}
MEETING = {**BRANCH, "meetingId": "meeting-0-1"}
ASSEMBLY = {"orgPath": "group/company2/branch4", "meetingId": "meeting-0-4"}
DISCUSSING = {"orgPath": "group/company1/branch3"}
THREAD = {**DISCUSSING, "threadId": "thread-10"}
NOTICE = {"noticeId": "notice-0"}
LESSON = {"lessonId": "lesson-0"}

WHO = {
    "admin": ("admin", "group", ("member", "admin@group")),
    "discipline": ("discipline", "group", ("member", "inspector@group")),
    "secretary": ("secretary", "group", ("member", "secretary@group")),
    "m003": ("m003", "group/company1/branch1", ("member",)),
}
NOBODY = None  # asks on the public paths


class Month:
    def __init__(self, stack):
        self.stack = stack
        self.told = json.loads(stack.ctl("demo", "--tenant", TENANT, "--days", str(DAYS), "--json", timeout=250))
        self.phones = {}

    def ask(self, who, type_, request):
        if who is NOBODY:
            status, _, answer = self.stack.http("POST", f"/v1/public/{TENANT}/query/{type_.replace('.', '/')}", request)
            assert status == 200, answer
            return answer
        if who not in self.phones:
            self.phones[who] = self.stack.phone(Person(TENANT, *WHO[who]))
        return self.phones[who].query(type_, request)


@pytest.fixture(scope="module")
def month(stack):
    return Month(stack)


def test_nothing_is_refused(month):
    assert month.told["refusals"] == [] and month.told["refused"] == 0
    assert month.told["emitted"] == month.told["applied"] > 3000
    assert len(month.told["complaints"]) == 5


def requests(month):
    """query: (who asks, request, the field of the reply that has something to show)"""
    case = {"complaintId": month.told["complaints"][0]["complaintId"]}
    thread = month.ask("secretary", "thread.page", THREAD)
    return {
        "auth.revocations": ("admin", {"orgPath": "group/company3/branch8", "memberId": "m150"}, "voids"),
        "complaint.mine": ("discipline", {}, "complaints"),
        "complaint.get": ("discipline", {**case, "purpose": "承办"}, "entries"),
        "complaint.accesses": ("discipline", case, "accesses"),
        "complaint.keys": (NOBODY, GROUP, "keys"),
        "complaint.read": (NOBODY, {"receipt": month.told["complaints"][0]["receipt"]}, "entries"),
        "event.outcome": ("admin", {"eventId": "demo-1-0"}, "outcome"),
        "event.outcome_of_nonce": (NOBODY, {"eventId": nonce(month)}, "outcome"),
        "lesson.feed": ("m003", {}, "lessons"),
        "lesson.get": ("m003", LESSON, "content"),
        "lesson.bundle": ("m003", LESSON, "media"),
        "meeting.attendance": ("secretary", MEETING, "present"),
        "meeting.code_key": ("secretary", MEETING, "key"),
        "meeting.gaps": ("admin", GROUP, "branches"),
        "meeting.get": ("m003", MEETING, "meeting"),
        "meeting.list": ("m003", BRANCH, "meetings"),
        "meeting.mine": ("m003", {}, "meetings"),
        "meeting.minutes": ("m003", MEETING, "text"),
        "meeting.statistics": ("secretary", {**BRANCH, "year": year(month)}, "kinds"),
        "meeting.votes": ("secretary", ASSEMBLY, "votes"),
        "member.get": ("admin", {"memberId": "m003", "purpose": "核对"}, "file"),
        "member.accesses": ("m003", {}, "accesses"),
        "member.changes": ("m003", {}, "changes"),
        "member.roster": ("secretary", BRANCH, "members"),
        "member.search": ("admin", GROUP, "members"),
        "notice.get": ("m003", NOTICE, "notice"),
        "notice.list": ("m003", {}, "notices"),
        "notice.pending": ("secretary", GROUP, "notices"),
        "notice.receipts": ("secretary", {**GROUP, **NOTICE}, "branches"),
        "notice.unread": ("m003", {}, "unread"),
        "notice.unread_members": ("secretary", {**BRANCH, **NOTICE}, "members"),
        "org.history": ("admin", BRANCH, "changes"),
        "org.tree": ("admin", {}, "orgs"),
        "study.branch": ("secretary", {**BRANCH, **LESSON, "version": 1}, "completed"),
        "study.hours": ("m003", {}, "entries"),
        "study.progress": ("m003", LESSON, "progress"),
        "thread.flags": ("secretary", DISCUSSING, "flags"),
        "thread.history": ("secretary", {**THREAD, "sequence": thread["posts"][0]["sequence"]}, "versions"),
        "thread.list": ("secretary", DISCUSSING, "threads"),
        "thread.page": ("secretary", THREAD, "posts"),
        "thread.unread": ("secretary", THREAD, "unread"),
    }  # fmt: skip


def nonce(month):
    """Event id of a complaint filed by nobody, found by asking: its document does not say it."""
    for number in reversed(range(month.told["emitted"])):
        status, _, answer = month.stack.http("POST", f"/v1/public/{TENANT}/query/event/outcome_of_nonce",
                                          {"eventId": f"demo-1-{number}"})  # fmt: skip
        if status == 200:
            return answer["outcome"]["eventId"]
    raise AssertionError("no event of nobody")


def year(month):
    return int(month.ask("m003", "meeting.get", MEETING)["meeting"]["startsAt"][:4])


def test_every_query_has_something_to_show(month):
    asked = requests(month)
    assert set(asked) == {name for name, kind in authority.TYPES if kind == "query"}
    answers = {type_: month.ask(who, type_, request) for type_, (who, request, _) in asked.items()}
    assert [type_ for type_, (_, _, field) in asked.items() if not answers[type_].get(field)] == []


def test_the_complaints_open_with_what_was_printed(month):
    handler = PrivateKey(base64.b64decode(month.told["handlerKey"]))
    for case in month.told["complaints"]:
        reporter = reply_key_of(TENANT, case["receipt"])
        seen = month.ask(NOBODY, "complaint.read", {"receipt": case["receipt"]})
        got = month.ask("discipline", "complaint.get", {"complaintId": case["complaintId"], "purpose": "承办"})
        assert seen["complaint"]["complaintId"] == case["complaintId"]
        texts = [[SealedBox(key).decrypt(base64.b64decode(entry["sealed"][0]["sealed"])).decode() for entry in side["entries"]]
                 for key, side in ((reporter, seen), (handler, got))]  # fmt: skip
        assert texts[0] == texts[1] and all(texts[0])


def test_a_tenant_that_lives_is_left_alone(month):
    assert "exists" in month.stack.ctl("demo", "--tenant", TENANT, "--json", code=1)
