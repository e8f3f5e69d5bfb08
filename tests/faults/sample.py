"""A small run by hand: what two phones wrote down and what the system holds, agreeing in everything.

The tests of the checker break it in one place at a time.
"""

import copy
import hashlib
import hmac
import json

import snapshot as snapshots
import wire
from people import checkin_code
from rules.domain import SET_ASIDE, normal, stamp
from rules.story import hash_of

PATH, TENANT = "g1/c1/b1", "t1"
SECRET = b"s" * 32
NOON = 1_790_000_000_000  # ms
FIRST = 1 << 40
THREAD, ORG, MEETING = f"thread.{PATH}.t1", f"org.{PATH}", f"meeting.{PATH}.k1"
ROSTER = ["ann", "bob"]
SLOT = NOON // 1000 // 30


class Sample:
    """Events are settled as they are added; everything is delivered to whoever holds the channel."""

    def __init__(self):
        self.lines, self.frames, self.sequence, self.t = [], 0, FIRST - 1, 0.0
        self.held = {}  # session: channels
        self.people = {}  # session: member
        self.documents = {name: [] for name in (
            "outcomes", "notices", "notice_receipts", "meetings", "meeting_rosters", "checkins", "posts", "post_states",
            "threads", "thread_writers", "outbox", "study_hours", "study_sources", "meeting_orgs", "meeting_years")}  # fmt: skip
        self.streams = {
            name: {"epoch": "1.a", "max_per_subject": {"STATE": 1, "THREADS": 10000}.get(name, 1000),
                   "max_age_s": 1209600.0, "window_s": 120.0, "first_seq": 1, "last_seq": 0, "messages": []}
            for name in snapshots.STREAMS}  # fmt: skip

    def write(self, kind, **fields):
        self.t += 0.01
        self.lines.append({"t": round(self.t, 4), "kind": kind, **fields})

    def open(self, session, member, channels, device=None, gateway=0):
        self.people[session], self.held[session] = member, []
        self.write("open", session=session, tenant=TENANT, member=member, path=PATH, roles=["member"],
                   device=device or f"{member}-1", gateway=gateway, encoding="json")  # fmt: skip
        for channel, since in channels:
            self.subscribe(session, channel, since)

    def subscribe(self, session, channel, since=None):
        last = self.stream_of(channel)["last_seq"]
        missed = [m for m in self.messages(channel) if since and m["seq"] > since["offset"]]
        self.write("subscribe", session=session, channel=channel, since=since, epoch="1.a", offset=last,
                   recovered=bool(since and since["epoch"]), missed=len(missed))  # fmt: skip
        for message in missed:
            self.deliver(session, channel, message)
        self.held[session].append(channel)

    def stream_of(self, channel):
        return self.streams["THREADS" if channel.startswith("thread.") else "CHANNELS"]

    def messages(self, channel):
        return [m for m in self.stream_of(channel)["messages"] if m["subject"] == self.subject(channel)]

    def subject(self, channel):
        return f"thr.{TENANT}.{channel[7:]}" if channel.startswith("thread.") else f"chan.{TENANT}.{channel}"

    def deliver(self, session, channel, message):
        push = message["push"]
        self.write("push", session=session, channel=channel, offset=message["seq"], id=push["id"], type=push["type"],
                   payload=push["payload"])  # fmt: skip

    def emit(self, session, event, type_, payload, answer="accepted", sequence=None, attempt=1, **error):
        """One copy; its sequence once accepted."""
        self.frames += 1
        self.write("emit", session=session, tenant=TENANT, member=self.people[session], event=event, type=type_,
                   payload=payload, attempt=attempt, frame=self.frames)  # fmt: skip
        if answer == "accepted":
            fresh = sequence is None
            self.sequence += fresh
            self.write("accepted", session=session, event=event, sequence=sequence or self.sequence, duplicate=not fresh,
                       frame=self.frames)  # fmt: skip
            return sequence or self.sequence
        if answer == "error":
            self.write("error", session=session, event=event, frame=self.frames, **error)
        return 0

    def settle(self, member, event, type_, payload, sequence, code="", text="", field="", status=None):
        status = status or ("refused" if code else "applied")
        at = NOON + (sequence - FIRST) * 10
        self.documents["outcomes"].append({
            "_id": f"{TENANT}|{member}|{event}", "tenant": TENANT, "evt_seq": sequence, "actor": member, "event_id": event,
            "type": type_, "hash": hash_of(type_, payload), "sequence": sequence, "status": status, "code": code,
            "field": field, "text": text, "received_at": {"ms": at}})  # fmt: skip
        if status != "applied":
            self.told(member, event, type_, sequence, status, code, text, field)
        return at

    def told(self, member, event, type_, sequence, status, code, text="", field=""):
        ordinal = SET_ASIDE if status == "dead_lettered" else 0
        self.push(f"member.{member}", "event.outcome", {
            "eventId": event, "type": type_, "status": status.upper(), "code": code, "text": text, "field": field,
            "sequence": str(sequence), "receivedAt": stamp(NOON + (sequence - FIRST) * 10)}, sequence, ordinal)  # fmt: skip

    def row(self, cause, ordinal, member, type_):
        """A row of the outbox that became an event of the system's own; its sequence."""
        self.sequence += 1
        row = f"{cause}-{ordinal}"
        self.documents["outbox"].append({"_id": f"{TENANT}|{row}", "tenant": TENANT, "state": "done", "type": type_,
                                         "due_at": {"ms": NOON}, "cause": cause})  # fmt: skip
        self.documents["outcomes"].append({
            "_id": f"{TENANT}|{member}|$t-{row}", "tenant": TENANT, "evt_seq": self.sequence, "actor": member,
            "event_id": f"$t-{row}", "type": type_, "hash": "1" * 32, "sequence": self.sequence, "status": "applied", "code": "",
            "field": "", "text": "", "received_at": {"ms": NOON}})  # fmt: skip
        return self.sequence

    def document(self, collection, by, *parts, **fields):
        """As event `by` made it."""
        self.documents[collection].append({"_id": "|".join((TENANT, *parts)), "tenant": TENANT, "evt_seq": by,
                                           "evt_first": by, **fields})  # fmt: skip

    def push(self, channel, type_, payload, sequence, ordinal=0):
        stream = self.stream_of(channel)
        stream["last_seq"] += 1
        id_ = f"{sequence}-{ordinal}"
        message = {"seq": stream["last_seq"], "ms": NOON + sequence - FIRST, "subject": self.subject(channel),
                   "msg_id": f"p-{id_}", "headers": {},
                   "push": {"id": id_, "type": type_, "payload": normal(type_, payload), "version": 0}}  # fmt: skip
        stream["messages"].append(message)
        for session, channels in self.held.items():
            if channel in channels:
                self.deliver(session, channel, message)

    def value(self, channel, name, type_, payload, sequence):
        state = self.streams["STATE"]
        state["last_seq"] += 1
        subject = f"state.{TENANT}.{channel}.{name}"
        state["messages"] = [m for m in state["messages"] if m["subject"] != subject] + [{
            "seq": state["last_seq"], "ms": NOON, "subject": subject, "msg_id": "", "headers": {},
            "push": {"id": f"v-{sequence}-1", "type": type_, "payload": normal(type_, payload),
                     "version": sequence}}]  # fmt: skip
        for session, channels in self.held.items():
            if channel in channels:
                self.write("value", session=session, channel=channel, name=name, version=sequence, payload=payload)

    def close(self, session, code=1000, reason="", asked=True):
        del self.held[session]
        self.write("close", session=session, code=code, reason=reason, asked=asked)

    def snapshot(self):
        return {
            "at_ms": NOON + 60000, "settings": {"code_grace_ms": "10000", "session_backlog_max_bytes": "1048576"},
            "code_secret": SECRET.hex(), "documents": self.documents, "streams": self.streams,
            "consumers": [{"name": f"p{n}-{n + 7}", "pending": 0, "unacked": 0, "redelivered": 3} for n in range(64)],
            "leases": {str(n): {"worker": f"w{n % 2}", "state": "held"} for n in range(64)}, "workers": ["w0", "w1"],
            "processes": [{"name": "gateway0", "running": True, "ready": True},
                          {"name": "worker0", "running": True, "ready": True},
                          {"name": "nats", "running": True, "ready": None}],
            "replay": {"letter": 1, "reason": "bad_frame", "actor": "bob", "origin": 0, "event": 1, "settled": True,
                       "status": "dead_lettered", "code": "bad_frame", "back": True}}  # fmt: skip


def code():
    key = hmac.new(SECRET, f"meeting-key-v1\n{TENANT}\n{PATH}\nk1".encode(), hashlib.sha256).digest()
    return checkin_code(key, TENANT, PATH, "k1", SLOT, b"12345678")


def post(number, text=None):
    return {"orgPath": PATH, "threadId": "t1", "messageId": f"x{number}", "text": text or f"post {number}"}


def _posts(s, numbers, session="s1", member="ann"):
    for number in numbers:
        payload = post(number)
        sequence = s.emit(session, f"p{number}", "thread.posted", payload)
        at = s.settle(member, f"p{number}", "thread.posted", payload, sequence)
        s.document("posts", sequence, PATH, "t1", member, f"x{number}", org_path=PATH, thread_id="t1",
                   message_id=f"x{number}", author=member, text=payload["text"], reply_to=0, sequence=sequence,
                   posted_at={"ms": at})  # fmt: skip
        s.push(THREAD, "thread.post", {**payload, "author": member, "sequence": str(sequence), "postedAt": stamp(at)}, sequence)


def _thread(s):
    """What the last post left of thread t1 and of its author."""
    named, posts = {"org_path": PATH, "thread_id": "t1"}, s.documents["posts"]
    first, last = posts[0], posts[-1]
    for made in posts:
        s.document("post_states", made["sequence"], PATH, "t1", str(made["sequence"]), **named, sequence=made["sequence"],
                   author=made["author"])  # fmt: skip
    s.document("threads", last["sequence"], PATH, "t1", **named, starter=first["author"], started_at=first["posted_at"],
               last_sequence=last["sequence"], last_at=last["posted_at"], posts=len(posts))  # fmt: skip
    s.document("thread_writers", last["sequence"], PATH, "t1", last["author"], **named, member=last["author"],
               posted=[made["posted_at"] for made in posts], marked=[], rules="2026-1")  # fmt: skip
    for collection in ("threads", "thread_writers"):
        s.documents[collection][-1]["evt_first"] = first["sequence"]


def _refusals(s):
    """The same message id again, another payload under a used event id, and what the gateway refuses."""
    sequence = s.emit("s1", "p1-again", "thread.posted", post(1, "again"))
    s.settle("ann", "p1-again", "thread.posted", post(1, "again"), sequence, "already_posted", "It was posted already.")
    sequence = s.emit("s1", "p2", "thread.posted", post(2, "another text"))
    s.told("ann", "p2", "thread.posted", sequence, "refused", "id_conflict")
    s.emit("s1", "p-bad", "thread.posted", post(77, "no"), "error", code="forbidden", temporary=False, retry_ms=0)
    s.emit("s1", "p-busy", "thread.posted", post(78, "later"), "error", code="busy", temporary=True, retry_ms=100)


def _notice(s):
    payload = {"noticeId": "n1", "orgPath": PATH, "noticeClass": "INFO", "title": "t"}
    sequence = s.emit("s3", "n1", "notice.published", payload)
    at = s.settle("bob", "n1", "notice.published", payload, sequence)
    s.document("notices", sequence, "n1", notice_id="n1", org_path=PATH, notice_class="INFO", title="t", body="",
               publisher="bob", publish_at={"ms": at}, sequence=sequence, state="NOTICE_RELEASED", org_paths=[PATH],
               inbox=[PATH])  # fmt: skip
    s.push(ORG, "notice.posted", {**payload, "publisher": "bob", "publishedAt": stamp(at), "sequence": str(sequence)}, sequence)
    sequence = s.emit("s1", "r1", "notice.read", {"noticeId": "n1"})
    s.settle("ann", "r1", "notice.read", {"noticeId": "n1"}, sequence)
    s.document("notice_receipts", sequence, "n1", PATH, notice_id="n1", org_path=PATH, others=[{"m": "ann", "r": True}])
    count = {"noticeId": "n1", "orgPath": PATH, "read": 1, "delivered": 1}
    s.value("member.bob", f"receipts.n1.{PATH}", "notice.receipt_count", count, sequence)


def _meeting(s):
    named = {"orgPath": PATH, "meetingId": "k1"}
    convened = {**named, "kind": "ASSEMBLY", "title": "t", "startsAt": "2026-09-21T14:00:00Z", "endsAt": "2026-09-21T15:00:00Z",
                "roster": ROSTER}  # fmt: skip
    sequences = {}
    for event, type_, payload, session, member in (
        ("k1", "meeting.convened", convened, "s3", "bob"), ("o1", "meeting.opened", named, "s3", "bob"),
        ("c1", "checkin.recorded", {**named, "method": "CODE", "code": code()}, "s1", "ann"),
    ):  # fmt: skip
        sequence = sequences[type_] = s.emit(session, event, type_, payload)
        sequences[f"{type_} at"] = s.settle(member, event, type_, payload, sequence)
        if type_ == "meeting.convened":
            told = {k: v for k, v in convened.items() if k != "roster"}
            s.push(ORG, "meeting.announced", {**told, "convener": "bob", "rosterCount": 2}, sequence)
        elif type_ == "meeting.opened":
            s.push(MEETING, "meeting.state_changed", {**named, "state": "OPEN"}, sequence)
            s.value(MEETING, "attendance", "meeting.attendance_count", {"shouldAttend": 2}, sequence)
        else:
            s.push("member.ann", "checkin.confirmed", {**named, "method": "CODE", "checkedInAt": stamp(sequences[f"{type_} at"])},
                   sequence)  # fmt: skip
            s.value(MEETING, "attendance", "meeting.attendance_count", {"present": 1, "shouldAttend": 2}, sequence)
    _meeting_documents(s, sequences)


def _meeting_documents(s, sequences):
    first, last = sequences["meeting.convened"], sequences["checkin.recorded"]
    named = {"org_path": PATH, "meeting_id": "k1"}
    s.document("meeting_rosters", first, PATH, "k1", **named, members=ROSTER, voters={"hex": "03"},
               until=f"1790002800000|{PATH}|k1".zfill(15 + len(f"|{PATH}|k1")))  # fmt: skip
    s.document("meetings", last, PATH, "k1", **named, kind="ASSEMBLY", title="t", place="", convener="bob", code_period_s=30,
               starts_at={"ms": 1_789_999_200_000}, ends_at={"ms": 1_790_002_800_000}, should=2, state="OPEN",
               listed="001789999200000|k1", voting=2,
               convened_at={"ms": sequences["meeting.convened at"]}, opened_at={"ms": sequences["meeting.opened at"]},
               present={"hex": "01"}, present_count=1)  # fmt: skip
    s.documents["meetings"][-1]["evt_first"] = first
    s.document("checkins", last, PATH, "k1", "ann", **named, member="ann", method="CODE", slot=SLOT,
               checked_in_at={"ms": sequences["checkin.recorded at"]})  # fmt: skip


def _close(s):
    """The meeting ends, and what follows by itself: a row for its figures, one for its credits, one for ann's hours."""
    named = {"orgPath": PATH, "meetingId": "k1"}
    closed = s.emit("s3", "z1", "meeting.closed", named)
    at = s.settle("bob", "z1", "meeting.closed", named, closed)
    s.documents["meetings"][-1].update(state="CLOSED", closed_at={"ms": at}, present_at_close=1, closed_seq=closed,
                                       closed_present={"hex": "01"}, evt_seq=closed)  # fmt: skip
    s.push(MEETING, "meeting.state_changed", {**named, "state": "CLOSED", "present": 1}, closed)
    s.value(MEETING, "attendance", "meeting.attendance_count", {"present": 1, "shouldAttend": 2}, closed)
    held = s.row(closed, 1, "bob", "meeting.held")
    due = s.row(closed, 2, "bob", "meeting.credits_due")
    credited = s.row(due, 1, "ann", "study.credited")
    hours = {"member": "ann", "source_kind": "ATTENDED_MEETING", "source": f"{PATH}/k1", "seconds": 60, "org_path": PATH,
             "year": 2026, "rules": "2026-1", "ended_at": {"ms": at}, "sequence": credited}  # fmt: skip
    s.document("study_hours", credited, "ann", "ATTENDED_MEETING", f"{PATH}/k1", **hours)
    s.push("member.ann", "study.credited", {
        "sourceKind": "ATTENDED_MEETING", "source": f"{PATH}/k1", "seconds": 60, "orgPath": PATH, "endedAt": stamp(at),
        "year": 2026, "rulesVersion": "2026-1", "sequence": str(credited)}, credited)  # fmt: skip
    s.document("meeting_years", held, PATH, "2026", org_path=PATH,
               meetings=[{"m": "k1", "k": "ASSEMBLY", "s": 2, "p": 1, "l": 0, "t": 1, "q": closed}])  # fmt: skip
    s.document("meeting_orgs", held, PATH, org_path=PATH, ASSEMBLY={"ms": at})


def _poison(s):
    """Garbage straight into EVENTS, in bob's name."""
    s.sequence += 1
    s.write("fault", name="poison", target="EVENTS", phase="begin", detail={"poison": [{
        "sequence": s.sequence, "tenant": TENANT, "actor": "bob", "event": "bad1", "reason": "bad_frame", "hash": "0" * 32}]})
    s.write("fault", name="poison", target="EVENTS", phase="end", detail={})
    at = NOON + (s.sequence - FIRST) * 10
    s.documents["outcomes"].append({
        "_id": f"{TENANT}|bob|bad1", "tenant": TENANT, "evt_seq": s.sequence, "actor": "bob", "event_id": "bad1",
        "type": "notice.published", "hash": "0" * 32, "sequence": s.sequence, "status": "dead_lettered", "code": "bad_frame",
        "field": "", "text": "t", "received_at": {"ms": at}})  # fmt: skip
    s.told("bob", "bad1", "notice.published", s.sequence, "dead_lettered", "bad_frame", "t")
    _letter(s, "bad1", s.sequence, "bad_frame", "0" * 32)


def _set_aside(s, event):
    """What ann did was applied; then it ended its worker, again and again."""
    outcome = next(o for o in s.documents["outcomes"] if o["event_id"] == event)
    outcome.update(status="dead_lettered", code="unprocessable", text="t")
    s.told("ann", event, outcome["type"], outcome["sequence"], "dead_lettered", "unprocessable", "t")
    _letter(s, event, outcome["sequence"], "unprocessable", outcome["hash"], attempts=4)


def _letter(s, event, sequence, reason, content, attempts=1):
    letters = s.streams["DEADLETTERS"]
    letters["last_seq"] += 1
    letters["messages"].append({
        "seq": letters["last_seq"], "ms": NOON + (sequence - FIRST) * 10, "subject": f"dlq.{TENANT}.notice",
        "msg_id": f"d-{sequence}", "push": None, "hash": content,
        "headers": {"Yz-Dead-Reason": reason, "Yz-Dead-Text": "t", "Yz-Dead-Attempts": str(attempts), "ce-id": event,
                    "Yz-Origin-Subject": "evt.3.t1.notice.g1/c1/b1", "Yz-Origin-Sequence": str(sequence)}})  # fmt: skip


def make(set_aside=None, closed=False):
    """(lines, snapshot) of a run in which everything is right. set_aside: an event that ended its worker; closed: the meeting
    is."""
    s = Sample()
    everything = {"epoch": "", "offset": 0}
    s.write("run", settings={}, seed=1)
    s.open("s1", "ann", [("member.ann", None), (THREAD, None), (ORG, None), (MEETING, None)])
    s.open("s2", "bob", [("member.bob", None), (THREAD, everything), (ORG, None)], gateway=1)
    _posts(s, range(1, 4))
    s.emit("s1", "p3", "thread.posted", post(3), sequence=s.sequence, attempt=2)
    s.close("s2", 1006, asked=False)
    _posts(s, range(4, 7))
    _thread(s)
    s.open("s3", "bob", [("member.bob", {"epoch": "1.a", "offset": 0}), (THREAD, {"epoch": "1.a", "offset": 3}),
                         (ORG, {"epoch": "1.a", "offset": 0})])  # fmt: skip
    s.write("sample", process="gateway0", rss=50 << 20, queues={"yizhan_gateway_uplink_pending": 3}, lag=2)
    _refusals(s)
    _notice(s)
    _meeting(s)
    if closed:
        _close(s)
    _poison(s)
    if set_aside:
        _set_aside(s, set_aside)
    s.write("outcome", session="s1", event="p1", status="APPLIED", code="", sequence=FIRST)
    s.write("end")
    for session in list(s.held):
        s.close(session)
    return json.loads(json.dumps(s.lines)), copy.deepcopy(json.loads(json.dumps(s.snapshot())))


assert wire.EVENTS  # the messages are there
