"""The database is away for minutes, with the times of production: for longer than the broker remembers message ids (two
minutes), offers an event again (half a minute) and waits for a beat. scripts/faults does the same with all times shortened.

What makes it hard: a worker has died between its pushes and its ack, so that what comes again has been pushed already, and
the broker, which would have known that, has forgotten it."""

import time

import pytest

from stack import Stack, Town, built
from waiting import until

AWAY_S = 150
WINDOW_MS, ACK_WAIT_MS, LEASE_MS, DATABASE_MS = 120000, 30000, 3000, 10000  # the defaults, as README's table says
THREAD = "thread.g1/c1/b1.t1"
EVERY_S = 0.5


@pytest.fixture
def stack(tmp_path):
    if b"after_pushes" not in built("yz-worker").read_bytes():
        pytest.skip("the programs have no fault points")
    made = Stack(tmp_path / "stack", workers=2, log_level="info", duplicate_window_ms=WINDOW_MS, ack_wait_ms=ACK_WAIT_MS,
                 lease_ttl_ms=LEASE_MS, database_timeout_ms=DATABASE_MS, idle_timeout_ms=600000).start()  # fmt: skip
    yield made
    made.end()


def post(phone, number):
    return phone.emit("thread.posted", {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"x{number}",
                                        "text": f"post {number}"}, event_id=f"p{number}", retry=True, timeout=60)  # fmt: skip


def test_what_was_pushed_before_comes_once_after_minutes(stack):
    town = Town(stack)
    reader = town.phone(town.person("reader"), encoding="protobuf", subscribe=[(THREAD, {"epoch": "", "offset": 0})])
    writer = town.phone(town.person("writer"))
    stack.workers[1].terminate()
    stack.workers[0].terminate()
    stack.start_worker(stack.workers[0], fault="after_pushes:1")
    accepted = [post(writer, 0)]
    until(lambda: not stack.workers[0].running, 30, what="the worker dies with its events pushed and not acknowledged")
    reader.wait_push(1, 30, channel=THREAD)
    stack.database.kill()
    for worker in stack.workers:
        stack.start_worker(worker, ready=False)

    gone = time.monotonic()
    while time.monotonic() - gone < AWAY_S:
        accepted.append(post(writer, len(accepted)))
        reader.read_for(EVERY_S)
    assert len(reader.of(channel=THREAD)) == 1, "nothing is applied without a database"
    waiting = stack.bus.stream("EVENTS")["state"]["messages"]
    assert waiting == len(accepted), "all of it waits"

    stack.database.start()
    for worker in stack.workers:
        stack.wait_ready(worker)
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 120, 0.5, "all is settled")
    reader.wait_push(len(accepted), 60, channel=THREAD)
    assert [push["payload"]["text"] for push in reader.of(channel=THREAD)] == [f"post {n}" for n in range(len(accepted))]
    assert len(stack.bus.messages("THREADS", f"thr.{town.name}.>")) == len(accepted), "no push was stored a second time"
    assert {(o["event_id"], o["status"]) for o in town.find("outcomes")} == {(f"p{n}", "applied") for n in range(len(accepted))}
    assert sorted(p["message_id"] for p in town.find("posts")) == sorted(f"x{n}" for n in range(len(accepted)))
    assert stack.bus.stream("DEADLETTERS")["state"]["messages"] == 0, "waiting is no reason to give an event up"
