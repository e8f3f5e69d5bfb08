"""Who may do what: role × place × event, query and channel, decided from the token alone."""

import pytest

from meeting import Meeting, rfc3339
from people import new_id

HOME = "g1/c1/b1"
PLACES = {"own": HOME, "parent": "g1/c1", "top": "g1", "sibling": "g1/c1/b2", "below": "g1/c1/b1/x1",
          "cousin": "g1/c2/b9", "looks alike": "g1/c1/b10", "foreign": "g2/c1/b1"}  # fmt: skip
ROLES = {
    "member": ("member",),
    "secretary": ("member", f"secretary@{HOME}"),
    "secretary of c1": ("member", "secretary@g1/c1"),
    "inspector of c1": ("member", "inspector@g1/c1"),
    "admin of g1": ("member", "admin@g1"),
    "public": ("public",),
}
# where each role's scope reaches
SCOPES = {"secretary": HOME, "secretary of c1": "g1/c1", "inspector of c1": "g1/c1", "admin of g1": "g1"}


def covers(outer, path):
    return outer is not None and (path == outer or path.startswith(outer + "/"))


def belongs(path):
    return covers(path, HOME)


def may_publish(role, path):
    return role.startswith(("secretary", "admin")) and covers(SCOPES.get(role), path)


def may_oversee(role, path):
    return covers(SCOPES.get(role), path)


def may_see(role, path):
    return (belongs(path) and role != "public") or may_oversee(role, path)


@pytest.fixture(scope="module")
def sessions(stack):
    """One session for each role, all of the same home branch."""
    from stack import Town

    town = Town(stack, "authority")
    return {role: stack.phone(town.person(f"m{n}", HOME, roles))
            for n, (role, roles) in enumerate(ROLES.items())}  # fmt: skip


def allowed(phone, body):
    """The gateway let it pass; whatever else comes of it."""
    name, value = phone.request(body)
    return not (name == "error" and value["code"] == "forbidden")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", ROLES)
def test_events(sessions, role, place):
    path, phone = PLACES[place], sessions[role]
    notice = {"noticeId": new_id("n"), "orgPath": path, "noticeClass": "INFO", "title": "t"}
    convened = {"orgPath": path, "meetingId": new_id("m"), "kind": "GROUP", "title": "t",
                "startsAt": rfc3339(60), "endsAt": rfc3339(120), "roster": ["m1"]}  # fmt: skip
    post = {"orgPath": path, "threadId": new_id("t"), "messageId": "x1", "text": "t"}
    expected = {
        "notice.published": (notice, may_publish(role, path)),
        "meeting.convened": (convened, may_publish(role, path)),
        "meeting.opened": ({"orgPath": path, "meetingId": "m"}, may_publish(role, path)),
        "meeting.closed": ({"orgPath": path, "meetingId": "m"}, may_publish(role, path)),
        "thread.posted": (post, may_see(role, path)),
    }
    for type_, (payload, may) in expected.items():
        emit = {"emit": {"eventId": new_id("e"), "type": type_, "payload": payload}}
        assert allowed(phone, emit) == may, f"{role} sends {type_} to {path}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", ROLES)
def test_channels(sessions, role, place):
    path, phone = PLACES[place], sessions[role]
    for channel in (f"org.{path}", f"meeting.{path}.m1", f"thread.{path}.t1"):
        may = allowed(phone, {"subscribe": {"channel": channel}})
        assert may == may_see(role, path), f"{role} subscribes to {channel}"
        if may:
            phone.unsubscribe(channel)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", ROLES)
def test_queries(sessions, role, place):
    path, phone = PLACES[place], sessions[role]
    meeting = {"orgPath": path, "meetingId": "m1"}
    expected = {
        "meeting.get": (meeting, may_see(role, path)),
        "meeting.attendance": (meeting, may_oversee(role, path)),
        "meeting.code_key": (meeting, may_publish(role, path)),
        "thread.page": ({"orgPath": path, "threadId": "t1"}, may_see(role, path)),
        "notice.receipts": ({"orgPath": path, "noticeId": "n1"}, may_oversee(role, path)),
    }
    for type_, (request, may) in expected.items():
        asked = allowed(phone, {"query": {"type": type_, "payload": request}})
        assert asked == may, f"{role} asks {type_} of {path}"


@pytest.mark.parametrize("role", ROLES)
def test_nobody_reads_anothers_inbox(sessions, role):
    own = sessions[role].welcome["member"]
    for member in [f"m{n}" for n in range(len(ROLES))] + ["m", "m11", "stranger"]:
        may = allowed(sessions[role], {"subscribe": {"channel": f"member.{member}"}})
        assert may == (member == own and role != "public"), f"{role} subscribes to the inbox of {member}"


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
