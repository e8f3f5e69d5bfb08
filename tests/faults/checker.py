"""The checker: does what the clients saw agree with what the system holds? Pure functions of a ledger and a snapshot.

    python3 tests/faults/checker.py LEDGER SNAPSHOT

(a) Every accepted event has one outcome, that of its first acceptance; its documents, pushes and values are there exactly
    when it was applied, and the events of one aggregate took effect in the order of their sequences.  answers, effects
(b) Nothing has an effect that nobody sent, and no tenant knows of another.                 answers, effects, following
(c) Each session saw the pushes of its channels once, in order and without a hole, or was told.        delivery, effects
(d) So did each phone over all its sessions; `recovered` says the truth.                               delivery
(e) Dead letters are exactly what could not be processed; they have their reason and can be replayed.  letters
(f) Memory and queues stayed under their bounds, and nothing is held for good.                         bounds
(g) In the end nothing waits and everybody is there.                                                   calm
(h) No answer contradicts another.                                                                     answers
"""

import collections
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "integration")]

import ledger  # noqa: E402
import snapshot as snapshots  # noqa: E402
from rules import answers, bounds, calm, delivery, effects, letters  # noqa: E402
from rules.story import Story, Violation  # noqa: E402

RULES = (answers, effects, delivery, letters, bounds, calm)
SHOWN = 40

__all__ = ["Violation", "check", "figures", "report"]


def check(lines, snapshot):
    """All violations, those of one rule together."""
    story = Story(lines, snapshot)
    found = [violation for rule in RULES for violation in rule.check(story)]
    return sorted(found, key=lambda violation: violation.rule)


def figures(lines, snapshot):
    """What the run amounted to, name: number."""
    story = Story(lines, snapshot)
    kinds = collections.Counter(line["kind"] for line in lines)
    keys = story.by_key
    devices = collections.Counter((line["tenant"], line["device"]) for line in lines if line["kind"] == "open")
    status = collections.Counter(outcome["status"] for outcome in story.outcomes.values())
    resumed = [line for line in lines if line["kind"] == "subscribe" and line["since"] and line["since"]["epoch"]]
    return {
        "seconds": round(lines[-1]["t"]) if lines else 0,
        "events": len(keys),
        "copies sent": len(story.emits),
        "duplicates offered": sum(_copies(emits) for emits in keys.values()),
        "conflicts offered": sum(len({e.hash for e in emits}) - 1 for emits in keys.values()),
        "accepted": sum(1 for emits in keys.values() if any(e.sequence for e in emits)),
        "applied": status["applied"],
        "refused": status["refused"],
        "dead-lettered": status["dead_lettered"],
        "answers lost": sum(1 for e in story.emits if not e.answered),
        "temporary errors": sum(1 for e in story.emits if e.temporary),
        "phones": len(devices),
        "sessions": kinds["open"],
        "reconnects": kinds["open"] - len(devices),
        "resumes": len(resumed),
        "not recovered": sum(1 for line in resumed if not line["recovered"]),
        "pushes delivered": kinds["push"],
        "values delivered": kinds["value"],
        "pushes stored": sum(len(snapshot["streams"][name]["messages"]) for name in ("CHANNELS", "THREADS")),
        "dead letters": len(snapshot["streams"]["DEADLETTERS"]["messages"]),
        "faults": sum(1 for _, fault in story.faults if fault["phase"] == "begin"),
        "seconds of faults": round(_fault_seconds(story)),
    }


def _copies(emits):
    """How often a payload was sent again."""
    return len(emits) - len({e.hash for e in emits})


def _fault_seconds(story):
    """Time during which at least one fault was going on."""
    total, under_way, since = 0.0, 0, 0.0
    for _, fault in story.faults:
        if fault["phase"] == "begin":
            since = fault["t"] if under_way == 0 else since
            under_way += 1
        elif under_way:
            under_way -= 1
            total += fault["t"] - since if under_way == 0 else 0
    return total


def report(found):
    """Violations as text, the first of each rule."""
    by_rule = collections.Counter(violation.rule for violation in found)
    rows = [str(violation) for violation in found[:SHOWN]]
    if len(found) > SHOWN:
        rows.append(f"... and {len(found) - SHOWN} more: " + ", ".join(f"({r}) {n}" for r, n in sorted(by_rule.items())))
    return "\n".join(rows)


def main(words):
    lines, snapshot = ledger.read(words[0]), snapshots.read(words[1])
    for name, number in figures(lines, snapshot).items():
        print(f"{number:>10}  {name}")
    found = check(lines, snapshot)
    print(report(found) or "nothing is violated")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
