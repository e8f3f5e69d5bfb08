"""Complaints: filed by nobody in particular, read by receipt, answered by handlers, and seen by nobody else."""

import base64
import functools
import http.client
import json
import pathlib
import subprocess

import pytest
from nacl.encoding import RawEncoder
from nacl.hash import blake2b
from nacl.public import PrivateKey, SealedBox
from nacl.pwhash import argon2id

from meeting import rfc3339
from people import new_id, new_receipt
from registry import found, register
from stack import Town
from waiting import until

SETTINGS = {"public_tenants": "closed-one,open-one"}
AGENT = "Anonymous-Browser/7.7"


def b64(data):
    return base64.b64encode(data).decode()


@functools.cache
def reply_key_of(tenant, receipt):
    """As PROTOCOL.md says."""
    salt = blake2b(b"yizhan reply key 1\n" + tenant.encode(), digest_size=16, encoder=RawEncoder)
    seed = argon2id.kdf(32, receipt.encode(), salt, opslimit=2, memlimit=64 << 20)
    return PrivateKey.from_seed(seed)


def seal(public, text):
    return b64(SealedBox(public).encrypt(text.encode()))


def unseal(private, sealed):
    return SealedBox(private).decrypt(base64.b64decode(sealed)).decode()


class Office:
    """The tenant open-one (its name is a setting), with handlers: one above the branch, one of the branch itself."""

    def __init__(self, stack):
        self.stack = stack
        self.town = Town(stack, "open-one")
        self.admin = stack.phone(self.town.person("a1", "g1", ("member", "admin@g1")))
        self.keys = {}
        self.handlers = {}
        for member, scope, home in (("h1", "g1/c1", "g1/c1/office"), ("h2", "g1", "g1/office"), ("h3", "g1/c1/b1", "g1/c1/b1")):
            self.enroll(member, scope, home)

    def enroll(self, member, scope, home):
        """From before this hour: whoever comes within it is not the only one who may be the nearest."""
        self.keys[f"k-{member}"] = key = PrivateKey.generate()
        self.admin.done("complaint.handler_registered", {
            "orgPath": scope, "memberId": member, "homePath": home, "keyId": f"k-{member}",
            "publicKey": b64(bytes(key.public_key)), "from": rfc3339(-7200), "until": rfc3339(86400)})  # fmt: skip
        person = self.town.person(member, home)
        self.handlers[member] = self.stack.phone(person, subscribe=[f"member.{member}"])

    def http(self, path, body, **options):
        return self.stack.http("POST", f"/v1/public/{self.town.name}/{path}", body, headers={"User-Agent": AGENT}, **options)

    def ask(self, name, payload, min_sequence=0):
        path = "query/" + name.replace(".", "/") + (f"?minSequence={min_sequence}" if min_sequence else "")
        return self.http(path, payload)

    def send(self, type_, payload, event_id=None):
        return self.http("events", {"eventId": event_id or new_id("n"), "type": type_, "payload": payload})

    def outcome(self, event_id, sequence):
        status, _, answer = self.ask("event.outcome_of_nonce", {"eventId": event_id}, sequence)
        assert status == 200, answer
        return answer["outcome"]

    def filed(self, receipt, text="有人收受礼品", keys=("k-h1",), **more):
        return {"receipt": receipt, "orgPath": "g1/c1/b1", "category": "CONDUCT",
                "accused": {"orgPath": "g1/c1/b1", "memberId": "u9"},
                "content": [{"keyId": k, "sealed": seal(self.keys[k].public_key, text)} for k in keys],
                "replyKey": b64(bytes(reply_key_of(self.town.name, receipt).public_key)),
                "copy": seal(reply_key_of(self.town.name, receipt).public_key, text), **more}  # fmt: skip

    def file(self, receipt, **more):
        event_id = new_id("n")
        status, _, accepted = self.send("complaint.filed", self.filed(receipt, **more), event_id)
        assert status == 202, accepted
        return event_id, int(accepted["sequence"])

    def read(self, receipt, sequence=0):
        status, _, answer = self.ask("complaint.read", {"receipt": receipt}, sequence)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def office(stack):
    return Office(stack)


def test_the_whole_way_without_a_name(office):
    receipt = new_receipt()
    status, _, keys = office.ask("complaint.keys", {"orgPath": "g1/c1/b1", "accused": {"orgPath": "g1/c1/b1", "memberId": "u9"}})
    assert status == 200
    assert [(k["keyId"], k.get("nearest", False)) for k in keys["keys"]] == [("k-h1", True), ("k-h2", False)]
    handler, other = office.handlers["h1"], office.handlers["h2"]
    event_id, sequence = office.file(receipt, keys=("k-h1",))
    assert office.outcome(event_id, sequence)["status"] == "APPLIED"
    seen = office.read(receipt, sequence)
    assert seen["complaint"]["state"] == "FILED" and seen["complaint"]["filedAt"].endswith(":00:00Z")
    private = reply_key_of("open-one", receipt)
    assert unseal(private, seen["entries"][0]["sealed"][0]["sealed"]) == "有人收受礼品"

    pushed = handler.wait_push(type_="complaint.updated")[-1]
    case = seen["complaint"]["complaintId"]
    assert pushed["payload"] == {"complaintId": case, "kind": "NEW"} and pushed["time"].endswith(":00:00Z")
    assert [c["complaintId"] for c in handler.query("complaint.mine")["complaints"]] == [case]
    got = handler.query("complaint.get", {"complaintId": case, "purpose": "办理"})
    assert unseal(office.keys["k-h1"], got["entries"][0]["sealed"][0]["sealed"]) == "有人收受礼品"
    handler.done("complaint.acknowledged", {"complaintId": case})
    answer = seal(reply_key_public(got), "请补充时间。")
    handler.done("complaint.replied", {"complaintId": case, "sealed": answer})
    seen = office.read(receipt)
    assert seen["complaint"]["state"] == "ACKNOWLEDGED"
    assert [unseal(private, e["sealed"][0]["sealed"]) for e in seen["entries"]] == ["有人收受礼品", "请补充时间。"]

    more = {"receipt": receipt, "content": [{"keyId": "k-h1", "sealed": seal(office.keys["k-h1"].public_key, "上周五。")}]}
    event_id = new_id("n")
    status, _, accepted = office.send("complaint.message_added", more, event_id)
    assert status == 202 and office.outcome(event_id, accepted["sequence"])["status"] == "APPLIED"
    got = handler.query("complaint.get", {"complaintId": case, "after": 2})
    assert unseal(office.keys["k-h1"], got["entries"][0]["sealed"][0]["sealed"]) == "上周五。"

    handler.done("complaint.extension_requested", {"complaintId": case, "days": 30})
    assert handler.refused("complaint.extended", {"complaintId": case, "days": 30}) == "second_person"
    other.done("complaint.extended", {"complaintId": case, "days": 30})
    handler.done("complaint.resolved", {"complaintId": case, "result": "UPHELD", "sealed": answer})
    event_id = new_id("n")
    status, _, accepted = office.send("complaint.rated", {"receipt": receipt, "rating": 5}, event_id)
    assert office.outcome(event_id, accepted["sequence"])["status"] == "APPLIED"
    seen = office.read(receipt)["complaint"]
    assert (seen["state"], seen["result"], seen["rating"], seen["extendedDays"]) == ("RATED", "UPHELD", 5, 30)
    assert handler.query("complaint.mine", {"closed": True})["complaints"][0]["complaintId"] == case

    # who read it, for those who oversee; what it says, for none but its handlers
    overseer = office.stack.phone(office.town.person("i1", "g1", ("member", "inspector@g1")))
    looked = overseer.query("complaint.accesses", {"complaintId": case})["accesses"]
    assert [a["memberId"] for a in looked] == ["h1", "h1"] and looked[-1]["purpose"] == "办理"
    for phone in (office.admin, overseer, other, office.handlers["h3"]):
        assert phone.error_of({"query": {"type": "complaint.get", "payload": {"complaintId": case}}})["code"] == "not_found"
    for phone in (office.handlers["h3"], other):
        assert phone.error_of({"query": {"type": "complaint.accesses", "payload": {"complaintId": case}}})["code"] == "not_found"


def reply_key_public(got):
    from nacl.public import PublicKey

    return PublicKey(base64.b64decode(got["replyKey"]))


def test_a_token_does_not_come_with_it(office, encoding):
    """By WebSocket, with a token: nothing of the one who sent it goes further than the gateway."""
    whistler = "whistler-" + encoding
    phone = office.stack.phone(office.town.person(whistler, "g1/c1/b1"), encoding=encoding, subscribe=[f"member.{whistler}"])
    receipt = new_receipt()
    accepted = phone.emit("complaint.filed", office.filed(receipt), occurredAt="2026-01-01T08:00:00Z")
    assert office.outcome(accepted["eventId"], accepted["sequence"])["status"] == "APPLIED"
    assert phone.query("complaint.read", {"receipt": receipt})["complaint"]["state"] == "FILED"
    # refused: told to whoever asks with the nonce, pushed to nobody
    refused = phone.emit("complaint.filed", office.filed(receipt))
    outcome = office.outcome(refused["eventId"], refused["sequence"])
    assert (outcome["status"], outcome["code"], outcome["field"]) == ("REFUSED", "receipt_taken", "receipt")
    assert phone.error_of({"query": {"type": "event.outcome", "payload": {"eventId": refused["eventId"]}}})["code"] == "not_found"
    phone.read_for(0.5)
    assert not phone.of(type_="event.outcome")


def test_under_ones_name(office):
    member = "openly-named"
    phone = office.stack.phone(office.town.person(member, "g1/c1/b1"))
    receipt = new_receipt()
    accepted = phone.emit("complaint.filed_named", office.filed(receipt))
    assert phone.outcome(accepted)["status"] == "APPLIED"
    case = phone.query("complaint.read", {"receipt": receipt})["complaint"]
    assert case["named"]
    got = office.handlers["h1"].query("complaint.get", {"complaintId": case["complaintId"]})
    assert json.loads(unseal(office.keys["k-h1"], got["reporter"][0]["sealed"])) == {"memberId": member, "orgPath": "g1/c1/b1"}


def test_a_wrong_receipt_opens_nothing(office):
    office.file(new_receipt())
    for receipt in (new_receipt(), new_receipt()):
        status, _, problem = office.ask("complaint.read", {"receipt": receipt})
        assert (status, problem["code"], problem["field"]) == (404, "not_found", "payload.receipt")
    for receipt in ("1234567890123456", "7777777777777777", "12", "$r1$" + "0" * 64):
        status, _, problem = office.ask("complaint.read", {"receipt": receipt})
        assert (status, problem["code"], problem["field"]) == (400, "invalid_value", "payload.receipt"), receipt


def test_a_stored_hash_is_no_receipt(office):
    """What stands in a stolen database opens nothing."""
    receipt = new_receipt()
    office.file(receipt)
    for type_, payload in (("complaint.rated", {"receipt": "$r1$" + "ab" * 32, "rating": 1}),):
        status, _, problem = office.send(type_, payload)
        assert (status, problem["code"], problem["field"]) == (400, "invalid_value", "payload.receipt")


def test_the_same_nonce_with_another_payload(office):
    receipt = new_receipt()
    payload = office.filed(receipt)
    event_id = new_id("n")
    status, _, first = office.send("complaint.filed", payload, event_id)
    status, _, again = office.send("complaint.filed", payload, event_id)
    assert status == 202 and again["duplicate"] and again["sequence"] == first["sequence"]
    status, _, other = office.send("complaint.filed", {**payload, "category": "SERVICE"}, event_id)
    assert status == 202 and other["sequence"] != first["sequence"]
    assert office.outcome(event_id, other["sequence"])["status"] == "APPLIED"  # of the first
    assert office.read(receipt)["complaint"]["category"] == "CONDUCT"


def test_keys_that_must_not_be_used(office):
    for keys, code, field in ((("k-h3",), "key_not_eligible", "content[0].keyId"), (("k-h2",), "nearest_missing", "content")):
        event_id, sequence = office.file(new_receipt(), keys=keys)
        outcome = office.outcome(event_id, sequence)
        assert (outcome["status"], outcome["code"], outcome["field"]) == ("REFUSED", code, field)


def test_who_leads_from_elsewhere(office):
    """A role over an org further up, of one who belongs elsewhere: whose subordinates and who leads is known by the role."""
    found(office.admin, "g1", "g1/c9", "g1/c9/b9")
    office.enroll("l1", "g1/c9", "g1/c9/office")
    office.enroll("l2", "g1/c9", "g1/c9/b9")

    def keys(place, member):
        status, _, answer = office.ask("complaint.keys", {"orgPath": place, "accused": {"orgPath": place, "memberId": member}})
        assert status == 200, answer
        return [k["keyId"] for k in answer["keys"]]

    assert keys("g1/c9/b1", "u5") == ["k-l1", "k-l2", "k-h2"]
    for member in ("l2", "u6"):
        register(office.admin, member, "g1/c9/b9", roles=[{"role": "ROLE_SECRETARY", "scope": "g1/c9"}])
    until(lambda: {(h["m"], h["r"]) for row in office.town.find("role_holders", org_path="g1/c9") for h in row["holders"]}
          == {("l2", "secretary"), ("u6", "secretary")}, what="both are secretaries")  # fmt: skip
    assert keys("g1/c9/b1", "u5") == ["k-l1", "k-h2"]  # not who leads the accused
    assert keys("g1/c9/b9", "u6") == ["k-h2"]  # nor who is led by the accused
    place = {"orgPath": "g1/c9/b9", "accused": {"orgPath": "g1/c9/b9", "memberId": "u6"}}
    event_id, sequence = office.file(new_receipt(), keys=("k-l1",), **place)
    outcome = office.outcome(event_id, sequence)
    assert (outcome["code"], outcome["field"]) == ("key_not_eligible", "content[0].keyId")


def test_a_key_id_stands_for_one_key(office):
    """Else a box that is sealed to one handler would be routed to another, of an org further down."""
    for org, member in (("g1/c1/b1", "h3"), ("g1/c2", "h1"), ("g1", "h2")):
        refused = office.admin.emit("complaint.handler_registered", {
            "orgPath": org, "memberId": member, "homePath": "g1/office", "keyId": "k-h1",
            "publicKey": b64(bytes(PrivateKey.generate().public_key)),
            "from": rfc3339(-60), "until": rfc3339(86400)})  # fmt: skip
        outcome = office.admin.outcome(refused)
        assert (outcome["status"], outcome["code"], outcome["field"]) == ("REFUSED", "exists", "keyId")


def test_who_is_withdrawn_hands_on(office):
    """The case of a handler whose appointment ends: closed to him, and sealed anew to the successor by whoever filed it."""
    place = {"orgPath": "g1/c2/b1", "accused": {"orgPath": "g1/c2/b1", "memberId": "u7"}}
    office.enroll("w1", "g1/c2", "g1/c2/office")
    receipt, text = new_receipt(), "第一次说的"
    event_id, sequence = office.file(receipt, text=text, keys=("k-w1",), **place)
    assert office.outcome(event_id, sequence)["status"] == "APPLIED"
    case = {"complaintId": office.read(receipt, sequence)["complaint"]["complaintId"]}
    old = office.handlers["w1"]
    assert old.query("complaint.get", case)["entries"]
    office.admin.done("complaint.handler_registered", {
        "orgPath": "g1/c2", "memberId": "w1", "homePath": "g1/c2/office", "keyId": "k-w1",
        "publicKey": b64(bytes(office.keys["k-w1"].public_key)), "from": rfc3339(-7200), "until": rfc3339(-3700)})  # fmt: skip
    for query in ("complaint.get", "complaint.accesses"):
        assert old.error_of({"query": {"type": query, "payload": case}})["code"] == "not_appointed"
    assert old.query("complaint.mine").get("complaints", []) == []
    refused = old.outcome(old.emit("complaint.acknowledged", case))
    assert (refused["status"], refused["code"], refused["field"]) == ("REFUSED", "not_appointed", "complaintId")

    seen = office.read(receipt)
    assert seen["unhandled"] and [k["withdrawn"] for k in seen["keys"]] == [True]
    more = {"receipt": receipt, "content": [{"keyId": "k-w1", "sealed": seal(office.keys["k-w1"].public_key, text)}]}
    event_id = new_id("n")
    _, _, accepted = office.send("complaint.message_added", more, event_id)
    assert office.outcome(event_id, int(accepted["sequence"]))["code"] == "key_not_eligible"

    office.enroll("w2", "g1/c2", "g1/c2/office")
    status, _, keys = office.ask("complaint.keys", place)
    assert status == 200 and keys["keys"][0]["keyId"] == "k-w2"
    again = unseal(reply_key_of(office.town.name, receipt), seen["entries"][0]["sealed"][0]["sealed"])
    handed = {"receipt": receipt, "content": [{"keyId": "k-w2", "sealed": seal(office.keys["k-w2"].public_key, again)}], **place}
    event_id = new_id("n")
    _, _, accepted = office.send("complaint.message_added", handed, event_id)
    assert office.outcome(event_id, int(accepted["sequence"]))["status"] == "APPLIED"
    new = office.handlers["w2"]
    assert new.wait_push(type_="complaint.updated")[-1]["payload"]["complaintId"] == case["complaintId"]
    got = new.query("complaint.get", case)
    assert "sealed" not in got["entries"][0]
    assert unseal(office.keys["k-w2"], got["entries"][1]["sealed"][0]["sealed"]) == text
    new.done("complaint.acknowledged", case)
    new.done("complaint.replied", {**case, "sealed": seal(reply_key_public(got), "已接手。")})
    seen = office.read(receipt)
    assert not seen.get("unhandled") and [k.get("withdrawn", False) for k in seen["keys"]] == [True, False]
    assert old.error_of({"query": {"type": "complaint.get", "payload": case}})["code"] == "not_appointed"


def test_the_public_paths(office):
    stack = office.stack
    status, _, problem = stack.http("POST", "/v1/public/other-one/events", {})
    assert (status, problem["code"]) == (404, "unknown_path")
    for type_ in ("thread.posted", "complaint.acknowledged", "complaint.filed_named"):
        payload = {"complaint.filed_named": office.filed(new_receipt()), "complaint.acknowledged": {"complaintId": "c1"},
                   "thread.posted": {"orgPath": "g1", "threadId": "t", "messageId": "m", "text": "t"}}[type_]  # fmt: skip
        token = stack.keys.token(office.town.person("m1"))
        status, _, problem = office.http("events", {"eventId": new_id("n"), "type": type_, "payload": payload}, token=token)
        assert (status, problem["code"]) == (403, "forbidden"), type_
    status, _, problem = office.ask("complaint.mine", {})
    assert (status, problem["code"]) == (403, "forbidden")
    for ask in (f"complaint/read?receipt={new_receipt()}", f"event/outcome_of_nonce?eventId={new_id('n')}"):
        for path in ("/v1/public/open-one/query/", "/v1/query/"):
            status, headers, problem = stack.http("GET", path + ask, token=stack.keys.token(office.town.person("m1")))
            assert (status, problem["code"], headers["Allow"]) == (405, "method_not_allowed", "POST, OPTIONS"), path + ask
    status, _, answer = stack.http("GET", "/v1/public/open-one/query/complaint/keys?orgPath=g1/c1/b1")
    assert status == 200 and answer["keys"][0]["keyId"] == "k-h3"
    status, _, problem = office.ask("complaint.nothing", {})
    assert (status, problem["code"]) == (404, "unknown_type")


def test_with_a_token_too_they_are_asked_by_post(office):
    stack, token = office.stack, office.stack.keys.token(office.town.person("m1"))
    receipt = new_receipt()
    event_id, sequence = office.file(receipt)
    status, _, told = stack.http("POST", f"/v1/query/event/outcome_of_nonce?minSequence={sequence}", {"eventId": event_id}, token)
    assert (status, told["outcome"]["status"]) == (200, "APPLIED")
    status, _, read = stack.http("POST", "/v1/query/complaint/read", {"receipt": receipt}, token)
    assert (status, read["complaint"]) == (200, office.read(receipt)["complaint"])


def test_limits_by_address_and_tenant(new_stack):
    stack = new_stack(public_tenants="open-one", public_address_burst=3, public_address_per_hour=1)
    for _ in range(3):
        assert stack.http("POST", "/v1/public/open-one/query/complaint/keys", {"orgPath": "g1"})[0] == 200
    status, headers, problem = stack.http("POST", "/v1/public/open-one/query/complaint/keys", {"orgPath": "g1"})
    assert (status, problem["code"]) == (429, "rate_limited") and int(headers["Retry-After"]) > 3000
    # a token does not help
    phone = stack.phone(Town(stack, "open-one").person("m1"))
    assert phone.error_of({"query": {"type": "complaint.keys", "payload": {"orgPath": "g1"}}})["code"] == "rate_limited"


def test_a_damaged_case_is_told_as_such(office):
    """Not as a worker that has much to do."""
    office.enroll("d1", "g1/c3", "g1/c3/office")
    receipt = new_receipt()
    event_id, sequence = office.file(receipt, keys=("k-d1",), orgPath="g1/c3/b1", accused={"orgPath": "g1/c3/b1"})
    assert office.outcome(event_id, sequence)["status"] == "APPLIED"
    case, rows = office.read(receipt)["complaint"]["complaintId"], office.stack.documents["complaints"]
    (row,) = office.town.find("complaints", complaint_id=case)
    for field in ("filed_at", "acknowledge_by", "resolve_by"):
        rows.update_one({"_id": row["_id"]}, {"$unset": {field: 1}})
        status, _, problem = office.ask("complaint.read", {"receipt": receipt})
        assert (status, problem["code"]) == (500, "internal"), field
        for type_, payload in (("complaint.get", {"complaintId": case}), ("complaint.mine", {})):
            assert office.handlers["d1"].error_of({"query": {"type": type_, "payload": payload}})["code"] == "internal"
        rows.update_one({"_id": row["_id"]}, {"$set": {field: row[field]}})
    assert office.read(receipt)["complaint"]["complaintId"] == case


class Post:
    """A POST on a connection of its own, which the gateway knows before it is asked anything."""

    def __init__(self, office, path):
        self.path = f"/v1/public/{office.town.name}/{path}"
        self.connection = http.client.HTTPConnection("127.0.0.1", office.stack.gateways[0].port, timeout=60)
        self.connection.request("GET", f"/v1/public/{office.town.name}/query/complaint/keys?orgPath=g1")
        self.connection.getresponse().read()

    def send(self, body):
        self.connection.request("POST", self.path, json.dumps(body), {"Content-Type": "application/json"})

    def is_read(self):
        """Nothing that was sent waits in the kernel for the gateway."""
        sock = self.connection.sock
        ends = [f"0100007F:{port:04X}" for _, port in (sock.getpeername(), sock.getsockname())]
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
        return [row[4].endswith(":00000000") for row in rows if row[1:3] == ends] == [True]

    def answer(self):
        """(status, what)"""
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


def test_a_drain_answers_what_it_was_given(new_stack):
    """While receipts are being hashed the gateway is told to end: each post is accepted and takes effect, or is told so."""
    stack = new_stack(gateways=2, public_tenants="open-one", public_address_burst=100, drain_ms=30000)
    office = Office(stack)
    posts = [Post(office, "events") for _ in range(8)]
    filings = [{"eventId": new_id("n"), "type": "complaint.filed", "payload": office.filed(new_receipt())} for _ in posts]
    for post, filing in zip(posts, filings, strict=True):
        post.send(filing)
    first = posts[0].answer()
    assert first[0] == 202
    until(lambda: all(post.is_read() for post in posts), what="the others are read, and wait for their hashes")
    stack.gateways[0].popen.terminate()
    answers = [first] + [post.answer() for post in posts[1:]]
    assert stack.gateways[0].wait(30) == 0
    assert sum(status == 202 for status, _ in answers) > 2, answers
    last = max(int(answer.get("sequence", 0)) for _, answer in answers)
    for filing, (accepted, answer) in zip(filings, answers, strict=True):
        assert accepted == 202 or (accepted, answer["code"]) == (503, "draining"), answer
        path = f"/v1/public/open-one/query/event/outcome_of_nonce?minSequence={last}"
        status, _, told = stack.http("POST", path, {"eventId": filing["eventId"]}, port=stack.gateways[1].port)
        assert (status, told["outcome"]["status"]) == (200, "APPLIED") if accepted == 202 else status == 404, told


def everything_stored(stack):
    """All streams and all documents, as text."""
    words = []
    for name in stack.documents.list_collection_names():
        words += [repr(row) for row in stack.documents[name].find({})]
    return "\n".join(words)


def test_nothing_is_found_afterwards(office):
    """In logs, streams, broker's files and documents: no receipt, no text, no address, no browser, no sender."""
    stack = office.stack
    sender, receipt, named = "sender-to-find", new_receipt(), new_receipt()
    text = "plain-words-to-find"
    phone = stack.phone(office.town.person(sender, "g1/c1/b1"))
    accepted = phone.emit("complaint.filed", office.filed(receipt, text=text))
    office.outcome(accepted["eventId"], accepted["sequence"])
    openly = phone.emit("complaint.filed_named", office.filed(named, text=text))
    assert phone.outcome(openly)["status"] == "APPLIED"
    event_id, sequence = office.file(new_receipt(), text=text)
    office.outcome(event_id, sequence)
    for asked in (receipt, named):
        case = office.read(asked)["complaint"]["complaintId"]
        assert office.handlers["h1"].query("complaint.get", {"complaintId": case})
    logs = "\n".join(p.text() for p in stack.gateways + stack.workers)
    documents, services = everything_stored(stack), "\n".join(p.text() for p in stack.services)
    for needle in (receipt, named, text, AGENT, accepted["eventId"], openly["eventId"], event_id):
        assert needle not in logs and needle not in services and needle not in documents, needle
    assert sender not in documents and sender not in logs and sender not in services
    ours = ("nats", "mongo", "listening", "database")  # lines that name our own servers
    told = [line for line in logs.splitlines() if "127.0.0.1" in line and not any(word in line for word in ours)]
    assert not told
    # The broker has let go of the events; what is left in its files are pushes.
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 30, what="all events are settled")
    for needle in (receipt, named, text, AGENT):
        found = subprocess.run(["grep", "-rlaF", needle, str(stack.folder / "jetstream"), str(stack.folder / "documents")],
                               capture_output=True, text=True, check=False)  # fmt: skip
        assert found.stdout == "", f"{needle} stands in {found.stdout}"


def test_the_documents(office):
    receipt = new_receipt()
    event_id, sequence = office.file(receipt)
    assert office.outcome(event_id, sequence)["status"] == "APPLIED"
    rows = office.town.find("outcomes", evt_seq=sequence)
    assert len(rows) == 1 and rows[0]["_id"].startswith("open-one|$|")
    assert "actor" not in rows[0] and "event_id" not in rows[0]
    assert rows[0]["received_at"].minute == 0 and rows[0]["received_at"].second == 0
    (case,) = office.town.find("complaints", evt_seq=sequence)
    assert case["filed_at"].minute == 0 and case["filed_at"].second == 0
    for row in office.town.find("outbox", cause=sequence):
        assert row["type"] == "complaint.clock_rung" and not row["member"] and not row["org_path"] and not row["roles"]
