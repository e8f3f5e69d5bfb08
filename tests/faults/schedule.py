"""Which faults, when, and to what: drawn from the seed alone, before the run begins.

Kinds come in a rotation that runs through all seeds, so that N runs hold every kind about equally often, by arithmetic and
not by luck. Every CLUSTER_EVERY-th seed runs on a NATS cluster.
"""

import dataclasses
import itertools
import random

CLUSTER_EVERY = 4
SLOT_S = 9.0  # one fault begins in each, on average
LEAD_S = 4.0  # undisturbed at first
TRIES = 12  # other targets tried where two faults would touch the same part


@dataclasses.dataclass(frozen=True)
class Step:
    number: int
    at_s: float
    hold_s: float
    kind: str
    target: str
    seed: str  # of the random numbers that begin() is given

    @property
    def end_s(self):
        return self.at_s + self.hold_s

    def __str__(self):
        return f"{self.at_s:6.1f} s  {self.kind} on {self.target} for {self.hold_s:.1f} s"


def is_cluster(seed):
    return seed % CLUSTER_EVERY == 0


def steps_in(seconds):
    return max(1, int((seconds - LEAD_S) / SLOT_S))


def rotation(names, first, count, label):
    """`count` names from place `first` of an endless row of blocks, each holding every name once in an order of its own."""

    def blocks():
        for number in itertools.count():
            block = sorted(names)
            random.Random(f"{label}/{number}").shuffle(block)
            yield from block

    return list(itertools.islice(blocks(), first, first + count))


def names_for(seed, count, kinds, only=()):
    """The kinds of one run, in the order in which they come.

    `kinds`: those that this run's world can do. A cluster run holds each that only a cluster has once, and then shares the
    rotation of the others."""
    if only:
        names = [name for name in only if name in kinds]
        return rotation(names, 0, count, f"only/{seed}") if names else []
    if not is_cluster(seed):
        runs_before = seed - 1 - (seed - 1) // CLUSTER_EVERY
        return rotation(kinds, runs_before * count, count, "single")
    special = sorted(name for name in kinds if "cluster" in kinds[name].needs)[:count]
    common = [name for name in kinds if name not in special]
    left = count - len(special)
    names = special + (rotation(common, (seed // CLUSTER_EVERY - 1) * left, left, "cluster") if common else [])
    random.Random(f"{seed}/order").shuffle(names)
    return names


def left_out(kinds, world):
    """What this machine cannot do, and what it lacks for it: {name: why}. Not what only the other number of servers can."""
    reasons = {name: kind.why_not(world) for name, kind in kinds.items()}
    return {name: why for name, why in reasons.items() if why not in (None, "needs single", "needs cluster")}


def plan(seed, seconds, kinds, world, only=()):
    """The steps of a run, by their time. `world` need not be started: it says what the targets are."""
    possible = {name: kind for name, kind in kinds.items() if not kind.why_not(world)}
    count = steps_in(seconds)
    rng = random.Random(f"{seed}/schedule")
    steps, touched = [], []
    names = names_for(seed, count, possible, only)
    for number, name in enumerate(names):
        kind = possible[name]
        hold_s = kind.hold_s(rng)
        at_s = LEAD_S + (number + rng.uniform(0, 0.8)) * (seconds - LEAD_S) / count
        at_s = max(LEAD_S, min(at_s, seconds - hold_s))
        target, at_s = _place(kind, world, rng, touched, at_s, hold_s)
        steps.append(Step(number, round(at_s, 2), round(hold_s, 2), name, target, f"{seed}/fault/{number}"))
        touched.append((at_s, at_s + hold_s + 0.5, kind.touches(world, target)))
    return sorted(steps, key=lambda step: step.at_s)


def _place(kind, world, rng, touched, at_s, hold_s):
    """A target that no other fault touches at that time; else a later time."""
    targets = sorted(kind.targets(world))
    while True:
        for _ in range(TRIES):
            target = rng.choice(targets)
            wants = kind.touches(world, target)
            clash = [end for begin, end, parts in touched if begin < at_s + hold_s and at_s < end and parts & wants]
            if not clash:
                return target, at_s
        at_s = min(clash) + 0.1
