"""What events do, told a second time: the domains as a reader of PROTOCOL.md would write them, one event after another.

A deed is an event that got an outcome. `Domain.judge` says what its outcome had to be, `Domain.apply` what it leaves
behind: documents, pushes and values. No I/O, no clock.
"""

import base64
import collections
import dataclasses
import datetime
import hashlib
import hmac

import wire
from people import checkin_code
from rules.notices import Notices

APPLIED = ("applied", "")
VOIDS_MAX = 64
SET_ASIDE = 1000000  # ordinal of the push that tells of a dead letter: its event may have pushed before
HOUR_MS = 3600000
STATUS = {"refused": "REFUSED", "dead_lettered": "DEAD_LETTERED"}


@dataclasses.dataclass
class Deed:
    tenant: str
    member: str
    path: str
    event: str
    type: str
    payload: dict
    sequence: int  # of the message that decided: its place in the order
    first: int  # of the first acceptance
    at_ms: int
    status: str
    code: str
    text: str = ""
    field: str = ""
    emitted: int = 0  # number of the ledger line
    unsure: bool = False  # given up by the workers in the middle: it may have left effects

    @property
    def aggregate(self):
        return aggregate_of(self)


@dataclasses.dataclass
class Push:
    id: str
    type: str
    payload: dict
    deed: Deed


def aggregate_of(event):
    """What must stay in order, of a Deed or an Emit: (tenant, kind, names ...)."""
    p = event.payload
    if event.type in ("notice.received", "notice.read", "notice.confirmed"):
        return event.tenant, "receipts", event.path
    if event.type in ("notice.reminded", "notice.remind_due"):
        return event.tenant, "reminders", p.get("orgPath", "")
    if event.type.startswith("notice."):
        return event.tenant, "notice", p.get("noticeId", "")
    if event.type == "thread.posted":
        return event.tenant, "thread", p.get("orgPath", ""), p.get("threadId", "")
    if event.type.startswith("auth."):
        return event.tenant, "auth", p.get("memberId", "")
    return event.tenant, "meeting", p.get("orgPath", ""), p.get("meetingId", "")


def stamp(ms):
    moment = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def stamp_ms(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def normal(type_, payload):
    """A push's payload as every encoding gives it."""
    name = wire.PUSHES[type_]
    return wire.unpack(name, wire.pack(name, {k: v for k, v in payload.items() if v is not None}))


class Domain(Notices):
    stamp, stamp_ms = staticmethod(stamp), staticmethod(stamp_ms)

    def __init__(self, settings):
        """settings: code_secret (bytes), code_grace_ms, offline_max_ms (of the rule pack)."""
        self.settings = settings
        self.documents = collections.defaultdict(dict)  # collection: {_id: document}
        self.pushes = collections.defaultdict(list)  # (tenant, channel): [Push] in the order of deeds
        self.values = {}  # (tenant, channel, name): (version, type, payload)
        self.unsure = set()  # aggregates of which nothing exact can be said
        self.told_before = set()  # ((tenant, member, event), sequence) of what may have been refused before it was set aside
        self.seen_notice = {}  # (tenant, notice): ledger line at which somebody saw it pushed
        self._ordinal = 0  # of the next push of the deed that is being told

    @classmethod
    def knows(cls, type_):
        return all(hasattr(cls, f"_{verb}_{type_.replace('.', '_')}") for verb in ("judge", "apply"))

    # judging

    def judge(self, deed):
        """(status, code) that the outcome had to have; None: both ways are right."""
        return getattr(self, "_judge_" + deed.type.replace(".", "_"))(deed)

    def _judge_meeting_convened(self, deed):
        return ("refused", "exists") if self._meeting(deed) else APPLIED

    def _judge_meeting_opened(self, deed):
        meeting = self._meeting(deed)
        if not meeting:
            return "refused", "not_found"
        codes = {"OPEN": "meeting_open_already", "CLOSED": "meeting_closed"}
        return ("refused", codes[meeting["state"]]) if meeting["state"] in codes else APPLIED

    def _judge_meeting_closed(self, deed):
        meeting = self._meeting(deed)
        if not meeting:
            return "refused", "not_found"
        codes = {"CONVENED": "meeting_not_open", "CLOSED": "meeting_closed"}
        return ("refused", codes[meeting["state"]]) if meeting["state"] in codes else APPLIED

    def _judge_checkin_recorded(self, deed):
        meeting = self._meeting(deed)
        if not meeting:
            return "refused", "not_found"
        if deed.member not in self._roster(deed):
            return "refused", "not_on_roster"
        if self._get("checkins", deed, *self._ref(deed), deed.member):
            return "refused", "already_checked_in"
        code = self._judge_code(deed, meeting)
        return ("refused", code) if code else APPLIED

    def _judge_code(self, deed, meeting):
        slot, nonce = code_parts(deed.payload["code"])
        if slot is None:
            return "code_malformed"
        named = f"meeting-key-v1\n{deed.tenant}\n{meeting['org_path']}\n{meeting['meeting_id']}".encode()
        key = hmac.new(self.settings["code_secret"], named, hashlib.sha256).digest()
        right = checkin_code(key, deed.tenant, meeting["org_path"], meeting["meeting_id"], slot, nonce)
        if right != deed.payload["code"]:
            return "code_wrong"
        period = meeting["code_period_s"] * 1000
        if deed.payload.get("method") == "OFFLINE":
            return self._judge_offline(deed, meeting, slot * period, period)
        return self._judge_now(deed, meeting, slot * period, period)

    def _judge_now(self, deed, meeting, slot_ms, period):
        grace = self.settings["code_grace_ms"]
        if meeting["state"] != "OPEN":
            return "meeting_closed" if meeting["state"] == "CLOSED" else "meeting_not_open"
        if deed.at_ms < slot_ms - grace:
            return "code_early"
        return "code_expired" if deed.at_ms > slot_ms + period + grace else ""

    def _judge_offline(self, deed, meeting, slot_ms, period):
        opened, closed = meeting.get("opened_at"), meeting.get("closed_at")
        if not opened:
            return "meeting_not_open"
        if slot_ms > deed.at_ms + self.settings["code_grace_ms"]:
            return "code_early"
        if deed.at_ms > slot_ms + period + self.settings["offline_max_ms"]:
            return "code_expired"
        if slot_ms < opened["ms"] - period:
            return "meeting_not_open"
        return "meeting_closed" if closed and slot_ms > closed["ms"] else ""

    def _judge_thread_posted(self, deed):
        p = deed.payload
        if int(p.get("replyTo", 0)) and not self._get("post_states", deed, p["orgPath"], p["threadId"], p["replyTo"]):
            return "refused", "not_found"
        there = self._get("posts", deed, p["orgPath"], p["threadId"], deed.member, p["messageId"])
        return ("refused", "already_posted") if there else APPLIED

    # applying

    def apply(self, deed):
        self._ordinal = 0
        getattr(self, "_apply_" + deed.type.replace(".", "_"))(deed)

    def tell(self, deed):
        """A refusal or dead letter is told to its actor."""
        self._ordinal = 0
        self._push(deed, f"member.{deed.member}", "event.outcome", {
            "eventId": deed.event, "type": deed.type, "status": STATUS[deed.status], "code": deed.code,
            "text": deed.text, "field": deed.field, "sequence": str(deed.first), "receivedAt": stamp(deed.at_ms)},
            SET_ASIDE if deed.status == "dead_lettered" else 0)  # fmt: skip

    def _apply_meeting_convened(self, deed):
        p = deed.payload
        roster = sorted(p["roster"], key=lambda member: member.encode())
        named = {"org_path": p["orgPath"], "meeting_id": p["meetingId"]}
        self._put("meetings", deed, {
            **named, "kind": p["kind"], "title": p["title"], "place": p.get("place", ""),
            "starts_at": {"ms": stamp_ms(p["startsAt"])}, "ends_at": {"ms": stamp_ms(p["endsAt"])},
            "listed": f"{stamp_ms(p['startsAt']):015d}|{p['meetingId']}", "voting": len(roster),
            "convener": deed.member, "code_period_s": p.get("codePeriodS") or 30,
            "convened_at": {"ms": deed.at_ms}, "should": len(roster), "state": "CONVENED",
            "present": {"hex": "00" * ((len(roster) + 7) // 8)}, "present_count": 0}, *self._ref(deed))  # fmt: skip
        self._put("meeting_rosters", deed, {
            **named, "until": f"{stamp_ms(p['endsAt']):015d}|{p['orgPath']}|{p['meetingId']}", "members": roster,
            "voters": {"hex": everybody(len(roster))}}, *self._ref(deed))  # fmt: skip
        told = {k: p[k] for k in ("orgPath", "meetingId", "kind", "title", "place", "startsAt", "endsAt") if k in p}
        self._push(deed, f"org.{p['orgPath']}", "meeting.announced",
                   {**told, "convener": deed.member, "rosterCount": len(roster)})  # fmt: skip

    def _apply_meeting_opened(self, deed):
        meeting = {**self._meeting(deed), "state": "OPEN", "opened_at": {"ms": deed.at_ms}}
        self._put("meetings", deed, meeting, *self._ref(deed))
        self._push_state(deed, "OPEN", 0)
        self._attendance(deed, meeting)

    def _apply_meeting_closed(self, deed):
        present = self._meeting(deed)["present_count"]
        meeting = {**self._meeting(deed), "state": "CLOSED", "closed_at": {"ms": deed.at_ms}, "present_at_close": present,
                   "closed_seq": deed.sequence, "closed_present": self._meeting(deed)["present"]}  # fmt: skip
        self._put("meetings", deed, meeting, *self._ref(deed))
        self._push_state(deed, "CLOSED", present)
        self._attendance(deed, meeting)

    def _push_state(self, deed, state, present):
        org_path, meeting_id = self._ref(deed)
        self._push(deed, f"meeting.{org_path}.{meeting_id}", "meeting.state_changed",
                   {"orgPath": org_path, "meetingId": meeting_id, "state": state, "present": present})  # fmt: skip

    def _attendance(self, deed, meeting):
        org_path, meeting_id = self._ref(deed)
        self._value(deed, f"meeting.{org_path}.{meeting_id}", "attendance", "meeting.attendance_count",
                    {"present": meeting["present_count"], "shouldAttend": meeting["should"]})  # fmt: skip

    def _apply_checkin_recorded(self, deed):
        p, meeting = deed.payload, self._meeting(deed)
        slot, _ = code_parts(p["code"])
        self._put("checkins", deed, {
            "org_path": p["orgPath"], "meeting_id": p["meetingId"], "member": deed.member, "method": p["method"],
            "slot": slot, "checked_in_at": {"ms": deed.at_ms}}, *self._ref(deed), deed.member)  # fmt: skip
        bits = bytearray.fromhex(meeting["present"]["hex"])
        place = self._roster(deed).index(deed.member)
        bits[place // 8] |= 1 << place % 8
        meeting = {**meeting, "present": {"hex": bits.hex()}, "present_count": meeting["present_count"] + 1}
        self._put("meetings", deed, meeting, *self._ref(deed))
        self._push(deed, f"member.{deed.member}", "checkin.confirmed", {
            "orgPath": p["orgPath"], "meetingId": p["meetingId"], "method": p["method"],
            "checkedInAt": stamp(deed.at_ms)})  # fmt: skip
        self._attendance(deed, meeting)

    def _apply_thread_posted(self, deed):
        p = deed.payload
        self._put("posts", deed, {
            "org_path": p["orgPath"], "thread_id": p["threadId"], "message_id": p["messageId"], "author": deed.member,
            "text": p["text"], "reply_to": int(p.get("replyTo", 0)), "sequence": deed.sequence,
            "posted_at": {"ms": deed.at_ms}}, p["orgPath"], p["threadId"], deed.member, p["messageId"])  # fmt: skip
        self._note_thread(deed)
        self._push(deed, f"thread.{p['orgPath']}.{p['threadId']}", "thread.post", {
            **p, "author": deed.member, "sequence": str(deed.sequence), "postedAt": stamp(deed.at_ms)})  # fmt: skip

    def _note_thread(self, deed):
        """What the thread knows of its posts, its own state of this one, and when its author wrote."""
        p = deed.payload
        named, place = {"org_path": p["orgPath"], "thread_id": p["threadId"]}, (p["orgPath"], p["threadId"])
        self._put("post_states", deed, {**named, "sequence": deed.sequence, "author": deed.member},
                  *place, str(deed.sequence))  # fmt: skip
        old = self._get("threads", deed, *place) or {"starter": deed.member, "started_at": {"ms": deed.at_ms}, "posts": 0}
        self._put("threads", deed, {
            **named, "starter": old["starter"], "started_at": old["started_at"], "posts": old["posts"] + 1,
            "last_sequence": deed.sequence, "last_at": {"ms": deed.at_ms}}, *place)  # fmt: skip
        writer = self._get("thread_writers", deed, *place, deed.member) or {"posted": []}
        posted = [at for at in writer["posted"] if at["ms"] > deed.at_ms - HOUR_MS]
        self._put("thread_writers", deed, {**named, "member": deed.member, "posted": [*posted, {"ms": deed.at_ms}],
                                           "marked": [], "rules": "2026-1"}, *place, deed.member)  # fmt: skip

    def _judge_auth_revoked(self, deed):
        voids = self._voids(deed)
        known = any(_same_scope(void, deed.payload) for void in voids)
        return ("refused", "too_many") if len(voids) == VOIDS_MAX and not known else APPLIED

    def _judge_auth_restored(self, deed):
        known = any(_same_scope(void, deed.payload) for void in self._voids(deed))
        return APPLIED if known else ("refused", "not_found")

    def _apply_auth_revoked(self, deed):
        p, voids = deed.payload, self._voids(deed)
        at = stamp_ms(p["notBefore"]) if p.get("notBefore") else deed.at_ms
        for place, void in enumerate(voids):
            if _same_scope(void, p):
                voids[place] = {**void, "not_before": {"ms": max(at, void["not_before"]["ms"])}}
                break
        else:
            voids.append({"org_path": p["orgPath"], "token_id": p.get("tokenId", ""), "not_before": {"ms": at}})
        self._put_voids(deed, voids)

    def _apply_auth_restored(self, deed):
        self._put_voids(deed, [void for void in self._voids(deed) if not _same_scope(void, deed.payload)])

    def _voids(self, deed):
        return list((self._get("revocations", deed, deed.payload["memberId"]) or {"voids": []})["voids"])

    def _put_voids(self, deed, voids):
        member = deed.payload["memberId"]
        self._put("revocations", deed, {"member_id": member, "voids": voids}, member)
        told = [{"orgPath": void["org_path"], "tokenId": void["token_id"], "notBefore": stamp(void["not_before"]["ms"])}
                for void in voids]  # fmt: skip
        self._value(deed, "auth", f"revoked.{member}", "auth.revocation", {"memberId": member, "voids": told})

    # documents, pushes, values

    def _ref(self, deed):
        return deed.payload["orgPath"], deed.payload["meetingId"]

    def _meeting(self, deed):
        return self._get("meetings", deed, *self._ref(deed))

    def _roster(self, deed):
        return self._get("meeting_rosters", deed, *self._ref(deed))["members"]

    def present(self, meeting):
        """Members who are present at this document's meeting."""
        bits = bytes.fromhex(meeting["present"]["hex"])
        members = self.documents["meeting_rosters"][meeting["_id"]]["members"]
        return [member for place, member in enumerate(members) if bits[place // 8] >> place % 8 & 1]

    def _get(self, collection, deed, *parts):
        return self.documents[collection].get("|".join((deed.tenant, *parts)))

    def _put(self, collection, deed, document, *parts):
        id_ = "|".join((deed.tenant, *parts))
        old = self.documents[collection].get(id_)
        self.documents[collection][id_] = {
            **document, "_id": id_, "tenant": deed.tenant, "evt_seq": deed.sequence,
            "evt_first": old["evt_first"] if old else deed.sequence}  # fmt: skip

    def _push(self, deed, channel, type_, payload, ordinal=None):
        """An event pushes before its values: these do not count."""
        ordinal = self._ordinal if ordinal is None else ordinal
        self.pushes[deed.tenant, channel].append(Push(f"{deed.sequence}-{ordinal}", type_, normal(type_, payload), deed))
        self._ordinal = ordinal + 1

    def _value(self, deed, channel, name, type_, payload):
        self.values[deed.tenant, channel, name] = deed.sequence, type_, normal(type_, payload)


def everybody(count):
    """The set of a whole roster, as hex."""
    return ((1 << count) - 1).to_bytes((count + 7) // 8, "little").hex()


def _same_scope(void, payload):
    return (void["org_path"], void["token_id"]) == (payload["orgPath"], payload.get("tokenId", ""))


def code_parts(code):
    """(slot, nonce) of a check-in code; (None, None): it is none."""
    try:
        raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
    except ValueError:
        return None, None
    spelled = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return (int.from_bytes(raw[:4], "big"), raw[4:12]) if len(raw) == 28 and spelled == code else (None, None)
