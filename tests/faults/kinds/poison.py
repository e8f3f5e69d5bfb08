"""Events that cannot be processed, put straight into EVENTS as a gateway with a fault would; and events that came before.

The detail names what must stand in DEADLETTERS, see ledger.py. What has no readable headers has no actor or event.
"""

import threading
import time

import wire
from handmade import headers, partition
from kinds.kind import Kind, register
from people import new_id
from rules.story import hash_bytes
from waiting import until
from world import of_nats

NOTICE = {"noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}
GOOD = wire.pack("NoticePublished", NOTICE)
PATIENCE_S = 60
ANSWER_S = 5

# name: (body, changed headers, changed subject, reason)
POISONS = {
    "noise": (b"\xff\xfe\xfd not protobuf", {}, {}, "unknown_field"),  # its first bytes are a field's number
    "empty": (b"", {}, {}, "missing_field"),
    "cut off": (GOOD[:-1], {}, {}, "bad_frame"),
    "without its last field": (GOOD[:-3], {}, {}, "missing_field"),
    "field from the future": (GOOD + b"\xf8\x07\x01", {}, {}, "unknown_field"),
    "oversized field": (wire.pack("NoticePublished", {**NOTICE, "title": "t" * 100}), {}, {}, "too_long"),
    "out of contract": (wire.pack("NoticePublished", {**NOTICE, "orgPath": "../x"}), {}, {}, "invalid_value"),
    "unknown type": (GOOD, {"type_": "no.such"}, {}, "unknown_type"),
    "no authority": (GOOD, {"ce-roles": "member"}, {}, "forbidden"),
    "authority elsewhere": (GOOD, {"ce-roles": "member,secretary@g1/c2"}, {}, "forbidden"),
    "no actor": (GOOD, {"ce-actor": None}, {}, "missing_field"),
    "no id": (GOOD, {"ce-id": None}, {}, "missing_field"),
    "no headers": (GOOD, None, {}, "missing_field"),
    "another tenant's subject": (GOOD, {}, {"tenant": "stranger"}, "invalid_value"),
    "another partition": (GOOD, {}, {"partition": 1}, "invalid_value"),
    "another aggregate": (GOOD, {"ce-subject": "notice|n2"}, {}, "invalid_value"),
}


class IntoEvents(Kind):
    hold = (0.2, 0.5)

    def targets(self, world):
        return ["EVENTS"]

    def touches(self, world, target):
        return world.way_to_nats()

    def reach(self, world):
        until(lambda: world.by_hand(lambda: world.has_quorum("EVENTS")), PATIENCE_S, 0.2, "EVENTS takes events")


def store(world, subject, body, made):
    """Into EVENTS: (its sequence, whether a copy may be there under another one). A broker that is choosing a leader may
    never answer; what is sent again bears the same message id, but that is known again within a window only."""
    since, unsure = time.monotonic(), False
    while True:
        try:
            ack = world.bus.publish(subject, body, made, ANSWER_S)
            return ack.seq, unsure and not ack.duplicate
        except Exception as error:
            if not of_nats(error) or time.monotonic() - since > PATIENCE_S:
                raise
            unsure = True
            time.sleep(0.2)


def put(world, tenant, name):
    """One of POISONS; its row in the detail."""
    body, changes, place, reason = POISONS[name]
    event, actor = new_id("poison"), new_id("poisoner")[:16]
    number = (partition(tenant, "notice|n1") + place.get("partition", 0)) % 64
    made = None if changes is None else headers(tenant, event, **{"ce-actor": actor, **changes})
    subject = f"evt.{number}.{place.get('tenant', tenant)}.notice.g1/c1/b1"
    sequence, unsure = store(world, subject, body, made)
    named = made is not None and "ce-actor" in made and "ce-id" in made
    content = hash_bytes((made or {}).get("ce-type", ""), body)
    return {"sequence": sequence, "tenant": tenant, "actor": actor if named else None, "event": event if named else None,
            "reason": reason, "hash": content, "unsure": unsure, "sort": name}  # fmt: skip


@register
class Poison(IntoEvents):
    """One of every sort."""

    name = "poison"
    loud = "yizhan_worker_events_dead_lettered_total, yzctl dlq list"

    def begin(self, world, target, rng):
        self.reach(world)
        names = list(POISONS)
        rng.shuffle(names)
        return {"poison": [put(world, rng.choice(world.tenants), name) for name in names]}


@register
class DeadLettersFull(IntoEvents):
    """Poison while DEADLETTERS takes no more: it stays in EVENTS, and what is behind it proceeds."""

    name = "dead_letters_full"
    hold = (2.0, 12.0)
    loud = "log dead_letter_refused"

    def begin(self, world, target, rng):
        self.reach(world)
        info = world.by_hand(lambda: world.bus.stream("DEADLETTERS"))
        self.remember(world, target, info["config"]["max_bytes"])
        limit = max(1, info["state"]["bytes"])
        world.by_hand(lambda: world.bus.update_stream("DEADLETTERS", max_bytes=limit))
        return {"poison": [put(world, rng.choice(world.tenants), rng.choice(list(POISONS))) for _ in range(3)]}

    def end(self, world, target):
        if limit := self.recall(world, target):
            world.by_hand(lambda: world.bus.update_stream("DEADLETTERS", max_bytes=limit))


@register
class Duplicate(IntoEvents):
    """What a gateway has just published comes once more, under a message id that the broker has not seen."""

    name = "duplicate"
    loud = "yizhan_worker_events_duplicate_total"

    def begin(self, world, target, rng):
        self.reach(world)
        again = []
        for _ in range(3):
            if (message := world.bus.next_message("evt.>", 2)) is not None:
                made = {**message.headers, "Nats-Msg-Id": new_id("again")}
                sequence, unsure = store(world, message.subject, message.data, made)
                again.append({"sequence": sequence, "unsure": unsure, "tenant": made.get("ce-tenant"),
                              "actor": made.get("ce-actor"), "event": made["ce-id"]})  # fmt: skip
        return {"again": again}


class Nurse(threading.Thread):
    """Starts workers again that an event killed, as a supervisor does, until that event is set aside, however long that
    takes; then gives them a start without the seed of death. Until then whoever starts a worker gives it the seed: one
    without it would find nothing wrong with the event and apply it."""

    def __init__(self, world, fault, sequence):
        super().__init__(daemon=True)
        self.world, self.fault, self.sequence = world, fault, sequence
        self.deaths = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.1) and not self._is_set_aside():
            for worker in self.world.workers:
                # Killed by the event, or by a fault of these moments; other deaths are for wait_calm to see.
                if not worker.running and worker.popen.returncode == -9:
                    self.deaths += 1
                    self.world.restart(worker.name)
        self.world.fault_points.discard(self.fault)
        for worker in self.world.workers:
            worker.kill()
            self.world.restart(worker.name)
        self.world.nurses.remove(self)

    def _is_set_aside(self):
        try:
            reply = self.world.bus.api("STREAM.MSG.GET.EVENTS", {"seq": self.sequence})
        except Exception:  # the bus may be away: it is asked again
            return False
        return reply.get("error", {}).get("err_code") == 10037


@register
class Crashing(IntoEvents):
    """An event that ends every worker that takes it, until it alone is set aside."""

    name, needs = "crashing_event", ("fault_points",)
    hold = (5.0, 10.0)
    loud = "restarts of yz-worker; yizhan_worker_events_dead_lettered_total"

    def touches(self, world, target):
        return world.way_to_nats() | {worker.name for worker in world.workers} | {"database"}

    def begin(self, world, target, rng):
        self.reach(world)
        event, tenant = new_id("poison"), rng.choice(world.tenants)
        fault = f"crash_on_event:{event}"
        world.fault_points.add(fault)
        for worker in world.workers:
            worker.kill()
            world.restart(worker.name)
        actor, notice = new_id("poisoner")[:16], new_id("n")
        aggregate = f"notice|{notice}"
        made = headers(tenant, event, **{"ce-actor": actor, "ce-subject": aggregate})
        body = wire.pack("NoticePublished", {**NOTICE, "noticeId": notice})
        subject = f"evt.{partition(tenant, aggregate)}.{tenant}.notice.g1/c1/b1"
        sequence, unsure = store(world, subject, body, made)
        nurse = Nurse(world, fault, sequence)
        world.nurses.append(nurse)
        nurse.start()
        return {"poison": [{"sequence": sequence, "tenant": tenant, "actor": actor, "event": event, "reason": "unprocessable",
                            "hash": hash_bytes(made["ce-type"], body), "unsure": unsure, "sort": "crash"}]}  # fmt: skip
