"""Rules (a) and (b) over what follows by itself: the outbox and the system's own events, study hours, figures of meetings.

No client sent these and no model is told them; they are held against the closed meetings that the model knows.
"""

import collections
import dataclasses
from collections.abc import Callable

from .domain import normal, stamp
from .story import Violation

COLLECTIONS = ("study_hours", "study_sources", "meeting_orgs", "meeting_years")
OWN = "$t-"  # begins the id of an event that a row of the outbox became
CREDITED = "study.credited"


@dataclasses.dataclass
class Closed:
    """What the model knows of the closed meetings."""

    meetings: list  # documents
    unsure: set  # (tenant, place) of those of which nothing exact can be said: they are left out
    present: Callable  # of a meeting: its members who were there


def check(closed, story, stored, seen, limit):
    """stored: messages by (tenant, channel); seen: (tenant, channel, push id) of all that anybody was sent; limit: pushes
    that a channel keeps."""
    found = []
    _rows(story, found)
    _hours(story, closed, found)
    _credits_told(story, stored, seen, limit, found)
    _years(story, closed, found)
    _last_held(story, closed, found)
    for row in story.snapshot["documents"].get("study_sources", []):
        found.append(Violation("b", f"study_sources holds {row['_id']}, and no hours of the run were revised", [row["_id"]]))
    return found


def own_outcomes(story):
    """(tenant, id of its row without the tenant): outcome of the event that a row became."""
    return {(key[0], key[2].removeprefix(OWN)): outcome for key, outcome in story.outcomes.items() if key[2].startswith(OWN)}


def set_aside(story):
    """Whether an event of the system's own was given up: what it was to leave may be there or not."""
    return any(outcome["status"] == "dead_lettered" for outcome in own_outcomes(story).values())


def _rows(story, found):
    """A row that was published became one event, which was settled; and each such event has its row."""
    rows = {tuple(row["_id"].split("|", 1)): row for row in story.snapshot["documents"].get("outbox", [])}
    own = own_outcomes(story)
    for key, row in rows.items():
        if row.get("state") == "done" and key not in own:
            found.append(Violation("a", f"row {row['_id']} of the outbox became an event, {row.get('type')}, which has no "
                                        "outcome", [row["_id"]]))  # fmt: skip
    for key, outcome in own.items():
        if key not in rows:
            found.append(Violation("b", f"{'/'.join(key)} has an outcome, and no row of the outbox made it", ["|".join(key)]))
        elif outcome["status"] == "refused":
            found.append(Violation("a", f"the system's own event {outcome['_id']} was refused: {outcome['code']}",
                                   [outcome["_id"]]))  # fmt: skip


def minutes_of(meeting):
    """Of its window, the minutes begun for which it was open, and never more than the window's whole ones."""
    starts, ends, opened, closed = (meeting[name]["ms"] for name in ("starts_at", "ends_at", "opened_at", "closed_at"))
    took_ms = min(ends, closed) - max(starts, opened)
    return min(-(-took_ms // 60_000), (ends - starts) // 60_000) if took_ms > 0 else 0


def held_ms(meeting):
    """When it ended: at its closing, at the latest at the end of its window, and not before it was opened."""
    return max(min(meeting["ends_at"]["ms"], meeting["closed_at"]["ms"]), meeting["opened_at"]["ms"])


def named(meeting):
    """(tenant, place): org path and id, as the ledger of hours names it."""
    return meeting["tenant"], f"{meeting['org_path']}/{meeting['meeting_id']}"


def _hours(story, closed, found):
    """Whoever was present at a closed meeting has its minutes, once; nobody else has any."""
    want = {}  # (tenant, member, source): seconds
    for meeting in closed.meetings:
        tenant, source = named(meeting)
        if seconds := 60 * minutes_of(meeting):
            want.update({(tenant, member, source): seconds for member in closed.present(meeting)})
    have = collections.Counter()
    for row in story.snapshot["documents"].get("study_hours", []):
        have[row["tenant"], row["member"], row["source"]] += row["seconds"]
        if row["source_kind"] != "ATTENDED_MEETING":
            found.append(Violation("b", f"hours {row['_id']} are of {row['source_kind']}, which nobody of the run did",
                                   [row["_id"]]))  # fmt: skip
    for key in sorted(set(want) | set(have)):
        if have[key] == want.get(key, 0) or (key[0], key[2]) in closed.unsure or (have[key] == 0 and set_aside(story)):
            continue
        rule = "a" if key in want else "b"
        found.append(Violation(rule, f"hours of {'/'.join(key)}: {have[key]} s, due are {want.get(key, 0)} s", ["/".join(key)]))


def _credits_told(story, stored, seen, limit, found):
    """Each credit stands once in its member's inbox, as it is in the ledger of hours; and nothing else does."""
    rows = {}  # (tenant, channel, push id): row
    for row in story.snapshot["documents"].get("study_hours", []):
        rows[row["tenant"], f"member.{row['member']}", f"{row['sequence']}-0"] = row
    told = {(tenant, channel, message["push"]["id"]): message["push"] for (tenant, channel), messages in stored.items()
            for message in messages if message["push"]["type"] == CREDITED}  # fmt: skip
    for key, row in rows.items():
        evicted = 0 < limit <= len(stored.get(key[:2], []))
        if key not in told and key not in seen and not evicted:
            found.append(Violation("a", f"{'/'.join(key[:2])} was not told of its hours {row['_id']}", [row["_id"]]))
    for key, push in told.items():
        row = rows.get(key)
        if row is None:
            found.append(Violation("b", f"{'/'.join(key[:2])} was told of hours (push {key[2]}) that nobody was credited with",
                                   [key[2]]))  # fmt: skip
        elif push["payload"] != (due := _credit(row)):
            found.append(Violation("a", f"{'/'.join(key[:2])}: push {key[2]} is {push['payload']}, due is {due}", [row["_id"]]))


def _credit(row):
    return normal(CREDITED, {
        "sourceKind": row["source_kind"], "source": row["source"], "seconds": row["seconds"], "orgPath": row["org_path"],
        "endedAt": stamp(row["ended_at"]["ms"]), "year": row["year"], "rulesVersion": row["rules"],
        "sequence": str(row["sequence"])})  # fmt: skip


def _years(story, closed, found):
    """Each closed meeting stands once in its org's year, with its figures; nothing else does."""
    have = collections.defaultdict(list)
    for year in story.snapshot["documents"].get("meeting_years", []):
        for entry in year["meetings"]:
            have[year["tenant"], f"{year['org_path']}/{entry['m']}"].append(entry)
    want = {named(meeting): meeting for meeting in closed.meetings}
    for key in sorted((set(want) | set(have)) - closed.unsure):
        meeting, name = want.get(key), "/".join(key)
        if meeting is None:
            found.append(Violation("b", f"the year holds figures of {name}, which nobody of the run closed", [name]))
            continue
        due = [{"k": meeting["kind"], "s": meeting["should"], "p": meeting["present_count"], "t": minutes_of(meeting)}]
        said = [{field: entry[field] for field in "kspt"} for entry in have[key]]
        if said != due and not (not said and set_aside(story)):
            found.append(Violation("a", f"the figures of the meeting {name} are {said}, due is {due}", [meeting["evt_seq"]]))


def _last_held(story, closed, found):
    """Of each org and kind when it was last held."""
    want = collections.defaultdict(dict)
    for meeting in closed.meetings:
        last, kind = want[meeting["tenant"], meeting["org_path"]], meeting["kind"]
        last[kind] = max(last.get(kind, 0), held_ms(meeting))
    rows = {(row["tenant"], row["org_path"]): row for row in story.snapshot["documents"].get("meeting_orgs", [])}
    for key in sorted(set(want) | set(rows)):
        said = {name: value["ms"] for name, value in rows.get(key, {}).items() if isinstance(value, dict)}
        unsure = any(tenant == key[0] and place.startswith(key[1] + "/") for tenant, place in closed.unsure)
        if said != want.get(key, {}) and not unsure and not set_aside(story):
            rule = "a" if key in want else "b"
            found.append(Violation(rule, f"{'/'.join(key)} is said to have last held {said}, due is {want.get(key, {})}",
                                   ["/".join(key)]))  # fmt: skip
