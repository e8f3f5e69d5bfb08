"""The day's complaints: one filed without a name and one under it, heard, answered, closed and rated; and what must be
true of them afterwards.

The play notes what only those in the case can know: the receipts, the private keys, and what was sealed by each event.
"""

import base64
import json
import time

from nacl.encoding import RawEncoder
from nacl.exceptions import CryptoError
from nacl.hash import blake2b
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.pwhash import argon2id

from client import PATIENCE_S, Asker, Client
from meeting import rfc3339
from people import new_id, new_receipt
from phone import Refused
from waiting import until

# Their outcomes say neither of whom nor of which event they are.
DISCREET = ("complaint.filed", "complaint.filed_named", "complaint.message_added", "complaint.rated")
OWN = ("complaints", "complaint_messages")
COMPANY = "group/c1"


def b64(data):
    return base64.b64encode(bytes(data)).decode()


def private_key(text):
    return PrivateKey(base64.b64decode(text))


def reply_key_of(tenant, receipt):
    """As PROTOCOL.md says."""
    salt = blake2b(b"yizhan reply key 1\n" + tenant.encode(), digest_size=16, encoder=RawEncoder)
    return PrivateKey.from_seed(argon2id.kdf(32, receipt.encode(), salt, opslimit=2, memlimit=64 << 20))


def seal(public, text):
    return b64(SealedBox(public).encrypt(text.encode()))


def unseal(private, box):
    """The text; None: it is not for this key, or not what was sealed."""
    try:
        return SealedBox(private).decrypt(box).decode()
    except CryptoError:
        return None


class Nobody(Asker):
    """Somebody without a token, on the public paths."""

    name, via = "", "public"

    def __init__(self, stack, transcript, tenant):
        self.stack, self.transcript, self.tenant = stack, transcript, tenant

    def do(self, type_, payload, event_id=None, send=None):
        """Emit and await the outcome; the entry of the transcript. send: by another way, and what it is called."""
        event_id = event_id or new_id("n")
        emit, via = send or (self._emit, self.via)
        sequence = emit(event_id, type_, payload)
        outcome = self._ask("event.outcome_of_nonce", {"eventId": event_id}, sequence)["outcome"]
        told = {name: outcome.get(name, "") for name in ("status", "code", "field")}
        return self.transcript.add("event", member=self.name, path="", via=via, id=event_id, type=type_, payload=payload,
                                   sequence=sequence, outcome=told)  # fmt: skip

    def _emit(self, event_id, type_, payload):
        return int(self._post("events", {"eventId": event_id, "type": type_, "payload": payload})["sequence"])

    def _ask(self, type_, request, sequence):
        path = "query/" + type_.replace(".", "/") + (f"?minSequence={sequence}" if sequence else "")
        return self._post(path, request)

    def _post(self, path, body):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, _, answer = self.stack.http("POST", f"/v1/public/{self.tenant}/{path}", body)
            if status < 400:
                return answer
            if not answer.get("temporary") or time.monotonic() >= deadline:
                raise Refused(answer)
            time.sleep(min(answer.get("retryAfterMs", 50), 500) / 1000)


class Case:
    """A complaint on its reporter's side: the receipt, its reply key, and what was sealed by which event."""

    def __init__(self, day, reporter, named):
        self.day, self.reporter, self.named = day, reporter, named
        self.receipt = new_receipt()
        self.private = reply_key_of(day.tenant, self.receipt)
        self.texts = {}
        self.complaint_id = ""

    def boxes(self, text):
        """(sealed to the handler who is to read it, sealed to the reporter)"""
        key = self.day.complaints.keys["handler"]
        return [{"keyId": "k-handler", "sealed": seal(key.public_key, text)}], seal(self.private.public_key, text)

    def filing(self, accused, text):
        content, copy = self.boxes(text)
        return {"receipt": self.receipt, "orgPath": accused.path, "category": "CONDUCT", "content": content, "copy": copy,
                "accused": {"orgPath": accused.path, "memberId": accused.member},
                "replyKey": b64(self.private.public_key)}  # fmt: skip

    def said(self, entry, text):
        """The text that an event's boxes hold."""
        self.texts[entry["id"]] = text
        return entry

    def note(self):
        keys = {f"k-{name}": b64(key) for name, key in self.day.complaints.keys.items()}
        self.day.transcript.add("note", what="complaint", receipt=self.receipt, named=self.named, reporter=self.reporter.name,
                                reporterPath=self.reporter.person.path, replyKey=b64(self.private), keys=keys,
                                texts=self.texts)  # fmt: skip


class Complaints:
    """The steps of the day that are about complaints."""

    def __init__(self, day):
        self.day = day
        self.keys, self.cases = {}, []
        self.nobody = Nobody(day.stack, day.transcript, day.tenant)

    def register(self):
        """Two handlers: the one that is nearest, and one of the group, to whom nobody writes."""
        day = self.day
        for name, scope, encoding in (("handler", COMPANY, "json"), ("bystander", "group", "protobuf")):
            self.keys[name] = PrivateKey.generate()
            person = day.person(name, f"{scope}/office")
            day.clients[name] = Client(day.stack, day.transcript, person, encoding, [f"member.{name}"])
            day.clients["admin"].do("complaint.handler_registered", {
                "orgPath": scope, "memberId": name, "homePath": person.path, "keyId": f"k-{name}",
                "publicKey": b64(self.keys[name].public_key), "from": rfc3339(-3600), "until": rfc3339(86400)})  # fmt: skip

    def complain(self):
        day, accused = self.day, self.day.members(0)[7].person
        self.register()
        about = {"orgPath": accused.path, "accused": {"orgPath": accused.path, "memberId": accused.member}}
        until(lambda: len(self.nobody.ask("complaint.keys", about)["keys"]) == 2, timeout=60, what="the handlers' keys")
        day.disturb()
        # Whoever has a phone on which to say the last word with a token, of which nothing may go further.
        quiet = next(client for client in day.members(0)[3:7] if client.phone)
        anonymous = Case(day, quiet, named=False)
        text = "车间采购收受礼品"
        filed = anonymous.said(self.nobody.do("complaint.filed", anonymous.filing(accused, text)), text)
        self.nobody.do("complaint.filed", filed["payload"], event_id=filed["id"])  # the very same: a retry
        self.nobody.do("complaint.filed", anonymous.filing(accused, text))  # the receipt is taken
        named, text = Case(day, day.members(1)[5], named=True), "值班安排不公"
        named.said(named.reporter.do("complaint.filed_named", named.filing(accused, text)), text)
        self.cases = [anonymous, named]
        for case in self.cases:
            case.complaint_id = self.nobody.ask("complaint.read", {"receipt": case.receipt})["complaint"]["complaintId"]
        handler = day.clients["handler"]
        handler.wait(lambda phone: len(phone.of(type_="complaint.updated")) >= len(self.cases), "two complaints")

    def answer(self):
        day, handler, (case, named) = self.day, self.day.clients["handler"], self.cases
        this = {"complaintId": case.complaint_id}
        guessed = {"receipt": new_receipt()}
        self.nobody.ask("complaint.read", guessed)
        self.nobody.do("complaint.message_added", {**guessed, "content": case.boxes("猜的")[0]})
        day.clients["bystander"].ask("complaint.get", this)

        handler.do("complaint.acknowledged", this)
        day.disturb()
        got = handler.ask("complaint.get", {**this, "purpose": "办理"})
        handler.ask("complaint.get", {"complaintId": named.complaint_id, "purpose": "办理"})
        public = PublicKey(base64.b64decode(got["replyKey"]))

        def reply(type_, text, **more):
            copies = [{"keyId": "k-handler", "sealed": seal(self.keys["handler"].public_key, text)}]
            return case.said(handler.do(type_, {**this, "sealed": seal(public, text), "copies": copies, **more}), text)

        replied = reply("complaint.replied", "请补充时间和地点。")
        self.nobody.ask("complaint.read", {"receipt": case.receipt}, after=replied)
        self.add_message(case, "上周五，仓库门口。")
        self.nobody.do("complaint.rated", {"receipt": case.receipt, "rating": 1})  # not before it is resolved
        day.disturb()
        resolved = reply("complaint.resolved", "经查属实，已作处理。", result="UPHELD")
        self.nobody.ask("complaint.read", {"receipt": case.receipt}, after=resolved)
        rated = self.rate(case)
        self.nobody.ask("complaint.read", {"receipt": case.receipt}, after=rated)
        handler.ask("complaint.get", {**this, "purpose": "归档"}, after=rated)
        handler.wait(lambda phone: any(p["payload"]["kind"] == "RATING" for p in phone.of(type_="complaint.updated")), "a rating")
        day.clients["control"].ask("complaint.accesses", this)
        for each in self.cases:
            each.note()

    def add_message(self, case, text):
        content, copy = case.boxes(text)
        payload = {"receipt": case.receipt, "content": content, "copy": copy}
        case.said(self.nobody.do("complaint.message_added", payload), text)

    def rate(self, case):
        """Over the reporter's own session, with its token."""
        phone = case.reporter.phone

        def emit(event_id, type_, payload):
            return phone.emit(type_, payload, event_id, retry=True, timeout=PATIENCE_S)["sequence"]

        return self.nobody.do("complaint.rated", {"receipt": case.receipt, "rating": 5}, send=(emit, case.reporter.via))


class Complained:
    """What must be true of the complaints; checker is check.py's."""

    def __init__(self, checker):
        self.checker, self.transcript, self.documents = checker, checker.transcript, checker.documents
        self.same, self.expect = checker.same, checker.expect
        self.notes = self.transcript.notes("complaint")

    def run(self):
        self.same(len(self.rows("complaints")), len(self.notes), "the complaints")
        self.outcomes()
        self.refusals()
        self.secrets()
        for note in self.notes:
            complaint_id = self.id_of(note)
            said = self.said(note, complaint_id)
            self.state(note, complaint_id, said)
            self.dialogue(note, complaint_id, said)
            self.answers(note, complaint_id, said)
            self.told(note, complaint_id)
            self.readers(complaint_id)

    def rows(self, collection):
        return self.documents.get(collection, [])

    def id_of(self, note):
        for answer in self.transcript.answers("complaint.read"):
            if answer["request"]["receipt"] == note["receipt"] and "reply" in answer:
                return answer["reply"]["complaint"]["complaintId"]
        self.expect(False, f"the receipt of {note['reporter']}'s complaint opened nothing")
        return ""

    def events_of(self, note, complaint_id):
        return sorted((e for e in self.transcript.events()
                       if e["payload"].get("receipt") == note["receipt"] or e["payload"].get("complaintId") == complaint_id),
                      key=lambda e: e["sequence"])  # fmt: skip

    def said(self, note, complaint_id):
        """[(who, what)] in the order of the stream."""
        return [("HANDLER" if "complaintId" in e["payload"] else "REPORTER", note["texts"][e["id"]])
                for e in self.events_of(note, complaint_id) if e["id"] in note["texts"]]  # fmt: skip

    def outcomes(self):
        """One of each nonce, and of nobody."""
        events = {e["id"]: e for e in self.transcript.events(status=None) if e["type"] in DISCREET}
        rows = [row for row in self.rows("outcomes") if row["type"] in DISCREET]
        self.same(sorted((row["sequence"], row["type"], row["status"].upper(), row["code"]) for row in rows),
                  sorted((e["sequence"], e["type"], e["outcome"]["status"], e["outcome"]["code"]) for e in events.values()),
                  "the outcomes of what reporters did")  # fmt: skip
        for row in rows:
            self.expect("actor" not in row and "event_id" not in row, f"the outcome {row['_id']} says whose it is")
            self.expect(not any(e["id"] in repr(row) for e in events.values()), f"the outcome {row['_id']} holds a nonce")

    def refusals(self):
        """A guessed receipt, one that is taken, a rating too early; and a handler whose case it is not."""
        receipts = {note["receipt"] for note in self.notes}
        guesses = [a.get("code") for a in self.transcript.answers("complaint.read") if a["request"]["receipt"] not in receipts]
        self.same(guesses, ["not_found"], "what a guessed receipt reads")
        refused = [(e["type"], e["outcome"]["code"]) for e in self.transcript.events(status="REFUSED") if e["type"] in DISCREET]
        self.same(sorted(refused), [("complaint.filed", "receipt_taken"), ("complaint.message_added", "not_found"),
                                    ("complaint.rated", "not_resolved")], "what reporters were refused")  # fmt: skip
        others = [a.get("code") for a in self.transcript.answers("complaint.get") if a["member"] != "handler"]
        self.same(others, ["not_found"], "what a handler reads of another's case")

    def secrets(self):
        """No receipt and no text anywhere; no reporter, named or not, and no accused in what is of the complaints."""
        everything = repr(self.documents)
        own = repr([self.rows(name) for name in OWN])
        discreet = repr([row for row in self.rows("outcomes") if row["type"] in DISCREET])
        sequences = {e["sequence"] for e in self.transcript.events(status=None) if e["type"] in DISCREET}
        later = repr([row for row in self.rows("outbox") if row.get("cause") in sequences])
        for note in self.notes:
            self.expect(note["receipt"] not in everything, f"the receipt of {note['reporter']} stands in the database")
            for text in note["texts"].values():
                readable = text in everything or repr(text.encode())[2:-1] in everything
                self.expect(not readable, f"{text} stands readable in the database")
            for place, words in (("complaints", own), ("outcomes", discreet), ("timers", later)):
                self.expect(note["reporter"] not in words, f"{note['reporter']} stands in the {place}")
        for event in self.transcript.events("complaint.filed") + self.transcript.events("complaint.filed_named"):
            self.expect(event["payload"]["accused"]["memberId"] not in own, "the accused stands in the complaints")

    def state(self, note, complaint_id, said):
        rows = [row for row in self.rows("complaints") if row["complaint_id"] == complaint_id]
        if not self.checker.expect_one(rows, f"the complaint {complaint_id}"):
            return
        row, types = rows[0], {e["type"]: e["payload"] for e in self.events_of(note, complaint_id)}
        state = ("RATED" if "complaint.rated" in types else "RESOLVED" if "complaint.resolved" in types
                 else "ACKNOWLEDGED" if "complaint.acknowledged" in types else "FILED")  # fmt: skip
        due = (state, "complaint.resolved" not in types, types.get("complaint.resolved", {}).get("result", ""),
               types.get("complaint.rated", {}).get("rating", 0), len(said), note["named"], ["handler"])  # fmt: skip
        found = (row["state"], row["open"], row.get("result", ""), row.get("rating", 0), row["entries"], row["named"],
                 row["handlers"])  # fmt: skip
        self.same(found, due, f"the complaint {complaint_id}")
        self.expect(row["filed_at"].minute == row["filed_at"].second == 0, "a complaint's time is known to the hour only")

    def dialogue(self, note, complaint_id, said):
        """As stored: what the reporter and what the handler can open of it."""
        rows = [row for row in self.rows("complaint_messages") if row["_id"].split("|")[-1] == complaint_id]
        if not self.checker.expect_one(rows, f"the dialogue of {complaint_id}"):
            return
        reply, handler = private_key(note["replyKey"]), private_key(note["keys"]["k-handler"])
        bystander = private_key(note["keys"]["k-bystander"])
        entries = rows[0]["entries"]
        self.same([(e["f"], unseal(reply, e["c"])) for e in entries], said, f"the reporter's side of {complaint_id}")
        self.same([(e["f"], unseal(handler, box["b"])) for e in entries for box in e["k"]], said,
                  f"the handler's side of {complaint_id}")  # fmt: skip
        opened = [unseal(bystander, box["b"]) for e in entries for box in e["k"]]
        self.same(set(opened), {None}, f"what a bystander can open of {complaint_id}")

    def answers(self, note, complaint_id, said):
        """Whoever asked was shown the dialogue as far as it had come, and at last all of it."""
        for type_, key, mine in (("complaint.read", note["replyKey"], {"receipt": note["receipt"]}),
                                 ("complaint.get", note["keys"]["k-handler"], {"complaintId": complaint_id})):  # fmt: skip
            replies = [a["reply"] for a in self.transcript.answers(type_)
                       if "reply" in a and mine.items() <= a["request"].items()]  # fmt: skip
            shown = [[(e["from"], unseal(private_key(key), base64.b64decode(box["sealed"])))
                      for e in reply["entries"] for box in e["sealed"]] for reply in replies]  # fmt: skip
            for one in shown:
                self.same(one, said[: len(one)], f"what {type_} showed of {complaint_id}")
            self.same(shown[-1:], [said], f"what {type_} showed of {complaint_id} at last")
        self.named(note, complaint_id)

    def named(self, note, complaint_id):
        """Who files under its name is told to the handler, and nobody else is."""
        for answer in self.transcript.answers("complaint.get"):
            if answer["request"]["complaintId"] != complaint_id or "reply" not in answer:
                continue
            boxes = [unseal(private_key(note["keys"]["k-handler"]), base64.b64decode(box["sealed"]))
                     for box in answer["reply"].get("reporter", [])]  # fmt: skip
            due = [{"memberId": note["reporter"], "orgPath": note["reporterPath"]}] if note["named"] else []
            self.same([json.loads(box or "null") for box in boxes], due, f"who filed {complaint_id}, as the handler reads it")

    def told(self, note, complaint_id):
        """The handler of each thing that it did not do itself, once; nobody else of anything."""
        kinds = {"complaint.filed": "NEW", "complaint.filed_named": "NEW", "complaint.message_added": "MESSAGE",
                 "complaint.rated": "RATING"}  # fmt: skip
        due = [kinds[e["type"]] for e in self.events_of(note, complaint_id) if e["type"] in kinds]
        pushes = [p for p in self.transcript.pushes(type_="complaint.updated") if p["payload"]["complaintId"] == complaint_id]
        self.same([(p["member"], p["payload"]["kind"]) for p in pushes], [("handler", kind) for kind in due],
                  f"who was told what of {complaint_id}")  # fmt: skip
        for push in pushes:
            self.same(set(push["payload"]), {"complaintId", "kind"}, f"what a push of {complaint_id} says")

    def readers(self, complaint_id):
        """Every reading is written down, at least once: a question that was asked again may have been answered twice."""
        for answer in self.transcript.answers("complaint.accesses"):
            if answer["request"]["complaintId"] != complaint_id:
                continue
            gets = [a for a in self.transcript.answers("complaint.get")
                    if a["request"]["complaintId"] == complaint_id and "reply" in a]  # fmt: skip
            looked = [access["memberId"] for access in answer.get("reply", {}).get("accesses", [])]
            self.same(set(looked), {"handler"}, f"who read {complaint_id}")
            self.expect(len(looked) >= len(gets), f"{len(gets)} readings of {complaint_id}, {len(looked)} written down")
