"""What a scenario stands on: a stack of its own, a ledger, people, and the checker at the end.

A scenario is a function of a Run, registered with the settings that it needs; `play` runs it and judges.
"""

import base64
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "integration")]

import checker  # noqa: E402
import ledger  # noqa: E402
import snapshot  # noqa: E402
from handset import Handset, Refused, Unanswered  # noqa: E402
from rules.story import channel_of, hash_bytes  # noqa: E402
from people import Person, checkin_code, code_slot, new_id  # noqa: E402
from stack import Stack  # noqa: E402
from waiting import TooLate, until  # noqa: E402

BRANCH = "g1/c1/b1"
THREAD = f"thread.{BRANCH}.t1"
ORG = f"org.{BRANCH}"
SETTINGS = {"log_level": "info", "lease_ttl_ms": 1000, "audit_interval_ms": 1000, "uplink_timeout_ms": 2000,
            "query_timeout_ms": 2000, "ack_wait_ms": 3000, "drain_ms": 200}  # fmt: skip
SETTLE_S = 20


SCENARIOS = {}  # name: (function, settings)


def scenario(**settings):
    """make: what builds the stack from a folder and settings, else a Stack of one worker and two gateways."""

    def register(function):
        SCENARIOS[function.__name__] = (function, settings)
        return function

    return register


def play(name, folder):
    """(violations, figures) of one run of a scenario."""
    function, settings = SCENARIOS[name]
    settings = dict(settings)
    make = settings.pop("make", None)
    if make is None:
        make, settings = Stack, {"workers": 1, "gateways": 2, **settings}
    with Run(folder, make, **settings) as run:
        try:
            function(run)
        except (TooLate, AssertionError) as failure:
            run.say(f"{name} did not come to its end, which the checker shall explain: {failure}")
        return run.judge()


class Run:
    """Lifetime: `with Run(folder, ...) as run`, then run.judge(); a stack that does not settle is judged as it is."""

    def __init__(self, folder, make=Stack, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stack = make(self.folder / "stack", **{**SETTINGS, **settings})
        self.ledger = ledger.Ledger(self.folder / "ledger.jsonl")
        self.keys = self.stack.keys
        self.handsets = []
        self.meeting_keys = {}
        self.level_s = 12  # for the last pushes: longer than a gateway needs to find one that was lost

    def __enter__(self):
        self.stack.start()
        told = {k: str(v) for k, v in self.stack.settings.items()}
        self.ledger.write("run", settings=told, seed=0)
        return self

    def say(self, text):
        print(text, file=sys.stderr)

    def __exit__(self, *_):
        for handset in self.handsets:
            handset.close()
        self.stack.stop()

    def url(self, gateway=0):
        return self.stack.url(gateway)

    # people and phones

    def person(self, member, tenant="t1", path=BRANCH, roles=("member",)):
        return Person(tenant, member, path, tuple(roles))

    def secretary(self, tenant="t1"):
        return self.person("sec", tenant, roles=("member", f"secretary@{BRANCH}"))

    def phone(self, person, channels=(), gateway=0, since="position", **options):
        handset = Handset(self, person, **options)
        self.handsets.append(handset)
        return handset.connect(channels, gateway, since)

    # events

    def post(self, phone, number, thread="t1", event_id=None, text=None):
        """A post as arguments of emit and post."""
        payload = {"orgPath": BRANCH, "threadId": thread, "messageId": f"x{number}", "text": text or f"post {number}"}
        return "thread.posted", payload, event_id or f"p-{thread}-{number}"

    def notice(self, number, **changes):
        payload = {"noticeId": f"n{number}", "orgPath": BRANCH, "noticeClass": "INFO", "title": f"notice {number}", **changes}
        return "notice.published", payload, f"n-{number}"

    def convene(self, desk, meeting, members, opened=True, starts_at="2030-01-01T08:00:00Z", ends_at="2030-01-01T10:00:00Z"):
        """A meeting with these members on its roster, and the key of its code."""
        named = {"orgPath": BRANCH, "meetingId": meeting}
        desk.done("meeting.convened", {**named, "kind": "ASSEMBLY", "title": "支部党员大会", "place": "三楼会议室",
                                       "startsAt": starts_at, "endsAt": ends_at,
                                       "roster": list(members), "codePeriodS": 30}, f"convene-{meeting}")  # fmt: skip
        if opened:
            desk.done("meeting.opened", named, f"open-{meeting}")
        self.meeting_keys[meeting] = base64.b64decode(desk.query("meeting.code_key", named)["key"])

    def checkin(self, tenant, meeting, member):
        code = checkin_code(self.meeting_keys[meeting], tenant, BRANCH, meeting, code_slot(30))
        payload = {"orgPath": BRANCH, "meetingId": meeting, "method": "CODE", "code": code}
        return "checkin.recorded", payload, f"c-{meeting}-{member}"

    def held(self, count):
        """So many events are in the hands of workers."""
        return sum(consumer["unacked"] for consumer in snapshot.consumers(self.stack.bus)) >= count

    def broker_forgets(self):
        """Wait until the duplicate window of all that was sent so far is over."""
        self.rest(self.stack.settings["duplicate_window_ms"] / 1000 + 0.5)

    def rest(self, seconds):
        """Time that has to pass for what the system does by the clock."""
        time.sleep(seconds)

    def until_soon(self, condition, timeout):
        """Wait for what should come; whether it did is the checker's question."""
        try:
            until(condition, timeout)
        except TooLate:
            pass

    def tolerate(self, call, *args):
        """An answer that may be an error, or never come."""
        try:
            return call(*args)
        except (Refused, Unanswered):
            return None

    # faults, written down

    def poison(self, member, body, reason, **changes):
        """Straight into EVENTS, on the partition of the thread; member None: its headers name nobody. reason: what it must be
        set aside for."""
        event = new_id("bad")
        headers = {
            "ce-specversion": "1.0", "ce-id": event, "ce-source": "test", "ce-type": "thread.posted",
            "ce-subject": f"thread|{BRANCH}|t1", "content-type": "application/protobuf", "ce-tenant": "t1",
            "ce-actor": member or "", "ce-orgpath": BRANCH, "ce-roles": "member", "ce-schemaversion": "1",
            "Nats-Msg-Id": new_id(), **changes}  # fmt: skip
        if member is None:
            headers = {name: value for name, value in headers.items() if name not in ("ce-actor", "ce-id")}
        subject = f"evt.{partition('t1', headers['ce-subject'])}.t1.thread.{BRANCH}"
        ack = self.stack.bus.publish(subject, body, headers)
        self.fault("poison", "EVENTS", poison=[{
            "sequence": ack.seq, "tenant": "t1", "actor": member, "event": event if member else None, "reason": reason,
            "hash": hash_bytes(headers["ce-type"], body)}])  # fmt: skip
        self.fault("poison", "EVENTS", "end")

    def fault(self, name, target, phase="begin", **detail):
        self.ledger.write("fault", name=name, target=target, phase=phase, detail=detail)

    def kill_worker(self, number=0):
        self.fault("kill", f"worker{number}")
        self.stack.workers[number].kill()
        self.fault("kill", f"worker{number}", "end")

    # the end

    def settled(self):
        """Nothing is stored and unsettled, and no row of the outbox is about to become an event."""
        return self._empty() and not snapshot.due_rows(self.stack) and self._empty()

    def _empty(self):
        return self.stack.bus.stream("EVENTS")["state"]["messages"] == 0

    def calm(self):
        """Wait until nothing is under way; a system that does not come to rest is the checker's finding, not ours."""
        try:
            for process in self.stack.workers + self.stack.gateways:
                self.stack.wait_ready(process)
            until(self.settled, SETTLE_S, every=0.1, what="EVENTS is empty")
            until(self._owned, SETTLE_S, every=0.1, what="every partition has an owner")
            until(self._delivered, self.level_s, every=0.1, what="all phones have everything")
        except (TooLate, AssertionError):
            pass

    def _owned(self):
        held = sum(self.stack.metric(worker, "yizhan_worker_partitions") for worker in self.stack.workers)
        return held == 64 and len(snapshot.consumers(self.stack.bus)) == 64

    def _delivered(self):
        """No open session lacks a push or a value: what is late is not lost."""
        open_ = [h for h in self.handsets if not h.over]
        last = {}
        for name in ("CHANNELS", "THREADS"):
            subjects = self.stack.bus.api(f"STREAM.INFO.{name}", {"subjects_filter": ">"})["state"].get("subjects", {})
            for subject in subjects:
                got = self.stack.bus.api(f"STREAM.MSG.GET.{name}", {"last_by_subj": subject})
                last[channel_of(subject)] = got["message"]["seq"]
        for handset in open_:
            for channel in list(handset.held):
                if handset.positions[channel]["offset"] < last.get((handset.person.tenant, channel), 0):
                    return False
        return True

    def judge(self, replay=True):
        """(violations, figures), once everything is calm. The ledger and the snapshot stay in the folder."""
        self.calm()
        self.ledger.write("end")
        for handset in self.handsets:  # before a dead letter is replayed, which they would hear of
            handset.close()
        self.ledger.close()
        taken = snapshot.take(self.stack, replay)
        snapshot.write(taken, self.folder / "snapshot.json")
        lines = ledger.read(self.folder / "ledger.jsonl")
        return checker.check(lines, taken), checker.figures(lines, taken)


def partition(tenant, aggregate):
    """FNV-1a, its halves folded, mod 64: as subject.h says."""
    value = 0xCBF29CE484222325
    for byte in f"{tenant}\n{aggregate}".encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return (value ^ value >> 32) % 64


__all__ = ["BRANCH", "ORG", "THREAD", "Run", "new_id"]
