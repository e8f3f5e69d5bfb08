"""Study: what was watched is merged here, one session of a member at a time, completed by the server alone."""

import concurrent.futures
import datetime
import threading

import pytest

from people import new_id
from rule_packs import wide_rules
from stack import Stack, Town
from test_lessons import lesson
from waiting import until

# A lesson of a minute may be said to be watched at once; progress that neither ends nor completes it is always early; and
# nothing becomes idle: so no test has to wait for a clock.
RULES = {"heartbeat_s": 3600, "session_idle_s": 3600, "grace_ms": 60000, "quiz_tries_per_day": 3, "quiz_pause_s": 0}
MINUTE = 60000


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    running = Stack(folder / "stack", rules_dir=wide_rules(folder / "rules", study=RULES)).start()
    yield running
    running.end()


def publish(town, lesson_id="l1", reading_ms=MINUTE, **content):
    """A lesson of a minute, released."""
    body = lesson(lesson_id)
    body["content"] = {**body["content"], "blocks": [{"text": "学"}], "readingMs": reading_ms, **content}
    town.phone(town.secretary).done("lesson.scheduled", body)
    until(lambda: town.find("lessons", lesson_id=lesson_id), what="it is released")


class Session:
    def __init__(self, phone, lesson_id="l1", device="d1", start=True):
        self.phone, self.id, self.seq = phone, new_id("s"), 0
        self.named = {"lessonId": lesson_id, "version": 1}
        self.start = {"sessionId": self.id, **self.named, "device": device}
        if start:
            phone.done("study.started", self.start)

    def watched(self, *intervals, last=True, **fields):
        self.seq += 1
        parts = [{"fromMs": start, "toMs": end} for start, end in intervals]
        return {"sessionId": self.id, "seq": self.seq, **self.named, "intervals": parts, "last": last, **fields}

    def answered(self, seq, choices):
        return {"sessionId": self.id, "seq": seq, **self.named, "answers": [{"choices": choices}]}

    def watch(self, *intervals, **fields):
        return self.phone.done("study.progressed", self.watched(*intervals, **fields))

    def refused(self, *intervals, **fields):
        accepted = self.phone.emit("study.progressed", self.watched(*intervals, **fields))
        outcome = self.phone.outcome(accepted)
        assert outcome["status"] == "REFUSED", outcome
        return outcome["code"], outcome["field"]


def covered(phone):
    return phone.query("study.progress", {"lessonId": "l1"})["progress"][0].get("coveredMs", 0)


def test_a_lesson_is_studied(town, encoding):
    publish(town)
    person = town.person("m1")
    phone = town.phone(person, encoding=encoding)
    other = town.phone(person, encoding=encoding, subscribe=["member.m1"])
    session = Session(phone)
    begun = other.wait_push(type_="study.session")[0]["payload"]
    assert begun["sessionId"] == session.id and begun["device"] == "d1" and begun["heartbeatS"] == 3605
    session.watch((20000, 30000), (0, 10000), (5000, 20000))
    other.wait_value("member.m1", "study.progress", lambda p: p.get("coveredMs") == 30000)
    got = phone.query("study.progress", {"lessonId": "l1"})
    assert got["progress"][0]["intervals"] == [{"toMs": 30000}] and "session" not in got
    assert not phone.query("study.hours").get("entries")
    Session(phone, device="d2").watch((30000, 57000))
    credit = other.wait_push(type_="study.credited")[0]["payload"]
    assert credit["source"] == "l1/1" and credit["seconds"] == 60
    other.wait_value("member.m1", "study.progress", lambda p: p.get("completed"))
    hours = phone.query("study.hours")
    assert hours["minutes"] == 1 and hours["goalMinutes"] == 1920 and hours["rulesVersion"] == "2026-1"
    local = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=8)
    assert credit["year"] == hours["year"] and abs(hours["year"] - local.year) <= 1
    assert [e["source"] for e in hours["entries"]] == ["l1/1"]
    # More of it is progress, and no more hours.
    Session(phone).watch((57000, 60000))
    assert covered(phone) == 60000 and phone.query("study.hours")["minutes"] == 1


def test_progress_does_not_move_backwards(town):
    publish(town)
    phone = town.phone(town.person("m1"))
    Session(phone).watch((0, 50000))
    again = Session(phone)
    again.watch((0, 100))
    assert covered(phone) == 50000
    assert again.refused((0, 100)) == ("session_ended", "sessionId")
    assert covered(phone) == 50000


def test_two_phones_begin_at_once(town):
    """However they come: one of them studies, the others are told."""
    publish(town)
    person = town.person("m1")
    phones = [town.phone(person) for _ in range(4)]
    sessions = [Session(phone, device=f"d{n}", start=False) for n, phone in enumerate(phones)]
    gate = threading.Barrier(len(sessions))

    def begin(session):
        gate.wait()
        return session.phone.outcome(session.phone.emit("study.started", session.start))

    with concurrent.futures.ThreadPoolExecutor(len(sessions)) as pool:
        outcomes = list(pool.map(begin, sessions))
    begun = [s for s, o in zip(sessions, outcomes, strict=True) if o["status"] == "APPLIED"]
    refused = {(o["code"], o["field"]) for o in outcomes if o["status"] != "APPLIED"}
    assert len(begun) == 1 and refused == {("session_active", "sessionId")}
    assert phones[0].query("study.progress", {"lessonId": "l1"})["session"]["sessionId"] == begun[0].id
    late = next(s for s in sessions if s is not begun[0])
    assert late.refused((0, 1000)) == ("not_found", "sessionId")
    begun[0].watch((0, 1000))
    late.phone.done("study.started", {**late.start, "sessionId": new_id("s")})
    assert len(town.find("study_sessions")) == 2


def test_refusals_change_nothing(town):
    publish(town, reading_ms=300000)
    phone = town.phone(town.person("m1"), subscribe=["member.m1"])
    session = Session(phone)
    assert session.refused((0, 300000), ratePermille=2000) == ("too_fast", "intervals")
    assert session.refused((0, 1000), ratePermille=2001) == ("invalid_value", "ratePermille")
    assert session.refused((0, 1000), (1000, 300001)) == ("invalid_value", "intervals[1]")
    assert session.refused((0, 1000), last=False) == ("heartbeat_early", "seq")
    session.seq = 9
    session.watch((0, 2000))
    follower = Session(phone)
    follower.named["lessonId"] = "l2"
    assert follower.refused((0, 1000)) == ("invalid_value", "lessonId")
    assert phone.refused("study.started", session.start) == "exists"
    assert phone.refused("study.started", {**session.start, "sessionId": "x", "version": 2}) == "not_found"
    assert covered(phone) == 2000
    stranger = town.phone(town.person("m2", "g1/c1/b2"))
    assert stranger.refused("study.started", session.start) == "not_found"
    error = phone.emit_error("study.progressed", session.watched((5, 5)))
    assert error["code"] == "invalid_value" and error["field"].endswith("intervals[0]")
    said = {"member": "m1", **session.named, "orgPath": "g1/c1/b1", "durationMs": 300000,
            "completedAt": "2026-01-01T00:00:00Z"}  # fmt: skip
    assert phone.emit_error("study.completed", said)["code"] == "forbidden"


def test_the_quiz_completes_it(town):
    publish(town, completion={"by": "QUIZ_SCORE"})
    phone = town.phone(town.person("m1"), subscribe=["member.m1"])
    session = Session(phone)
    for seq, choices in ((1, [0]), (2, [0, 1]), (3, [1])):
        assert not phone.of(type_="study.credited")
        phone.done("study.quiz_answered", session.answered(seq, choices))
    phone.wait_push(type_="study.credited")
    progress = phone.query("study.progress", {"lessonId": "l1"})["progress"][0]
    assert progress["completed"] and progress["scorePermille"] == 1000 and not progress.get("coveredMs")
    outcome = phone.outcome(phone.emit("study.quiz_answered", session.answered(4, [1])))
    assert (outcome["code"], outcome["field"]) == ("quiz_tries_used", "answers")
    assert len(town.find("study_progress", member="m1")[0]["quiz_tries"]) == 3


def test_who_of_the_branch_has_completed_it(town):
    publish(town)
    desk = town.phone(town.secretary, subscribe=["member.sec"])
    for n in (7, 3, 5, 1):
        Session(town.phone(town.person(f"m{n}"))).watch((0, 60000 if n != 5 else 30000))
    Session(town.phone(town.person("x1", "g1/c1/b1/x1"))).watch((0, 60000))
    Session(desk).watch((0, 60000))
    until(lambda: len(town.find("study_hours")) == 5, what="all are credited")
    asked = {"orgPath": "g1/c1/b1", "lessonId": "l1", "version": 1}
    first = desk.query("study.branch", {**asked, "limit": 3})
    assert [c["member"] for c in first["completed"]] == ["m1", "m3", "m7"] and first["completed"][0]["completedAt"]
    last = desk.query("study.branch", {**asked, "limit": 3, "after": first["nextAfter"]})
    assert [c["member"] for c in last["completed"]] == ["sec"] and not last.get("nextAfter")
    assert desk.query("study.hours")["goalMinutes"] == 3360
    member = town.phone(town.person("m1"))
    assert member.error_of({"query": {"type": "study.branch", "payload": asked}})["code"] == "forbidden"


def test_a_row_of_sessions_makes_no_time(town):
    """What one session claimed before its time, the next one has not."""
    phone = town.phone(town.person("m1"))
    for name in ("l1", "l2"):
        publish(town, name)
    Session(phone, "l1").watch((0, 60000))
    assert Session(phone, "l2").refused((0, 60000)) == ("too_fast", "intervals")


def test_the_hours_by_cursor(town):
    phone = town.phone(town.person("m1"), subscribe=["member.m1"])
    for n in range(5):
        publish(town, f"l{n}", reading_ms=12000)
        Session(phone, f"l{n}").watch((0, 12000))
        phone.wait_push(n + 1, type_="study.credited")
    first = phone.query("study.hours", {"limit": 3})
    assert [e["source"] for e in first["entries"]] == ["l4/1", "l3/1", "l2/1"] and first["minutes"] == 1
    last = phone.query("study.hours", {"limit": 3, "before": first["nextBefore"]})
    assert [e["source"] for e in last["entries"]] == ["l1/1", "l0/1"]
    assert last["minutes"] == 1 and not last.get("nextBefore")
    assert not phone.query("study.hours", {"year": 1999}).get("entries")


def test_killed_workers_lose_no_progress_and_credit_once(new_stack, tmp_path):
    stack = new_stack(workers=2, rules_dir=wide_rules(tmp_path / "rules", study=RULES))
    town = Town(stack)
    publish(town)
    phones = [town.phone(town.person(f"m{n}")) for n in range(8)]

    def study(phone):
        for start in range(0, 60000, 12000):
            session = Session(phone, start=False)
            phone.emit("study.started", session.start, retry=True)
            accepted = phone.emit("study.progressed", session.watched((start, start + 12000)), retry=True)
            assert phone.outcome(accepted)["status"] == "APPLIED"

    with concurrent.futures.ThreadPoolExecutor(len(phones)) as pool:
        studying = [pool.submit(study, phone) for phone in phones]
        for _ in range(2):
            for worker in stack.workers:
                worker.kill()
                stack.start_worker(worker)
        for each in studying:
            each.result(120)
    until(lambda: len(town.find("study_hours")) >= len(phones), 60, what="all are credited")
    until(lambda: not town.find("outbox", state="due"), what="no row is left")
    assert sorted(e["member"] for e in town.find("study_hours")) == [f"m{n}" for n in range(8)]
    for progress in town.find("study_progress"):
        assert progress["covered_ms"] == 60000 and progress["watched"] == [0, 60000] and progress["completed"]
    for phone in phones:
        assert phone.query("study.hours")["minutes"] == 1
