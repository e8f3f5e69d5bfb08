"""Lessons: released once at their time over restarts, feed and bundle, what nobody may see."""

import hashlib
import json
import time

from meeting import rfc3339
from people import new_id
from waiting import until


def lesson(lesson_id, version=1, path="g1/c1/b1", release_at=None, **changes):
    made = {
        "orgPath": path,
        "lessonId": lesson_id,
        "version": version,
        "kind": "MICRO_LECTURE",
        "title": "微党课",
        "content": {
            "blocks": [
                {"text": "不忘初心"},
                {"video": {"sha256": hashlib.sha256(b"film").hexdigest(), "bytes": "700000", "mime": "video/mp4",
                           "durationMs": 120000}},  # fmt: skip
            ],
            "questions": [{"text": "何年？", "choices": ["1919", "1921", "1949"]}],
        },
        "answers": [{"choices": [1]}],
        **changes,
    }
    if release_at:
        made["releaseAt"] = release_at
    return made


def released(reader, count=1, timeout=30):
    pushes = reader.wait_push(count, timeout, type_="lesson.released")
    return [(p["payload"]["lessonId"], p["payload"]["version"]) for p in pushes]


def ids(feed):
    return [entry["lessonId"] for entry in feed.get("lessons", [])]


def test_a_lesson_comes_to_its_org(town, encoding):
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=["org.g1/c1/b1"])
    lesson_id = new_id("l")
    town.phone(town.secretary, encoding=encoding).done("lesson.scheduled", lesson(lesson_id))
    push = reader.wait_push(type_="lesson.released")[0]["payload"]
    assert push["title"] == "微党课" and push["durationMs"] == 120000 and push["questionCount"] == 1
    assert ids(reader.query("lesson.feed")) == [lesson_id]


def test_the_feed_by_cursor_and_kind(town):
    top = town.phone(town.person("top", "g1", ("member", "secretary@g1")))
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1/b1", "org.g1/c1", "org.g1"])
    named = [("l1", "g1", "MICRO_TIP"), ("l2", "g1/c1/b1", "MICRO_LECTURE"), ("l3", "g1/c1", "MICRO_TIP"),
             ("l4", "g1/c1/b1", "MICRO_TIP"), ("l5", "g1", "MICRO_HISTORY")]  # fmt: skip
    for n, (lesson_id, path, kind) in enumerate(named):
        top.done("lesson.scheduled", lesson(lesson_id, path=path, kind=kind))
        reader.wait_push(n + 1, type_="lesson.released")
    top.done("lesson.scheduled", lesson("elsewhere", path="g1/c1/b2"))
    first = reader.query("lesson.feed", {"limit": 2})
    assert ids(first) == ["l5", "l4"]
    second = reader.query("lesson.feed", {"limit": 2, "before": first["nextBefore"]})
    assert ids(second) == ["l3", "l2"]
    last = reader.query("lesson.feed", {"limit": 2, "before": second["nextBefore"]})
    assert ids(last) == ["l1"] and not last.get("nextBefore")
    tips = reader.query("lesson.feed", {"kind": "MICRO_TIP", "limit": 2})
    assert ids(tips) == ["l4", "l3"]
    assert ids(reader.query("lesson.feed", {"kind": "MICRO_TIP", "before": tips["nextBefore"]})) == ["l1"]
    top.done("lesson.withdrawn", {"orgPath": "g1/c1", "lessonId": "l3", "version": 1})
    reader.wait_push(type_="lesson.withdrawn")
    assert ids(reader.query("lesson.feed")) == ["l5", "l4", "l2", "l1"]
    top.done("lesson.scheduled", lesson("l1", 2, path="g1", kind="MICRO_TIP"))
    until(lambda: ids(reader.query("lesson.feed")) == ["l1", "l5", "l4", "l2"], what="the new version is the newest")


def test_a_bundle_is_all_that_a_phone_needs_and_tells_no_answer(town, encoding):
    desk = town.phone(town.secretary)
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=["org.g1/c1/b1"])
    picture = {"sha256": hashlib.sha256(b"picture").hexdigest(), "bytes": "9000", "mime": "image/png"}
    body = lesson("l1")
    body["content"]["blocks"] += [{"image": picture}, {"text": "再看"}, {"image": picture}]
    desk.done("lesson.scheduled", body)
    released(reader)
    bundle = reader.query("lesson.bundle", {"lessonId": "l1"})
    assert bundle["content"] == body["content"]
    assert [m["sha256"] for m in bundle["media"]] == [hashlib.sha256(b).hexdigest() for b in (b"film", b"picture")]
    got = reader.query("lesson.get", {"lessonId": "l1"})
    assert got["content"] == body["content"] and got["state"] == "LESSON_RELEASED"
    # Not to the secretary who wrote it, and in no push either.
    for phone in (reader, desk):
        for query in ("lesson.feed", "lesson.get", "lesson.bundle"):
            answer = phone.query(query, {} if query == "lesson.feed" else {"lessonId": "l1"})
            assert "answer" not in json.dumps(answer)
    assert "answer" not in json.dumps(reader.pushes)


def test_who_may_see_it(town):
    desk = town.phone(town.secretary)
    member, stranger = town.phone(town.person("m1")), town.phone(town.person("m2", "g1/c1/b2"))
    accepted = desk.done("lesson.scheduled", lesson("l1", release_at=rfc3339(3600)))
    asked = {"query": {"type": "lesson.get", "payload": {"lessonId": "l1", "version": 1},
                       "minSequence": str(accepted["sequence"])}}  # fmt: skip
    for phone in (member, stranger):
        error = phone.error_of(asked)
        assert error["code"] == "not_found" and error["field"] == "payload.lessonId"
    waiting = desk.query("lesson.get", {"lessonId": "l1", "version": 1})
    assert waiting["state"] == "LESSON_SCHEDULED" and waiting.get("revision", 0) == 0
    sooner = desk.done("lesson.scheduled", lesson("l1", revision=1))
    until(lambda: member.request(asked)[0] == "queryResult", what=f"it is released after {sooner}")
    assert stranger.error_of(asked)["code"] == "not_found"
    error = town.phone(town.person("m1")).emit_error("lesson.scheduled", lesson("l2"))
    assert error["code"] == "forbidden"
    error = desk.emit_error("lesson.released", {"orgPath": "g1/c1/b1", "lessonId": "l1", "version": 1})
    assert error["code"] == "forbidden"


def test_withdrawn_before_its_time_it_never_comes(town):
    desk = town.phone(town.secretary)
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1/b1"])
    desk.done("lesson.scheduled", lesson("l1", release_at=rfc3339(2)))
    desk.done("lesson.withdrawn", {"orgPath": "g1/c1/b1", "lessonId": "l1", "version": 1, "reason": "有误"})
    until(lambda: not town.find("outbox", state="due"), what="the timer fired")
    desk.done("lesson.scheduled", lesson("l2"))
    assert released(reader) == [("l2", 1)]
    assert not reader.of(type_="lesson.withdrawn")
    assert not [o for o in town.find("outcomes") if o.get("status") == "REFUSED"]


def test_released_once_though_the_workers_die(new_stack):
    """Killed before the time, and a new one finds the row; killed over and over while the rows come due."""
    from stack import Town

    stack = new_stack(workers=2)
    town = Town(stack)
    desk = town.phone(town.secretary)
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1/b1"])
    expected = [f"l{n}" for n in range(12)]
    for n, lesson_id in enumerate(expected):
        desk.done("lesson.scheduled", lesson(lesson_id, release_at=rfc3339(3 + n // 3)))
    for _ in range(3):
        for worker in stack.workers:
            worker.kill()
            stack.start_worker(worker)
    assert sorted(released(reader, len(expected), 60)) == [(lesson_id, 1) for lesson_id in sorted(expected)]
    until(lambda: not town.find("outbox", state="due"), what="no row is left")
    desk.done("lesson.scheduled", lesson("end"))
    assert len(released(reader, len(expected) + 1)) == len(expected) + 1
    assert {v["lesson_id"]: v["state"] for v in town.find("lesson_versions")} == {
        lesson_id: "LESSON_RELEASED" for lesson_id in [*expected, "end"]
    }


def test_after_an_outage_at_once(new_stack):
    from stack import Town

    stack = new_stack(workers=1)
    town = Town(stack)
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1/b1"])
    due_at = time.time() + 2
    town.phone(town.secretary).done("lesson.scheduled", lesson("l1", release_at=rfc3339(2)))
    stack.workers[0].kill()
    until(lambda: time.time() > due_at, what="its time is over")
    assert not reader.of(type_="lesson.released")
    stack.start_worker(stack.workers[0])
    assert released(reader, timeout=30) == [("l1", 1)]
