"""The clocks of a complaint ring on real servers, each once, whatever happens to the worker; and a filing that was set
aside is replayed once.

The rules are a day or two here; the rows of the outbox are then made due, as if the days had passed.
"""

import base64
import datetime
import json

import wire
from people import new_id, new_receipt
from rule_packs import wide_rules
from test_complaints import Office, seal, reply_key_of, unseal
from test_set_aside import nurse
from waiting import until

SETTINGS = {"public_tenants": "open-one", "ack_wait_ms": 3000, "lease_ttl_ms": 1000}
DAYS = {"acknowledge_days": 1, "resolve_days": 2, "extend_days": 1, "remind_before_days": 1}


def day(text, days):
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) + datetime.timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def told(office, member):
    """(kind, clock, due) of all that was pushed to a handler, from the broker."""
    messages = office.stack.bus.messages("CHANNELS", f"chan.{office.town.name}.member.{member}")
    pushes = [wire.unpack("Push", m.data) for m in messages]
    news = [wire.unpack("ComplaintUpdated", base64.b64decode(p["payload"])) for p in pushes if p["type"] == "complaint.updated"]
    return [(n["kind"], n.get("clock"), n.get("dueAt")) for n in news]


class Timers:
    """Of one cause: its rows of the outbox."""

    def __init__(self, office, sequence):
        self.office, self.name = office, f"{office.town.name}|{sequence}"

    def due(self):
        return {row["_id"].rpartition("-")[2]: row["due_at"] for row in self.office.town.find("outbox", state="due")
                if row["_id"].startswith(self.name)}  # fmt: skip

    def make_due(self, *ordinals):
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)
        rows = [f"{self.name}-{n}" for n in ordinals]
        outbox = self.office.stack.documents["outbox"]
        changed = outbox.update_many({"_id": {"$in": rows}, "state": "due"}, {"$set": {"due_at": past}})
        assert changed.matched_count == len(rows)

    def wait_done(self, *ordinals):
        rows = [f"{self.name}-{n}" for n in ordinals]
        until(lambda: all(self.office.town.find("outbox", _id=row, state="done") for row in rows), 30, what="the rows are done")
        until(lambda: self.office.stack.bus.stream("EVENTS")["state"]["messages"] == 0, 30, what="nothing is under way")


def test_each_clock_rings_once(new_stack, tmp_path):
    stack = new_stack(**SETTINGS, rules_dir=wide_rules(tmp_path / "short", complaint=DAYS))
    office, worker = Office(stack), stack.workers[0]
    receipt = new_receipt()
    event_id, sequence = office.file(receipt)
    assert office.outcome(event_id, sequence)["status"] == "APPLIED"
    case = office.read(receipt, sequence)["complaint"]
    this, filed = {"complaintId": case["complaintId"]}, case["filedAt"]
    assert (case["acknowledgeBy"], case["resolveBy"]) == (day(filed, 1), day(filed, 2))
    new = ("NEW", None, None)
    soon = ("DUE_SOON", "ACKNOWLEDGE", day(filed, 1))
    late = ("OVERDUE", "ACKNOWLEDGE", day(filed, 1))
    timers = Timers(office, sequence)
    timers.wait_done(0)  # a day before the end of a day: at once
    assert told(office, "h1") == [new, soon]
    assert sorted(timers.due()) == ["1", "2", "3"]

    # The first end comes, and the worker dies when it has told of it and not yet said so to the broker.
    worker.terminate()
    timers.make_due(1)
    stack.start_worker(worker, ready=False, fault="before_ack")
    until(lambda: not worker.running, 30, what="the worker has died")
    stack.start_worker(worker)
    timers.wait_done(1)
    assert told(office, "h1") == [new, soon, late]

    # Extended, once: the clock of before is moot, the new one rings.
    handler, second = office.handlers["h1"], office.handlers["h2"]
    handler.done("complaint.acknowledged", this)
    handler.done("complaint.extension_requested", {**this, "days": 1})
    extended = second.emit("complaint.extended", {**this, "days": 1})
    assert second.outcome(extended)["status"] == "APPLIED"
    again = second.outcome(second.emit("complaint.extended", {**this, "days": 1}))
    assert (again["status"], again["code"]) == ("REFUSED", "already_extended")
    case = office.read(receipt)["complaint"]
    assert (case["state"], case["resolveBy"], case["extendedDays"]) == ("EXTENDED", day(filed, 3), 1)
    granted = ("EXTENSION_GRANTED", None, day(filed, 3))
    assert told(office, "h1") == [new, soon, late, granted]
    timers.make_due(2, 3)
    timers.wait_done(2, 3)
    assert told(office, "h1") == [new, soon, late, granted], "the moved end is none"
    more = Timers(office, extended["sequence"])
    for ordinal, kind in ((0, "DUE_SOON"), (1, "OVERDUE")):
        worker.terminate()
        more.make_due(ordinal)
        stack.start_worker(worker)
        more.wait_done(ordinal)
        assert told(office, "h1")[-1] == (kind, "RESOLVE", day(filed, 3))
    assert len(told(office, "h1")) == 6 and not timers.due() and not more.due()
    assert len(told(office, "h2")) == 1, "the one above was asked for the extension, and is told of no clock"


def replay_again(stack, letter):
    """As `yzctl dlq replay` whose removal of the letter was lost, so that it is replayed once more."""
    head, partition, rest = letter.headers["Yz-Origin-Subject"].split(".", 2)
    assert head == "evt" and not rest.startswith("$own.")
    subject = f"{head}.{partition}.$own.{rest}"
    return stack.bus.publish(subject, letter.data, {**letter.headers, "Nats-Msg-Id": new_id("r")})


def test_a_filing_that_was_set_aside_is_replayed_once(new_stack):
    """Of nobody, as it was: the receipt opens it, the handler is told once, and each clock stands once."""
    stack = new_stack(**SETTINGS)
    office, worker = Office(stack), stack.workers[0]
    receipt, event_id = new_receipt(), new_id("poison")
    filing = office.filed(receipt, text="设备采购")
    worker.terminate()
    status, _, accepted = office.send("complaint.filed", filing, event_id)
    assert status == 202
    (letter,), _ = nurse(office.town, f"crash_on_event:{event_id}")
    worker.terminate()
    stack.start_worker(worker)
    sequence = int(accepted["sequence"])
    assert office.outcome(event_id, sequence)["status"] == "DEAD_LETTERED"
    assert not office.town.find("complaints")
    (listed,) = json.loads(stack.ctl("dlq", "list", "--json", "--tenant", office.town.name))["letters"]
    stack.ctl("dlq", "replay", listed["sequence"])
    until(lambda: office.outcome(event_id, sequence)["status"] == "APPLIED", 20, what="it is applied")
    replay_again(stack, letter)
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 20, what="all is settled")

    outcome = office.outcome(event_id, sequence)
    assert (outcome["status"], int(outcome["sequence"])) == ("APPLIED", sequence)
    seen = office.read(receipt)
    assert seen["complaint"]["state"] == "FILED" and len(seen["entries"]) == seen["complaint"]["entries"] == 1
    assert unseal(reply_key_of(office.town.name, receipt), seen["entries"][0]["sealed"][0]["sealed"]) == "设备采购"
    assert [news[0] for news in told(office, "h1")] == ["NEW"]
    rows = office.town.find("outbox", type="complaint.clock_rung")
    assert len(rows) == len({row["due_at"] for row in rows}) == 4
    assert len(office.town.find("outcomes", type="complaint.filed")) == 1
    office.handlers["h1"].done("complaint.acknowledged", {"complaintId": seen["complaint"]["complaintId"]})

    # And what is said afterwards goes where it went.
    more = {"receipt": receipt, "content": [{"keyId": "k-h1", "sealed": seal(office.keys["k-h1"].public_key, "还有")}]}
    event_id = new_id("n")
    _, _, accepted = office.send("complaint.message_added", more, event_id)
    assert office.outcome(event_id, int(accepted["sequence"]))["status"] == "APPLIED"
    assert len(office.read(receipt)["entries"]) == 2
