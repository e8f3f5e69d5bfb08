"""Rule (g): once the faults have ended, everything comes to rest: nothing waits, and everybody is there."""

from .story import Violation

PARTITIONS = 64
OVERDUE_MS = 5000  # a scan each half second, and what it publishes takes its time


def check(story):
    snapshot, found = story.snapshot, []

    def broken(text, *refs):
        found.append(Violation("g", text, list(refs)))

    if story.end > len(story.lines):
        broken("the ledger has no end: the run did not come to rest")
    for message in snapshot["streams"]["EVENTS"]["messages"][:20]:
        broken(f"EVENTS still holds {message['seq']} ({message['subject']})", message["seq"],
               message["headers"].get("ce-id", ""))  # fmt: skip
    for consumer in snapshot["consumers"]:
        if consumer["pending"] or consumer["unacked"]:
            broken(f"consumer {consumer['name']} lags: {consumer['pending']} pending, {consumer['unacked']} unacknowledged")
    _partitions(snapshot, broken)
    for row in snapshot["documents"].get("outbox", []):
        if row.get("state") == "unreadable":
            broken(f"row {row['_id']} of the outbox was set aside as unreadable", row["_id"])
        elif row.get("state") == "due" and row["due_at"]["ms"] < snapshot["at_ms"] - OVERDUE_MS:
            broken(f"row {row['_id']} of the outbox is overdue", row["_id"])
    for process in snapshot["processes"]:
        if not process["running"] or process["ready"] is False:
            broken(f"{process['name']} is {'not ready' if process['running'] else 'not running'}")
    return found


def _partitions(snapshot, broken):
    """Each partition has one living owner, and one consumer, which is its lease's."""
    owned = {}
    for number in range(PARTITIONS):
        lease = snapshot["leases"].get(str(number))
        if not lease or lease["state"] != "held" or lease["worker"] not in snapshot["workers"]:
            broken(f"partition {number} has no living owner: {lease}")
    for consumer in snapshot["consumers"]:
        owned.setdefault(consumer["name"].split("-")[0], []).append(consumer["name"])
    for number in range(PARTITIONS):
        names = owned.get(f"p{number}", [])
        if len(names) != 1:
            broken(f"partition {number} has {len(names)} consumers: {names}")
