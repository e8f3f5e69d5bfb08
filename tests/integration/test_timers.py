"""Durable timers: a lesson is released once, never before its time, whatever happens to those who release it. Prints how late.

The broker forgets a message's id after a moment here, so that what is published twice is told apart by its outcome alone.
"""

import base64
import datetime
import threading

import pytest

import wire
from people import new_id
from test_lessons import lesson
from waiting import until

SETTINGS = {"workers": 2, "duplicate_window_ms": 1000, "log_level": "info"}
COUNT = 24
ORG = "g1/c1/b1"


class Timers:
    """Lessons that are all due at one moment."""

    def __init__(self, town, due_s):
        self.town, self.stack = town, town.stack
        self.due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=due_s)
        self.ids = [new_id("l") for _ in range(COUNT)]
        desk = town.phone(town.secretary)
        frames = [desk.send({"emit": {"eventId": new_id("e"), "type": "lesson.scheduled",
                                      "payload": lesson(lesson_id, release_at=self.due.isoformat())}})
                  for lesson_id in self.ids]  # fmt: skip
        assert {desk.reply(frame)[0] for frame in frames} == {"accepted"}
        until(lambda: len(self.rows()) == COUNT, what="every lesson has its row")

    def rows(self, **which):
        return self.town.find("outbox", type="lesson.released", **which)

    def wait_due(self, more_s=0):
        """A clock is waited for, not a condition of the system."""
        over = threading.Event()
        over.wait(max(0, (self.due - datetime.datetime.now(datetime.UTC)).total_seconds() + more_s))

    def pushes(self):
        messages = self.stack.bus.messages("CHANNELS", f"chan.{self.town.name}.org.{ORG}")
        return [p for p in (wire.unpack("Push", m.data) for m in messages) if p["type"] == "lesson.released"]

    def check(self, what):
        """Each fired once and took effect once, none before its time; says how late."""
        until(lambda: len(self.rows(state="done")) == COUNT, 30, what="every row is done")
        until(lambda: len(self.outcomes()) == COUNT, 30, what="every release is settled")
        until(lambda: self.stack.bus.stream("EVENTS")["state"]["messages"] == 0, what="nothing is under way")
        assert {o["status"] for o in self.outcomes()} == {"applied"}
        lessons = [wire.unpack("LessonSummary", base64.b64decode(p["payload"]))["lessonId"] for p in self.pushes()]
        assert sorted(lessons) == sorted(self.ids)
        times = [datetime.datetime.fromisoformat(p["time"].replace("Z", "+00:00")) for p in self.pushes()]
        assert min(times) >= self.due
        print(f"{what}: {COUNT} releases late by at most {(max(times) - self.due).total_seconds():.2f} s")

    def outcomes(self):
        return self.town.find("outcomes", type="lesson.released")


@pytest.fixture(autouse=True)
def all_up(stack):
    """Whatever a test did to the processes, the next one finds them."""
    yield
    for worker in stack.workers:
        if not worker.running:
            stack.start_worker(worker)


def kill_all(stack):
    for worker in stack.workers:
        worker.kill()


def test_both_release_once(town):
    timers = Timers(town, 4)
    assert not timers.pushes()
    timers.wait_due()
    timers.check("two workers up")


def test_no_worker_is_there_at_the_due_time(stack, town):
    timers = Timers(town, 4)
    kill_all(stack)
    timers.wait_due(1)
    assert not timers.pushes() and len(timers.rows(state="due")) == COUNT
    for worker in stack.workers:
        stack.start_worker(worker)
    timers.check("no worker for a second after it, and their start")


@pytest.mark.parametrize("point", ["rows_found", "rows_published"])
def test_the_workers_die_over_their_rows(stack, town, point):
    """Before anything is published, and when all is published and nothing marked: both of them, each once."""
    kill_all(stack)
    for worker in stack.workers:
        stack.start_worker(worker, fault=f"{point}:1")
    timers = Timers(town, 4)
    timers.wait_due()
    until(lambda: not any(worker.running for worker in stack.workers), 30, what=f"both workers die at {point}")
    if point == "rows_published":
        assert len(timers.rows(state="due")) > 0
    for worker in stack.workers:
        worker.kill()
        stack.start_worker(worker)
    timers.check(f"killed at {point}")


def test_a_worker_is_killed_at_the_due_time(stack, town):
    """The other one takes its partitions with their rows."""
    timers = Timers(town, 4)
    timers.wait_due()
    stack.workers[0].kill()
    timers.check("one of two workers killed at it")


def test_the_broker_is_away_at_the_due_time(stack, town):
    timers = Timers(town, 4)
    stack.nats.kill()
    timers.wait_due(1)
    assert len(timers.rows(state="due")) == COUNT
    stack.nats.start()
    stack.wait_nats()
    timers.check("no broker for a second after it")


def test_the_database_is_silent_at_the_due_time(stack, town):
    timers = Timers(town, 4)
    stack.database.stop_still()
    timers.wait_due(1)
    assert not timers.pushes()
    stack.database.go_on()
    timers.check("no database for a second after it")
