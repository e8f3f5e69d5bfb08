"""Scenarios about workers: a crash between two steps of a batch, a change of owner, two of them at once, ids used twice."""

import wire
from meeting import rfc3339
from people import new_id
from waiting import until

from .run import BRANCH, ORG, THREAD, scenario


def _crash(run, point, nth=2):
    """Check-ins and posts one by one; the worker dies at the nth pass of a point, and its successor goes on."""
    desk = run.phone(run.secretary(), ["member.sec", ORG])
    members = [run.person(f"m{n}") for n in range(4)]
    run.convene(desk, "k1", [person.member for person in members])
    phones = [run.phone(p, [f"member.{p.member}", THREAD, f"meeting.{BRANCH}.k1"], gateway=n % 2)
              for n, p in enumerate(members)]  # fmt: skip
    worker = run.stack.workers[0]
    worker.terminate()
    run.stack.start_worker(worker, fault=f"{point}:{nth}")
    run.fault("crash", worker.name, point=point)
    for number, phone in enumerate(phones):
        phone.emit(*run.checkin("t1", "k1", phone.person.member))
        phone.emit(*run.post(phone, number))
        phone.emit("thread.posted", run.post(phone, number)[1], new_id("again"))  # the same message id: refused
    until(lambda: not worker.running, 15, what=f"the worker dies at {point}")
    worker.kill()
    run.stack.start_worker(worker, ready=False)
    run.fault("crash", worker.name, "end")


@scenario()
def crash_after_outcomes(run):
    _crash(run, "after_outcomes")


@scenario()
def crash_after_documents(run):
    _crash(run, "after_documents")


@scenario()
def crash_after_pushes(run):
    _crash(run, "after_pushes")


@scenario(ack_wait_ms=12000, database_timeout_ms=5000)
def takeover(run):
    """A worker dies with events in its hands that it could not settle: they come first for whoever is next."""
    phone = run.phone(run.person("m1"), [THREAD])
    phone.done(*run.post(phone, 0))
    worker, database = run.stack.workers[0], run.stack.database
    run.fault("freeze", "database")
    database.stop_still()
    try:
        for number in range(1, 9):
            phone.emit(*run.post(phone, number))
        until(lambda: run.held(8), 10, what="the worker holds the events")
        run.kill_worker()
    finally:
        database.go_on()
        run.fault("freeze", "database", "end")
    for number in range(9, 17):
        phone.emit(*run.post(phone, number))
    run.stack.start_worker(worker)


@scenario(workers=2, batch_max=4)
def busy_thread(run):
    """Many posts of one thread, as fast as they go, with two workers there: they appear in their order."""
    reader = run.phone(run.person("reader"), [THREAD])
    writers = [run.phone(run.person(f"m{n}"), gateway=n % 2) for n in range(3)]
    for number in range(120):
        for writer in writers:
            writer.post(*run.post(writer, f"{writer.person.member}-{number}", event_id=f"{writer.person.member}-{number}"))
    reader.wait_pushes(360, 40, channel=THREAD)


@scenario()
def used_ids(run):
    """One event id with two payloads, by two members, in two tenants; each time another event, or a conflict that is told."""
    one, other = run.phone(run.person("m1"), ["member.m1", THREAD]), run.phone(run.person("m2"), ["member.m2"])
    stranger = run.phone(run.person("m1", tenant="t2"), ["member.m1", THREAD], gateway=1)
    for number in range(3):
        event_id = f"same-{number}"
        first = run.post(one, f"a{number}", event_id=event_id)
        one.emit(*first)
        one.emit(*run.post(one, f"b{number}", event_id=event_id))  # at once, in the same batch
        for phone in (other, stranger):
            phone.emit(*run.post(phone, f"c{number}", event_id=event_id))
        one.emit(*first)
        one.outcome({"eventId": event_id, "sequence": 0})
        one.emit(*run.post(one, f"d{number}", event_id=event_id))  # when the first is settled


@scenario(duplicate_window_ms=1000)
def rivals(run):
    """Two events of one natural key, and copies that come after the broker has forgotten the first."""
    desk = run.phone(run.secretary(), ["member.sec", ORG])
    phone = run.phone(run.person("m1"), ["member.m1", THREAD, f"meeting.{BRANCH}.k1"])
    run.convene(desk, "k1", ["m1", "m2"])
    first = run.post(phone, 1)
    phone.done(*first)
    phone.done("thread.posted", {**first[1], "text": "another text"}, "rival-post")
    checkin = run.checkin("t1", "k1", "m1")
    phone.done(*checkin)
    phone.done("checkin.recorded", run.checkin("t1", "k1", "m1")[1], "rival-checkin")
    desk.done(*run.notice(1))
    desk.done("notice.published", run.notice(1, title="another title")[1], "rival-notice")
    run.broker_forgets()
    for copy in (first, checkin):
        again = phone.emit(*copy)
        assert not again["duplicate"], "the window is over"
        phone.outcome(again)


@scenario(workers=2, value_interval_ms=1500)
def late_value(run):
    """A worker freezes with a count that it has not sent yet; its successor counts on; then it wakes."""
    desk = run.phone(run.secretary(), ["member.sec", ORG])
    members = [f"m{n}" for n in range(6)]
    meetings = [f"k{n}" for n in range(8)]
    for meeting in meetings:
        run.convene(desk, meeting, members)
    screen = run.phone(run.person("screen"), [f"meeting.{BRANCH}.{meeting}" for meeting in meetings])
    phones = [run.phone(run.person(member)) for member in members]

    def all_check_in(those):
        for phone in those:
            for meeting in meetings:
                phone.emit(*run.checkin("t1", meeting, phone.person.member))

    all_check_in(phones[:2])
    until(lambda: len(run.stack.documents["checkins"].distinct("_id")) == 16, 10, what="they are counted")
    sleeper = run.stack.workers[0]
    run.fault("freeze", sleeper.name)
    sleeper.stop_still()
    all_check_in(phones[2:])
    until(lambda: all(screen.values.get((f"meeting.{BRANCH}.{m}", "attendance"), {}).get("present") == 6 for m in meetings),
          30, what="the successor has told all counts")  # fmt: skip
    sleeper.go_on()
    run.fault("freeze", sleeper.name, "end")
    run.rest(2 * 1.5)


@scenario()
def closing(run):
    """A meeting is closed: who was there has its minutes, nobody else has, and its figures stand in the year."""
    desk = run.phone(run.secretary(), ["member.sec", ORG])
    members = [f"m{n}" for n in range(4)]
    run.convene(desk, "k1", members, starts_at=rfc3339(-60), ends_at=rfc3339(3540))
    phones = [run.phone(run.person(member), [f"member.{member}"]) for member in members]
    for phone in phones[:2]:
        phone.done(*run.checkin("t1", "k1", phone.person.member))
    desk.done("meeting.closed", {"orgPath": BRANCH, "meetingId": "k1"}, "close-k1")
    for phone in phones[:2]:
        phone.wait_pushes(2, channel=f"member.{phone.person.member}")  # the check-in is confirmed, the hours are credited


@scenario()
def poison(run):
    """Garbage in EVENTS, in a member's name and without any."""
    phone = run.phone(run.person("m1"), ["member.m1", THREAD])
    phone.emit(*run.post(phone, 1))
    good = wire.pack("ThreadPosted", run.post(phone, 2)[1])
    run.poison("m1", b"\xff\xfe\xfd no protobuf", "unknown_field")
    run.poison("m1", good[:-1], "bad_frame")
    run.poison("m1", good, "unknown_type", **{"ce-type": "no.such"})
    run.poison(None, good, "missing_field")
    phone.emit(*run.post(phone, 3))
