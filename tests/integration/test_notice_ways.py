"""A notice's whole way: two persons, stored, delivered, read, confirmed, reminded, recalled; and the hours of the night."""

import datetime
import time

import pytest

from people import new_id
from phone import Refused
from rule_packs import wide_rules
from waiting import until

B1, B2 = "g1/c1/b1", "g1/c1/b2"
CHIEF = ("member", "secretary@g1")


def register(town, path, members):
    """The branch's document as the register of members keeps it."""
    town.stack.documents["branches"].insert_one({
        "_id": f"{town.name}|{path}", "tenant": town.name, "evt_seq": 1, "evt_first": 1, "org_path": path,
        "next_place": len(members),
        "members": [{"m": member, "p": place, "k": "FULL", "r": roles} for place, (member, roles) in enumerate(members)],
    })  # fmt: skip


def notice(path="g1/c1", **fields):
    return {"noticeId": new_id("n"), "orgPath": path, "noticeClass": "INFO", "title": "通知", "body": "内容", **fields}


def named(published, **fields):
    return {"noticeId": published["noticeId"], **fields}


def branches(desk, published, path="g1/c1", min_sequence=0):
    reply = desk.query("notice.receipts", named(published, orgPath=path), min_sequence)
    return {b["orgPath"]: tuple(b.get(k, 0) for k in ("should", "stored", "delivered", "read", "confirmed"))
            for b in reply["branches"]}  # fmt: skip


def unread(desk, published, path):
    reply = desk.query("notice.unread_members", named(published, orgPath=path))
    return {m["member"]: m.get("delivered", False) for m in reply.get("members", [])}


@pytest.fixture
def town2(town):
    """Two branches on the register: m1 to m3 and their secretary, m4 and m5."""
    register(town, B1, [("m1", ""), ("m2", ""), ("m3", ""), ("sec", "secretary")])
    register(town, B2, [("m4", ""), ("m5", "")])
    return town


def test_stored_delivered_read_confirmed(town2, encoding):
    town = town2
    desk = town.phone(town.person("chief", "g1", CHIEF), encoding=encoding, subscribe=["member.chief"])
    published = notice(noticeClass="CONFIRM")
    desk.done("notice.published", published)
    # Silent branches are told with their size.
    assert branches(desk, published) == {B1: (4, 4, 0, 0, 0), B2: (2, 2, 0, 0, 0)}
    m1, m2, m4 = (town.phone(town.person(m, path), encoding=encoding, subscribe=[f"member.{m}", "org.g1/c1"])
                  for m, path in (("m1", B1), ("m2", B1), ("m4", B2)))  # fmt: skip
    for phone in (m1, m2, m4):
        assert phone.query("notice.unread") == {"unread": 1, "unconfirmed": 1}
        phone.done("notice.received", {"noticeIds": [published["noticeId"]]})
    assert branches(desk, published) == {B1: (4, 4, 2, 0, 0), B2: (2, 2, 1, 0, 0)}
    m1.done("notice.read", named(published))
    last = m4.done("notice.confirmed", named(published))
    last = max(last, m4.done("notice.confirmed", named(published)), key=lambda accepted: accepted["sequence"])
    assert branches(desk, published, min_sequence=last["sequence"]) == {B1: (4, 4, 2, 1, 0), B2: (2, 2, 1, 1, 1)}
    assert branches(desk, published, B2) == {B2: (2, 2, 1, 1, 1)}
    assert unread(desk, published, B1) == {"m2": True, "m3": False, "sec": False}
    assert unread(desk, published, B2) == {"m5": False}
    mine = m4.query("notice.list")["notices"][0]
    assert mine["addressedPath"] == "g1/c1" and mine["mine"]["confirmed"] and mine["mine"]["confirmedAt"]
    assert m4.query("notice.unread") == {} and m1.query("notice.unread") == {"unconfirmed": 1}
    desk.wait_value("member.chief", "notice.receipt_count", lambda v: v.get("confirmed") == 1 and v["orgPath"] == B2)
    # Who has read is left alone.
    desk.done("notice.reminded", named(published, orgPath=B1))
    assert m2.wait_push(type_="notice.reminder")[0]["payload"]["remindedBy"] == "chief"
    sent = desk.wait_push(type_="notice.reminder_sent")[0]["payload"]
    assert (sent["reminded"], sent["readAlready"]) == (3, 1)
    desk.done("notice.reminded", named(published, orgPath="g1/c1", branches=[B1, B2]))
    sent = [push["payload"] for push in desk.wait_push(3, type_="notice.reminder_sent")][1:]
    assert {s["orgPath"]: s["reminded"] for s in sent} == {B1: 3, B2: 1}
    m2.wait_push(2, type_="notice.reminder")
    m1.read_for(0.3)
    assert not m1.of(type_="notice.reminder") and not m4.of(type_="notice.reminder")


def test_a_subtree_is_reminded_along_the_tree(town2):
    town = town2
    for path, children in (("g1", ["c1"]), ("g1/c1", ["b1", "b2"]), (B1, []), (B2, [])):
        town.stack.documents["orgs"].insert_one({
            "_id": f"{town.name}|{path}", "tenant": town.name, "evt_seq": 1, "evt_first": 1, "org_path": path, "live": True,
            "children": [{"c": child, "h": 1, "t": 2} for child in children]})  # fmt: skip
    desk = town.phone(town.person("chief", "g1", CHIEF), subscribe=["member.chief"])
    m1, m4 = (town.phone(town.person(m, path), subscribe=[f"member.{m}"]) for m, path in (("m1", B1), ("m4", B2)))
    published = notice()
    desk.done("notice.published", published)
    m1.done("notice.read", named(published))
    desk.done("notice.reminded", named(published, orgPath="g1", subtree=True))
    m4.wait_push(type_="notice.reminder")
    told = {}
    desk.read_until(lambda: told.update({push["name"]: push["payload"] for push in desk.of(type_="notice.reminder_sent")})
                    or len(told) >= 3, 15, "each org has its value")  # fmt: skip
    counts = {name.rpartition(".")[2]: (sent.get("reminded", 0), sent.get("readAlready", 0)) for name, sent in told.items()}
    assert counts == {"g1/c1": (0, 0), B1: (3, 1), B2: (2, 0)}
    m1.read_for(0.2)
    assert not m1.of(type_="notice.reminder")


def test_an_urgent_one_takes_two_persons(town2):
    town = town2
    author = town.phone(town.person("chief", "g1", CHIEF), subscribe=["org.g1"])
    second = town.phone(town.person("deputy", "g1", CHIEF), subscribe=["org.g1"])
    reader = town.phone(town.person("m1"), subscribe=["org.g1", "org.g1/c1/b1"])
    branch = town.phone(town.secretary, subscribe=["org.g1", "org.g1/c1/b1"])
    published = notice("g1", noticeClass="URGENT", audience={"orgPaths": [B1, B2], "exclude": ["m2"]})
    author.done("notice.published", published)
    assert second.wait_push(type_="notice.pending")[0]["payload"]["noticeId"] == published["noticeId"]
    assert [n["noticeId"] for n in second.query("notice.pending", {"orgPath": "g1"})["notices"]] == [published["noticeId"]]
    assert not reader.query("notice.list").get("notices")
    assert reader.refused("notice.read", named(published)) == "not_found"
    assert author.refused("notice.approved", named(published, orgPath="g1")) == "same_person"
    assert branch.emit_error("notice.approved", named(published, orgPath="g1"))["code"] == "forbidden"
    second.done("notice.approved", named(published, orgPath="g1"))
    assert second.refused("notice.approved", named(published, orgPath="g1")) == "notice_not_pending"
    assert reader.wait_push(type_="notice.posted")[0]["channel"] == f"org.{B1}"
    branch.read_for(0.2)
    assert not branch.of(type_="notice.pending") and not reader.of(type_="notice.pending")
    assert not second.query("notice.pending", {"orgPath": "g1"}).get("notices")
    reader.done("notice.read", named(published))
    excluded = town.phone(town.person("m2"))
    assert excluded.refused("notice.read", named(published)) == "not_in_audience"
    assert not excluded.query("notice.list").get("notices")
    with pytest.raises(Refused) as refused:
        excluded.query("notice.get", named(published))
    assert refused.value.code == "not_found"
    # m2 is left out of what should be, too.
    assert branches(author, published, "g1") == {B1: (3, 3, 1, 1, 0), B2: (2, 2, 0, 0, 0)}


def test_one_for_the_secretaries_below(town2):
    town = town2
    desk = town.phone(town.person("chief", "g1", CHIEF))
    branch = town.phone(town.secretary, subscribe=["org.g1"])
    member = town.phone(town.person("m1"), subscribe=["org.g1"])
    published = notice("g1", audience={"roles": ["secretary"]})
    desk.done("notice.published", published)
    branch.wait_push(type_="notice.posted")
    member.read_for(0.2)
    assert not member.of(type_="notice.posted") and not member.query("notice.list").get("notices")
    assert branches(desk, published, "g1") == {B1: (1, 1, 0, 0, 0)}


def test_a_recalled_one_is_shown_as_such(town2):
    town = town2
    desk = town.phone(town.person("chief", "g1", CHIEF))
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1"])
    published = notice()
    desk.done("notice.published", published)
    assert reader.refused("notice.recalled", named(published)) == "forbidden"
    desk.done("notice.recalled", named(published, reason="时间有误"))
    assert reader.wait_push(type_="notice.recalled")[0]["payload"]["reason"] == "时间有误"
    shown = reader.query("notice.list")["notices"][0]
    assert shown["state"] == "NOTICE_RECALLED" and shown["recall"]["reason"] == "时间有误" and "body" not in shown
    assert reader.query("notice.unread") == {}
    assert desk.refused("notice.reminded", named(published, orgPath=B1)) == "notice_recalled"


def test_the_inbox_survives_all_processes(new_stack):
    from stack import Town

    stack = new_stack()
    town = Town(stack)
    desk = town.phone(town.secretary)
    published = [notice(B1, title=f"t{n}") for n in range(5)]
    for each in published:
        desk.done("notice.published", each)
    reader = town.phone(town.person("m1"))
    reader.done("notice.read", named(published[1]))
    for process in stack.gateways + stack.workers:
        process.kill()
    for worker in stack.workers:
        stack.start_worker(worker)
    for gateway in stack.gateways:
        stack.start_gateway(gateway)
    reader = town.phone(town.person("m1"))
    listed = reader.query("notice.list")["notices"]
    assert [n["title"] for n in listed] == ["t4", "t3", "t2", "t1", "t0"]
    assert [n["mine"].get("read", False) for n in listed] == [False, False, False, True, False]
    assert reader.query("notice.unread") == {"unread": 4}


def quiet_now():
    """Quiet hours of which now is in the middle, in the time of UTC."""
    now = datetime.datetime.now(datetime.timezone.utc)
    minute = now.hour * 60 + now.minute
    return {"utc_offset_minutes": 0, "quiet_from_minute": (minute - 300) % 1440, "quiet_to_minute": (minute + 300) % 1440}


def test_the_night(new_stack, tmp_path):
    """Ordinary pushes and reminders wait for its end, over a worker that is restarted; urgent ones do not."""
    from stack import Town

    stack = new_stack(rules_dir=wide_rules(tmp_path / "night", calendar=quiet_now()))
    town = Town(stack)
    register(town, B1, [("m1", ""), ("m2", "")])
    desk = town.phone(town.person("chief", "g1", CHIEF), subscribe=["member.chief"])
    second = town.phone(town.person("deputy", "g1", CHIEF))
    m1, m2 = (town.phone(town.person(m), subscribe=["org.g1", f"member.{m}"]) for m in ("m1", "m2"))
    ordinary, urgent = notice("g1"), notice("g1", noticeClass="URGENT")
    desk.done("notice.published", ordinary)
    assert [n["noticeId"] for n in m1.query("notice.list")["notices"]] == [ordinary["noticeId"]]
    assert desk.query("notice.get", named(ordinary))["notice"]["pushAt"]
    desk.done("notice.reminded", named(ordinary, orgPath=B1))
    until_ = desk.wait_push(type_="notice.reminder_sent")[0]["payload"]["deferredUntil"]
    assert datetime.datetime.fromisoformat(until_.replace("Z", "+00:00")).timestamp() > time.time()
    desk.done("notice.published", urgent)
    second.done("notice.approved", named(urgent, orgPath="g1"))
    assert m1.wait_push(type_="notice.posted")[0]["payload"]["noticeId"] == urgent["noticeId"]
    desk.done("notice.reminded", named(urgent, orgPath=B1))
    assert m1.wait_push(type_="notice.reminder")[0]["payload"]["noticeId"] == urgent["noticeId"]
    m1.done("notice.read", named(ordinary))
    assert len(m1.of(type_="notice.posted")) == len(m1.of(type_="notice.reminder")) == 1
    # The morning: the rows are due, and it is quiet no more.
    assert len(town.find("outbox", state="due")) == 2
    for worker in stack.workers:
        worker.kill()
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    stack.documents["outbox"].update_many({"tenant": town.name, "state": "due"}, {"$set": {"due_at": past}})
    stack.settings["rules_dir"] = wide_rules(tmp_path / "day")
    for worker in stack.workers:
        stack.start_worker(worker)
    assert m1.wait_push(2, type_="notice.posted")[1]["payload"]["noticeId"] == ordinary["noticeId"]
    assert m2.wait_push(2, type_="notice.reminder")[1]["payload"]["noticeId"] == ordinary["noticeId"]
    m1.read_for(0.3)
    assert len(m1.of(type_="notice.reminder")) == 1, "who has read in the night is not reminded in the morning"
    until(lambda: not town.find("outbox", state="due"), what="no row is due any more")
