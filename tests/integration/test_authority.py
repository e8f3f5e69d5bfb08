"""Who may do what: every event, query and channel × role × place over a real gateway, as AUTHORITY.md says, by WebSocket
and by HTTP."""

import base64
import urllib.parse

import pytest
from authority import HOME, PLACES, ROLES, TYPES, may, roles_of
from meeting import Meeting, rfc3339
from people import new_id, new_receipt


def meeting(path):
    return {"orgPath": path, "meetingId": new_id("m")}


def post(path):
    return {"orgPath": path, "threadId": "t1", "sequence": "7"}


KEY = base64.b64encode(bytes([9]) * 32).decode()
SEALED = {"keyId": "k1", "sealed": base64.b64encode(bytes([7]) * 60).decode()}


def filed(path):
    return {"receipt": new_receipt(), "orgPath": path, "category": "CONDUCT", "content": [SEALED], "replyKey": KEY}


# A payload of each type that keeps its contract: a new type must come with one.
PAYLOADS = {
    "auth.revoked": lambda path: {"orgPath": path, "memberId": "nobody"},
    "auth.restored": lambda path: {"orgPath": path, "memberId": "nobody"},
    "auth.revocations": lambda path: {"orgPath": path, "memberId": "nobody"},
    "member.registered": lambda path: {"orgPath": path, "memberId": new_id("m"), "file": {"name": "n", "kind": "FULL"},
                                       "basis": "b"},
    "member.changed": lambda path: {"orgPath": path, "memberId": "nobody", "revision": "2", "fields": ["FIELD_NAME"],
                                    "file": {"name": "n"}, "basis": "b"},
    "member.archived": lambda path: {"orgPath": path, "memberId": "nobody", "revision": "2", "reason": "r", "basis": "b"},
    "member.key_deleted": lambda path: {"orgPath": path, "memberId": "nobody", "revision": "2", "basis": "b"},
    "member.placed": lambda path: {"orgPath": path, "memberId": "nobody"},
    "member.term_passed": lambda path: {"orgPath": path, "memberId": "nobody", "at": rfc3339(0)},
    "member.role_held": lambda path: {"orgPath": path, "memberId": "nobody"},
    "member.branch_moved": lambda path: {"orgPath": path, "to": "g9"},
    "member.followed": lambda path: {"orgPath": path, "memberId": "nobody", "to": "g9"},
    "member.search": lambda path: {"orgPath": path},
    "member.get": lambda path: {},
    "member.changes": lambda path: {},
    "member.accesses": lambda path: {},
    "member.roster": lambda path: {"orgPath": path},
    "org.founded": lambda path: {"orgPath": path, "name": "n", "kind": "BRANCH", "basis": "b"},
    "org.renamed": lambda path: {"orgPath": path, "name": "n", "basis": "b"},
    "org.moved": lambda path: {"orgPath": path, "to": "g9/x", "basis": "b"},
    "org.dissolved": lambda path: {"orgPath": path, "basis": "b"},
    "org.followed": lambda path: {"orgPath": path, "to": "g9"},
    "org.tree": lambda path: {"parent": path},
    "org.history": lambda path: {"orgPath": path},
    "event.outcome": lambda path: {"eventId": "e1"},
    "notice.published": lambda path: {"noticeId": new_id("n"), "orgPath": path, "noticeClass": "INFO", "title": "t"},
    "notice.approved": lambda path: {"orgPath": path, "noticeId": "n1"},
    "notice.recalled": lambda path: {"noticeId": "n1"},
    "notice.release_due": lambda path: {"orgPath": path, "noticeId": "n1"},
    "notice.received": lambda path: {"noticeIds": ["n1"]},
    "notice.read": lambda path: {"noticeId": "n1"},
    "notice.confirmed": lambda path: {"noticeId": "n1"},
    "notice.reminded": lambda path: {"orgPath": path, "noticeId": "n1"},
    "notice.remind_due": lambda path: {"orgPath": path, "noticeId": "n1"},
    "notice.list": lambda path: {},
    "notice.unread": lambda path: {},
    "notice.get": lambda path: {"noticeId": "n1"},
    "notice.pending": lambda path: {"orgPath": path},
    "notice.receipts": lambda path: {"orgPath": path, "noticeId": "n1"},
    "notice.unread_members": lambda path: {"orgPath": path, "noticeId": "n1"},
    "meeting.convened": lambda path: {**meeting(path), "kind": "GROUP", "title": "t", "startsAt": rfc3339(60),
                                      "endsAt": rfc3339(120), "roster": ["m1"]},  # fmt: skip
    "meeting.opened": meeting,
    "meeting.closed": meeting,
    "checkin.recorded": lambda path: {**meeting(path), "method": "CODE", "code": "A" * 38},
    "meeting.changed": lambda path: {**meeting(path), "revision": 1, "title": "t", "startsAt": rfc3339(60),
                                     "endsAt": rfc3339(120)},
    "meeting.cancelled": lambda path: {**meeting(path), "reason": "r"},
    "meeting.vote_opened": lambda path: {**meeting(path), "voteId": "v1", "kind": "ORDINARY_VOTE", "motion": "m"},
    "meeting.vote_cast": lambda path: {**meeting(path), "voteId": "v1", "choice": "VOTE_YES"},
    "meeting.vote_closed": lambda path: {**meeting(path), "voteId": "v1"},
    "meeting.minutes_filed": lambda path: {**meeting(path), "revision": 1, "text": "t"},
    "meeting.reminder_due": meeting,
    "meeting.credits_due": meeting,
    "meeting.held": lambda path: {**meeting(path), "kind": "GROUP"},
    "checkin.leave_requested": lambda path: {**meeting(path), "leaveClass": "SICK_LEAVE"},
    "checkin.leave_decided": lambda path: {**meeting(path), "member": "m1", "granted": True},
    "checkin.corrected": lambda path: {**meeting(path), "member": "m1", "state": "ABSENT", "reason": "r"},
    "meeting.list": lambda path: {"orgPath": path},
    "meeting.mine": lambda path: {},
    "meeting.gaps": lambda path: {"orgPath": path},
    "meeting.statistics": lambda path: {"orgPath": path, "year": 2026},
    "meeting.votes": meeting,
    "meeting.minutes": meeting,
    "meeting.get": meeting,
    "meeting.code_key": meeting,
    "meeting.attendance": meeting,
    "thread.posted": lambda path: {"orgPath": path, "threadId": new_id("t"), "messageId": "x1", "text": "t"},
    "thread.edited": lambda path: {**post(path), "text": "t"},
    "thread.hidden": lambda path: {**post(path), "reason": "r"},
    "thread.reacted": lambda path: {**post(path), "kind": "LIKE"},
    "thread.flagged": lambda path: {**post(path), "reason": "r"},
    "thread.read_up_to": lambda path: post(path),
    "thread.page": lambda path: {"orgPath": path, "threadId": "t1"},
    "thread.unread": lambda path: {"orgPath": path, "threadId": "t1"},
    "thread.list": lambda path: {"orgPath": path},
    "thread.flags": lambda path: {"orgPath": path},
    "thread.history": lambda path: post(path),
    "lesson.scheduled": lambda path: {"orgPath": path, "lessonId": new_id("l"), "version": 1, "kind": "MICRO_TIP", "title": "t",
                                      "content": {"blocks": [{"text": "t"}], "readingMs": 1000}},  # fmt: skip
    "lesson.released": lambda path: {"orgPath": path, "lessonId": "l1", "version": 1},
    "lesson.withdrawn": lambda path: {"orgPath": path, "lessonId": "l1", "version": 1},
    "lesson.feed": lambda path: {},
    "lesson.get": lambda path: {"lessonId": "l1"},
    "lesson.bundle": lambda path: {"lessonId": "l1"},
    "study.started": lambda path: {"sessionId": new_id("s"), "lessonId": "l1", "version": 1, "device": "d1"},
    "study.progressed": lambda path: {"sessionId": "s1", "seq": 1, "lessonId": "l1", "version": 1, "last": True},
    "study.quiz_answered": lambda path: {"sessionId": "s1", "seq": 1, "lessonId": "l1", "version": 1,
                                         "answers": [{"choices": [0]}]},  # fmt: skip
    "study.completed": lambda path: {"member": "m1", "lessonId": "l1", "version": 1, "orgPath": path, "durationMs": 1,
                                     "completedAt": rfc3339()},  # fmt: skip
    "study.progress": lambda path: {"lessonId": "l1"},
    "study.hours": lambda path: {},
    "study.branch": lambda path: {"orgPath": path, "lessonId": "l1", "version": 1},
    "study.credited": lambda path: {"member": "m1", "sourceKind": "ATTENDED_MEETING", "source": "s1", "minutes": 1,
                                    "orgPath": path, "endedAt": rfc3339()},  # fmt: skip
    "event.outcome_of_nonce": lambda path: {"eventId": new_id("e")},
    "complaint.handler_registered": lambda path: {
        "orgPath": path, "memberId": "h1", "homePath": path, "keyId": new_id("k"), "publicKey": KEY,
        "from": rfc3339(), "until": rfc3339(3600)},  # fmt: skip
    "complaint.filed": filed,
    "complaint.filed_named": filed,
    "complaint.message_added": lambda path: {"receipt": new_receipt(), "content": [SEALED]},
    "complaint.rated": lambda path: {"receipt": new_receipt(), "rating": 5},
    "complaint.acknowledged": lambda path: {"complaintId": "c1"},
    "complaint.replied": lambda path: {"complaintId": "c1", "sealed": SEALED["sealed"]},
    "complaint.extension_requested": lambda path: {"complaintId": "c1", "days": 1},
    "complaint.extended": lambda path: {"complaintId": "c1", "days": 1},
    "complaint.resolved": lambda path: {"complaintId": "c1", "result": "UPHELD", "sealed": SEALED["sealed"]},
    "complaint.clock_rung": lambda path: {"complaintId": "c1", "clock": "RESOLVE", "dueAt": rfc3339()},
    "complaint.keys": lambda path: {"orgPath": path},
    "complaint.read": lambda path: {"receipt": new_receipt()},
    "complaint.mine": lambda path: {},
    "complaint.get": lambda path: {"complaintId": "c1"},
    "complaint.accesses": lambda path: {"complaintId": "c1"},
}
BY_HTTP = ("own", "alike")  # it is the same judge, asked by another door
ASKED_BY_POST = {"member.search", "complaint.read", "event.outcome_of_nonce"}  # the request tells of a person
CHANNELS = {"org": "org.{}", "meeting": "meeting.{}.m1", "thread": "thread.{}.t1"}


@pytest.fixture(scope="module")
def people(stack):
    """One for each row of roles, all of the same home branch."""
    from stack import Town

    town = Town(stack, "authority")
    return {roles: town.person(f"m{n}", HOME, roles_of(roles)) for n, roles in enumerate(ROLES)}


@pytest.fixture(scope="module")
def sessions(stack, people):
    return {roles: stack.phone(person) for roles, person in people.items()}


def allowed(phone, body):
    """The gateway let it pass, whatever else comes of it; nothing but authority may stop it."""
    name, value = phone.request(body)
    assert name != "error" or value["code"] in ("forbidden", "not_found"), f"{body}: {value}"
    return name != "error" or value["code"] != "forbidden"


def allowed_by_http(stack, person, method, path, body=None):
    status, _, problem = stack.http(method, path, body, token=stack.keys.token(person))
    assert status in (200, 202, 403, 404), f"{path} {body}: {status} {problem}"
    return status != 403 or problem["code"] != "forbidden"


def places_of(name, places):
    """Of these; but one where a receipt is hashed for each message, slowly, and no place is looked at."""
    chosen = [(place, PLACES[place]) for place in places]
    return chosen[:1] if name in PAYLOADS and "receipt" in PAYLOADS[name]("g1") else chosen


def walk(names, kind, ask, places=tuple(PLACES)):
    """ask(name, org path) -> bool for each type and place; what differs from the matrix."""
    return [f"{name} at {place}" for name in names for place, path in places_of(name, places)
            if ask(name, path) != may(name, kind, ask.roles, place)]  # fmt: skip


def names_of(kind):
    return [name for name, its in TYPES if its == kind]


def test_the_matrix_and_the_payloads_name_the_same_types():
    assert set(PAYLOADS) == {name for name, kind in TYPES if kind != "channel"}


@pytest.mark.parametrize("roles", ROLES)
def test_events(sessions, roles):
    def ask(name, path):
        emit = {"eventId": new_id("e"), "type": name, "payload": PAYLOADS[name](path)}
        return allowed(sessions[roles], {"emit": emit})

    ask.roles = roles
    assert walk(names_of("event"), "event", ask) == []


@pytest.mark.parametrize("roles", ROLES)
def test_queries(sessions, roles):
    def ask(name, path):
        return allowed(sessions[roles], {"query": {"type": name, "payload": PAYLOADS[name](path)}})

    ask.roles = roles
    assert walk(names_of("query"), "query", ask) == []


@pytest.mark.parametrize("roles", ROLES)
def test_channels(sessions, roles):
    phone = sessions[roles]

    def ask(name, path):
        channel = CHANNELS[name].format(path)
        if not allowed(phone, {"subscribe": {"channel": channel}}):
            return False
        phone.unsubscribe(channel)
        return True

    ask.roles = roles
    assert walk(CHANNELS, "channel", ask) == []


@pytest.mark.parametrize("roles", ROLES)
def test_nobody_reads_anothers_inbox(sessions, roles):
    own = sessions[roles].welcome["member"]
    for member in [f"m{n}" for n in range(len(ROLES))] + ["m", "m11", "stranger"]:
        held = allowed(sessions[roles], {"subscribe": {"channel": f"member.{member}"}})
        assert held == (member == own and roles != "public"), f"{roles} subscribes to the inbox of {member}"
        if held:  # whoever does not read on must not be sent what comes of the tests below
            sessions[roles].unsubscribe(f"member.{member}")


def test_equal_names_in_another_tenant_are_other_things(stack, town):
    from stack import Town

    other = Town(stack)
    m1, twin = town.person("m1"), other.person("m1")
    reader = stack.phone(twin, subscribe=["org.g1/c1/b1", "member.m1"])
    held = Meeting(town, town.phone(town.secretary), [m1])
    town.phone(m1).done("checkin.recorded", held.checkin())
    error = reader.error_of({"query": {"type": "meeting.get", "payload": held.named}})
    assert error["code"] == "not_found"
    own = Meeting(other, stack.phone(other.secretary), [twin])
    reader.wait_push(type_="meeting.announced")
    assert [p["payload"]["meetingId"] for p in reader.of(type_="meeting.announced")] == [own.id]
    assert not reader.of("member.m1")


def test_a_client_cannot_name_itself(town):
    """What a frame says of actor, tenant or path is an unknown field, not an identity."""
    with town.phone(town.person("m1")) as phone:
        for field in ("actor", "tenant", "orgPath", "roles"):
            body = {"eventId": "e1", "type": "notice.read", "payload": {"noticeId": "n"}, field: "sec"}
            assert phone.error_of({"emit": body})["code"] == "unknown_field"


@pytest.mark.parametrize("roles", ROLES)
def test_events_by_http(stack, people, roles):
    def ask(name, path):
        event = {"eventId": new_id("e"), "type": name, "payload": PAYLOADS[name](path)}
        return allowed_by_http(stack, people[roles], "POST", "/v1/events", event)

    ask.roles = roles
    assert walk(names_of("event"), "event", ask, BY_HTTP) == []


@pytest.mark.parametrize("roles", ROLES)
def test_queries_by_http(stack, people, roles):
    def ask(name, path):
        payload, where = PAYLOADS[name](path), f"/v1/query/{name.replace('.', '/')}"
        if name in ASKED_BY_POST:
            return allowed_by_http(stack, people[roles], "POST", where, payload)
        return allowed_by_http(stack, people[roles], "GET", f"{where}?{urllib.parse.urlencode(payload)}")

    ask.roles = roles
    assert walk(names_of("query"), "query", ask, BY_HTTP) == []
