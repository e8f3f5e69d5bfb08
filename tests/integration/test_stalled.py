"""A consumer of EVENTS that hands nothing, and says so to nobody: its owner makes it anew."""

import pytest

import wire
from handmade import headers, partition
from stack import Town
from waiting import until

SETTINGS = {"ack_wait_ms": 1500, "events_stale_ms": 1000, "watch_interval_ms": 200, "lease_ttl_ms": 1000}
NEVER = "2099-01-01T00:00:00Z"
NOTICE = {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}


def consumers(stack):
    """partition: name of its consumer."""
    names = stack.bus.api("CONSUMER.NAMES.EVENTS")["consumers"]
    assert len(names) == 64
    return {int(name[1:].partition("-")[0]): name for name in names}


def pause(stack, name):
    """It takes requests and answers none; nobody who asks is told."""
    reply = stack.bus.api(f"CONSUMER.PAUSE.EVENTS.{name}", {"pause_until": NEVER})
    assert reply.get("paused"), reply


@pytest.fixture
def town(new_stack):
    return Town(new_stack(**SETTINGS))


def stalled(town):
    return sum(town.stack.metric(worker, "yizhan_worker_partitions_stalled_total") for worker in town.stack.workers)


def test_a_partition_whose_consumer_hands_nothing_goes_on(town):
    stack, number = town.stack, partition(town.name, "notice|n1")
    phone = stack.phone(town.secretary)
    before = consumers(stack)
    pause(stack, before[number])
    accepted = phone.emit("notice.published", NOTICE)
    assert phone.outcome(accepted)["status"] == "APPLIED"
    after = consumers(stack)
    assert {n for n in after if after[n] != before[n]} == {number}, "those that hand what they have stay as they are"
    revision = [int(name.rpartition("-")[2]) for name in (before[number], after[number])]
    assert revision[1] > revision[0], "the fence: a newer lease, and the name says so"
    assert stalled(town) == 1
    line = next(line for line in stack.workers[0].text().splitlines() if "event=partition_stalled" in line)
    assert f"partition={number} " in line and f"consumer={before[number]}" in line


def test_what_the_silent_consumer_had_handed_takes_effect_once(town):
    """It is paused with events in the worker's hands: they come again to its successor."""
    stack, number = town.stack, partition(town.name, "notice|n1")
    phone = stack.phone(town.secretary)
    worker = stack.workers[0]
    before = consumers(stack)
    worker.stop_still()
    subject = f"evt.{number}.{town.name}.notice.g1/c1/b1"
    ids = [f"e{n}" for n in range(30)]
    for event_id in ids:
        made = headers(town.name, event_id)
        last = stack.bus.publish(subject, wire.pack("NoticePublished", {**NOTICE, "title": event_id}), made).seq
    pause(stack, before[number])
    worker.go_on()
    for event_id in ids:
        phone.outcome({"eventId": event_id, "sequence": last})
    assert [row["title"] for row in town.find("notices")] == ["e0"], "the first one; the others are refused: it exists"
    assert len(town.find("outcomes")) == len(ids)
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 30)


def test_nothing_is_made_anew_while_the_database_is_away(town):
    """Then the events wait for it, and another consumer would hand them no better."""
    stack = town.stack
    phone = stack.phone(town.secretary)
    before = consumers(stack)
    stack.database.stop_still()
    try:
        phone.emit("notice.published", NOTICE)
        worker = stack.workers[0]
        until(lambda: stack.metric(worker, "yizhan_trouble", code="events_stale") == 1, 30)
        until(lambda: stack.metric(worker, "yizhan_worker_oldest_event_seconds") > 5, 30)
    finally:
        stack.database.go_on()
    until(lambda: town.find("notices"), 30)
    assert stalled(town) == 0 and consumers(stack) == before
