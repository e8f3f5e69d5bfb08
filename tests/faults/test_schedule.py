"""The schedule: the same seed gives the same faults, no two touch the same part at once, every kind has its turn."""

import collections
import random
import types

import pytest

import campaign
import figures
import schedule
from kinds import KINDS, poison
from run import EVENTS, idle
from session import Place, place_after
from world import World

LEAST = 5  # of every kind, in twenty runs of three minutes


@pytest.fixture(scope="module", params=[False, True], ids=["single", "cluster"])
def world(request, tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world") / "world", random.Random(1), cluster=request.param, store_on_tmpfs=False)
    yield made
    made.ports.release()


def kinds_of(cluster):
    lacking = "single" if cluster else "cluster"
    return {name: kind for name, kind in KINDS.items() if lacking not in kind.needs}


def test_the_same_seed_gives_the_same_plan(world):
    plans = [schedule.plan(9, 180, KINDS, world) for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0] != schedule.plan(10, 180, KINDS, world)


@pytest.mark.parametrize("seed", range(1, 30))
def test_no_part_is_touched_twice_at_a_time(world, seed):
    steps = schedule.plan(seed, 180, KINDS, world)
    assert len(steps) == schedule.steps_in(180)
    for n, one in enumerate(steps):
        parts = KINDS[one.kind].touches(world, one.target)
        for other in steps[n + 1 :]:
            together = one.at_s < other.end_s and other.at_s < one.end_s
            assert not together or not parts & KINDS[other.kind].touches(world, other.target), (one, other)


def test_twenty_runs_hold_every_kind_often_enough():
    """Where all that the kinds need is there."""
    counts = collections.Counter()
    for seed in range(1, 21):
        counts.update(schedule.names_for(seed, schedule.steps_in(180), kinds_of(schedule.is_cluster(seed))))
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= LEAST, counts


def test_chosen_kinds_alone(world):
    steps = schedule.plan(3, 60, KINDS, world, only=["kill_worker", "reset"])
    assert {step.kind for step in steps} == {"kill_worker", "reset"}
    assert schedule.plan(3, 60, KINDS, world, only=["no_such"]) == []


def test_a_rotation_goes_on_where_the_last_one_ended():
    names = [f"k{n}" for n in range(7)]
    whole = schedule.rotation(names, 0, 70, "x")
    assert [n for first in range(0, 70, 5) for n in schedule.rotation(names, first, 5, "x")] == whole
    assert set(collections.Counter(whole).values()) == {10}


def subscribed(offset, missed, epoch="e"):
    return {"channel": "c", "epoch": epoch, "offset": str(offset), "missed": missed}


def test_a_place_counts_only_what_arrived():
    place = place_after(subscribed(9, 2), Place("e", 4))
    assert place.since() == {"epoch": "e", "offset": 4}
    place.pushed(5)
    assert place.offset == 5
    place.pushed(7)
    assert place.offset == 9  # the history is here: what the reply said counts
    place.pushed(12)
    assert place.offset == 12


@pytest.mark.parametrize("before", [None, Place("older", 100)], ids=["none", "another epoch"])
def test_a_place_of_another_epoch_is_none(before):
    assert place_after(subscribed(9, 3), before).offset == 0
    assert place_after(subscribed(9, 0), before).offset == 9


def line(t, kind, **fields):
    return {"t": t, "kind": kind, **fields}


def emit(t, event, member="m1", payload=None, attempt=1):
    return line(t, "emit", session="s1", tenant="t", member=member, event=event, type="thread.posted",
                payload=payload or {}, attempt=attempt, frame=int(t * 10))  # fmt: skip


def accepted(t, event, duplicate=False):
    return line(t, "accepted", session="s1", event=event, sequence=1, duplicate=duplicate, frame=1)


def test_figures_count_what_was_offered_again():
    lines = [line(0, "open", session="s1", tenant="t", member="m1", device="d"),
             emit(1, "a"), accepted(1.1, "a"), emit(2, "a", attempt=2), accepted(2.1, "a", True),
             emit(3, "a", payload={"text": "other"}, attempt=3), accepted(3.1, "a"),
             emit(4, "a", member="m2"), emit(5, "b"), accepted(9, "b"),
             line(10, "fault", name="reset", target="x", phase="begin", detail={})]  # fmt: skip
    told = figures.of_ledger(lines)
    assert told["events offered"] == 3 and told["events accepted"] == 2
    assert told["duplicates offered"] == 1 and told["conflicts offered"] == 1
    assert told["ids used by more than one member"] == 1 and told["told to be duplicates"] == 1
    assert told["seconds of outage"] == 5.0  # from the emit at 4 to the Accepted at 9
    assert told["faults"] == {"reset": 1}


def test_what_a_machine_cannot_do_is_named(world):
    """Without a tmpfs no disk can be filled: that is told, unlike kinds for the other number of servers."""
    assert schedule.left_out(KINDS, world).get("disk_full") == "needs tmpfs"
    assert not {"kill_leader", "buckets_anew"} & set(schedule.left_out(KINDS, world))


def test_the_kind_that_came_least_often_is_told():
    assert campaign.rarest({"a": 7, "b": 5}, ["a", "b"]) == "each of 2 kinds came at least 5 times"
    assert campaign.rarest({"a": 7}, ["a", "b"]).endswith("at least 0 times; NEVER: b")


def test_a_run_in_which_nothing_happens_is_not_passed():
    lines = [line(0, "open", session="s1", tenant="t", member="m1", device="d")]
    for number, type_ in enumerate(EVENTS, 1):
        lines += [{**emit(number, f"e{number}"), "type": type_, "frame": number}, {**accepted(number, "e"), "frame": number}]
    lines += [line(9, "push", session="s1")]
    assert idle(lines, ["d"]) == []
    assert idle(lines, ["d", "x"]) == ["phone x was never let in"]
    assert idle(lines[:-1], ["d"]) == ["no push was delivered"]
    assert idle(lines[:-2] + lines[-1:], ["d"]) == ["no checkin.recorded was accepted"]


class Silent:
    """A broker that answers the third time."""

    def __init__(self, duplicate):
        self.bus, self.tried, self.duplicate = self, [], duplicate

    def publish(self, *what):
        self.tried.append(what)
        if len(self.tried) < 3:
            raise TimeoutError
        return types.SimpleNamespace(seq=7, duplicate=self.duplicate)


@pytest.mark.parametrize("known", [True, False])
def test_what_the_broker_did_not_answer_for_is_sent_again_and_told(known):
    world = Silent(known)
    assert poison.store(world, "evt.1.t.notice.g1", b"body", {"Nats-Msg-Id": "one"}) == (7, not known)
    assert len(set(map(str, world.tried))) == 1 and len(world.tried) == 3


def test_sums_over_runs():
    one = {"sessions": 2, "most memory, MB: nats": 5, "faults": collections.Counter(a=1)}
    other = {"sessions": 3, "most memory, MB: nats": 4, "faults": collections.Counter(a=1, b=2)}
    assert figures.add(one, other) == {"sessions": 5, "most memory, MB: nats": 5, "faults": {"a": 2, "b": 2}}
