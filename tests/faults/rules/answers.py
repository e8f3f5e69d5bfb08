"""Rules (a) and (h): each accepted event has its one outcome, of its first acceptance, and no answer contradicts another."""

import collections

from .domain import aggregate_of
from .story import Violation, line_refs


def check(story):
    return [*_sequences(story), *_duplicates(story), *_outcomes(story), *_told(story)]


def _sequences(story):
    """A sequence stands for one event with one payload."""
    found, owners = [], collections.defaultdict(dict)
    for emit in story.emits:
        if emit.sequence:
            owners[emit.sequence].setdefault((emit.key, emit.hash), emit)
    for sequence, by_event in owners.items():
        if len(by_event) > 1:
            names = " and ".join(f"{'/'.join(key)} ({hash_})" for key, hash_ in by_event)
            found.append(Violation("h", f"sequence {sequence} was answered to different events: {names}",
                                   line_refs(by_event.values())))  # fmt: skip
    fresh = collections.Counter(emit.sequence for emit in story.emits if emit.sequence and not emit.duplicate)
    for sequence, times in fresh.items():
        if times > 1:
            found.append(Violation("h", f"sequence {sequence} was answered {times} times as new", [sequence]))
    return found


def _duplicates(story):
    """A duplicate was sent before; and what the broker remembers keeps its sequence."""
    found = []
    window_s = story.snapshot["streams"]["EVENTS"]["window_s"] * 0.9
    for emits in story.by_key.values():
        accepted = [e for e in emits if e.sequence]
        for emit in accepted:
            # Two copies may be under way at once, and the one that was sent later be stored first.
            if emit.duplicate and not any(e.hash == emit.hash and e.line < emit.answered for e in emits if e is not emit):
                found.append(Violation("h", f"{'/'.join(emit.key)} was answered as a duplicate and had not been sent before",
                                       line_refs([emit])))  # fmt: skip
        for one, other in _pairs(accepted):
            # The broker counts from the first copy, which may have had no answer.
            since = min(e.t for e in emits if e.hash == one.hash)
            until = max(one.answered_t, other.answered_t)
            if until - since < window_s and not story.bus_fault_between(since, until):
                found.append(Violation("h", f"{'/'.join(one.key)}, the same payload, was accepted as {one.sequence} and as "
                                            f"{other.sequence} within the duplicate window",
                                       line_refs([one, other])))  # fmt: skip
    return found


def _pairs(accepted):
    """The same payload under two sequences."""
    first = {}
    for emit in accepted:
        before = first.setdefault(emit.hash, emit)
        if before.sequence != emit.sequence:
            yield before, emit


def _outcomes(story):
    found = []
    for key, emits in story.by_key.items():
        accepted = [e for e in emits if e.sequence]
        outcome = story.outcomes.get(key)
        if accepted and outcome is None:
            found.append(Violation("a", f"{'/'.join(key)} was accepted as {accepted[0].sequence} and has no outcome",
                                   line_refs(accepted)))  # fmt: skip
        elif outcome is not None and key not in story.poison_keys:
            found += _first(key, emits, accepted, outcome)
    return found


def _first(key, emits, accepted, outcome):
    """The outcome is that of the lowest sequence under which the event was stored.

    One id for events of different aggregates: they have no common order, so any one of them may stand, and only one.
    """
    sequence, name = outcome["sequence"], "/".join(key)
    holders = [e for e in accepted if e.sequence == sequence]
    ours = {aggregate_of(e) for e in emits if e.hash == outcome["hash"]}
    lowest = min((e.sequence for e in accepted if aggregate_of(e) in ours), default=None)
    if holders and holders[0].hash != outcome["hash"]:
        return [Violation("a", f"{name} was first accepted as {sequence} with payload {holders[0].hash}, and its outcome is "
                               f"of payload {outcome['hash']}", line_refs(holders))]  # fmt: skip
    if lowest is not None and sequence > lowest:
        return [Violation("a", f"{name} was accepted as {lowest}, and its outcome is of the later {sequence}",
                          line_refs(accepted))]  # fmt: skip
    if not holders and not any(e.hash == outcome["hash"] and not e.sequence and e.maybe_stored for e in emits):
        told = "refused by the gateway for good" if any(e.hash == outcome["hash"] for e in emits) else "never sent"
        return [Violation("b", f"{name} has an outcome of sequence {sequence} and payload {outcome['hash']}, which was {told}",
                          line_refs(emits))]  # fmt: skip
    return []


def _told(story):
    """What a member was told when asking agrees with what is stored: applied and refused are final."""
    found = []
    for number, line in enumerate(story.lines, 1):
        if line["kind"] != "outcome":
            continue
        session = story.sessions[line["session"]]
        key = session["tenant"], session["member"], line["event"]
        outcome, status = story.outcomes.get(key), line["status"].lower()
        if outcome is None or (status != "dead_lettered" and _differs(outcome, line)):
            kept = outcome and (outcome["status"], outcome["code"], outcome["sequence"])
            found.append(Violation("h", f"{'/'.join(key)} was told as {status} {line['code']} of {line['sequence']}, "
                                        f"and {kept} is stored", [f"line {number}"]))  # fmt: skip
    return found


def _differs(outcome, line):
    if outcome["status"] == "dead_lettered":
        return False  # given up later by the workers: the one change there is
    return (outcome["status"], outcome["code"], outcome["sequence"]) != (
        line["status"].lower(), line["code"], line["sequence"])  # fmt: skip
