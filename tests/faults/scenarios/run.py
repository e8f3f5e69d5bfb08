"""What a scenario stands on: a stack of its own, a ledger, people, and the checker at the end."""

import base64
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "integration")]

import checker  # noqa: E402
import ledger  # noqa: E402
import snapshot  # noqa: E402
from handset import Handset  # noqa: E402
from rules.story import channel_of  # noqa: E402
from people import Person, checkin_code, code_slot, new_id  # noqa: E402
from stack import Stack  # noqa: E402
from waiting import TooLate, until  # noqa: E402

BRANCH = "g1/c1/b1"
THREAD = f"thread.{BRANCH}.t1"
ORG = f"org.{BRANCH}"
SETTINGS = {"log_level": "info", "lease_ttl_ms": 1000, "audit_interval_ms": 1000, "uplink_timeout_ms": 2000,
            "query_timeout_ms": 2000, "ack_wait_ms": 3000, "drain_ms": 200}  # fmt: skip
SETTLE_S = 20


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

    def __enter__(self):
        self.stack.start()
        told = {k: str(v) for k, v in self.stack.settings.items()}
        self.ledger.write("run", settings=told, seed=0)
        return self

    def __exit__(self, *_):
        for handset in self.handsets:
            handset.close()
        self.stack.stop()
        self.ledger.close()

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

    def convene(self, desk, meeting, members, opened=True):
        """A meeting with these members on its roster, and the key of its code."""
        named = {"orgPath": BRANCH, "meetingId": meeting}
        desk.done("meeting.convened", {**named, "kind": "ASSEMBLY", "title": "支部党员大会", "place": "三楼会议室",
                                       "startsAt": "2030-01-01T08:00:00Z", "endsAt": "2030-01-01T10:00:00Z",
                                       "roster": list(members), "codePeriodS": 30}, f"convene-{meeting}")  # fmt: skip
        if opened:
            desk.done("meeting.opened", named, f"open-{meeting}")
        self.meeting_keys[meeting] = base64.b64decode(desk.query("meeting.code_key", named)["key"])

    def checkin(self, tenant, meeting, member):
        code = checkin_code(self.meeting_keys[meeting], tenant, BRANCH, meeting, code_slot(30))
        payload = {"orgPath": BRANCH, "meetingId": meeting, "method": "CODE", "code": code}
        return "checkin.recorded", payload, f"c-{meeting}-{member}"

    # faults, written down

    def fault(self, name, target, phase="begin", **detail):
        self.ledger.write("fault", name=name, target=target, phase=phase, detail=detail)

    def kill_worker(self, number=0):
        self.fault("kill", f"worker{number}")
        self.stack.workers[number].kill()
        self.fault("kill", f"worker{number}", "end")

    # the end

    def settled(self):
        return self.stack.bus.stream("EVENTS")["state"]["messages"] == 0

    def calm(self):
        """Wait until nothing is under way; a system that does not come to rest is the checker's finding, not ours."""
        try:
            for process in self.stack.workers + self.stack.gateways:
                self.stack.wait_ready(process)
            until(self.settled, SETTLE_S, every=0.1, what="EVENTS is empty")
            until(self._owned, SETTLE_S, every=0.1, what="every partition has an owner")
            until(self._delivered, 12, every=0.1, what="all phones have everything")
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
        taken = snapshot.take(self.stack, replay)
        snapshot.write(taken, self.folder / "snapshot.json")
        for handset in self.handsets:
            handset.close()
        self.ledger.close()
        lines = ledger.read(self.folder / "ledger.jsonl")
        return checker.check(lines, taken), checker.figures(lines, taken)


__all__ = ["BRANCH", "ORG", "THREAD", "Run", "new_id"]
