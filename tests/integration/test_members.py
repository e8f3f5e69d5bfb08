"""Members' files, rosters and the tree of orgs: changed, found, moved, seen by whom they are about."""

import threading

import pytest
from phone import Refused
from registry import BASIS, chief, file_of, found, id_number, register, roster, wait_roster
from waiting import until

PHONE = "13800138000"
ID_NUMBER = id_number(803)


@pytest.fixture
def desk(town):
    """An admin's phone, in a tenant with g1, g1/c1 and two branches of it."""
    phone = town.phone(chief(town))
    found(phone, "g1", "g1/c1", "g1/c1/b1", "g1/c1/b2")
    return phone


def change(revision, fields, file, path="g1/c1/b1", **more):
    return {"orgPath": path, "memberId": "m1", "revision": revision, "fields": fields, "file": file, "basis": BASIS, **more}


def test_a_file_is_registered_and_told_to_its_member(town, desk, encoding):
    me = town.phone(town.person("m1"), encoding=encoding, subscribe=["member.m1"])
    register(desk, "m1", "g1/c1/b1", idNumber=ID_NUMBER, phone=PHONE, duesBaseFen=500000)
    push = me.wait_push(1, type_="member.file_changed")[0]["payload"]
    assert push["changedBy"] == "chief" and push["fields"][-1] == "FIELD_ORG" and PHONE not in str(push)
    own = me.query("member.get")
    assert own["file"]["phone"] == PHONE and own["file"]["idNumber"] == ID_NUMBER and own["file"]["duesBaseFen"] == "500000"
    assert int(own["revision"]) == 1 and own["orgPath"] == "g1/c1/b1"
    document = town.find("members")[0]
    assert not [value for value in document.values() if value in (PHONE, ID_NUMBER)] and isinstance(document["phone"], bytes)
    wait_roster(town, "g1/c1/b1", {"m1"})


def test_two_secretaries_change_the_same_file(town, desk):
    register(desk, "m1", "g1/c1/b1", phone=PHONE)
    first, second = town.phone(town.secretary), town.phone(town.person("sec2", roles=("member", "secretary@g1/c1")))
    accepted = [None, None]

    def send(n, phone, name):
        accepted[n] = phone.emit("member.changed", change(2, ["FIELD_NAME"], {"name": name}))

    both = [(first, "李四"), (second, "王五")]
    threads = [threading.Thread(target=send, args=(n, phone, name)) for n, (phone, name) in enumerate(both)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = [phone.outcome(a) for phone, a in zip((first, second), accepted, strict=True)]
    assert sorted(o["status"] for o in outcomes) == ["APPLIED", "REFUSED"]
    loser = next(o for o in outcomes if o["status"] == "REFUSED")
    assert loser["code"] == "stale_revision" and loser["field"] == "revision"
    name = "李四" if outcomes[0]["status"] == "APPLIED" else "王五"
    me = town.phone(town.person("m1"))
    assert me.query("member.get")["file"] == {"name": name, "kind": "FULL", "phone": PHONE}
    changes = me.query("member.changes")["changes"]
    assert [int(c["revision"]) for c in changes] == [2, 1]
    assert changes[0]["fields"] == [{"field": "FIELD_NAME", "before": "张三", "after": name}]
    assert {"field": "FIELD_PHONE", "encrypted": True} in changes[1]["fields"] and PHONE not in str(changes)
    page = me.query("member.changes", {"limit": 1})
    assert page["nextBefore"] == "2"
    assert me.query("member.changes", {"limit": 1, "before": "2"})["changes"] == changes[1:]


def test_who_looks_is_seen(town, desk):
    register(desk, "m1", "g1/c1/b1", phone=PHONE)
    secretary = town.phone(town.secretary)
    stranger = town.phone(town.person("m9", roles=("member", "secretary@g1/c1/b2")))
    me = town.phone(town.person("m1"))
    refusals = [
        (secretary, {"memberId": "m1"}, "missing_field", "payload.purpose"),
        (stranger, {"memberId": "m1", "purpose": "看看"}, "not_found", "payload.memberId"),
        (secretary, {"memberId": "m7", "purpose": "看看"}, "not_found", "payload.memberId"),
    ]
    for phone, request, code, field in refusals:
        with pytest.raises(Refused) as refused:
            phone.query("member.get", request)
        assert (refused.value.code, refused.value.error["field"]) == (code, field)
    assert not me.query("member.accesses").get("accesses")
    for n in range(3):
        seen = secretary.query("member.get", {"memberId": "m1", "purpose": f"核对{n}"})
        assert seen["file"]["phone"] == PHONE
    accesses = me.query("member.accesses")["accesses"]
    assert [(a["reader"], a["purpose"]) for a in accesses] == [("sec", "核对2"), ("sec", "核对1"), ("sec", "核对0")]
    page = me.query("member.accesses", {"limit": 2})
    assert page["accesses"] == accesses[:2]
    assert me.query("member.accesses", {"limit": 2, "before": page["nextBefore"]})["accesses"] == accesses[2:]
    assert not town.phone(town.person("m2")).query("member.accesses").get("accesses")


def test_search_and_roster(town, desk):
    names = ["张一", "张二", "张三", "李四", "李四"]
    for n, name in enumerate(names):
        register(desk, f"m{n}", f"g1/c1/b{1 + n % 2}", name=name)
    desk.done("member.archived", {"orgPath": "g1/c1/b1", "memberId": "m2", "revision": 2, "reason": "转出", "basis": BASIS})
    secretary = town.phone(town.person("s1", roles=("member", "secretary@g1/c1")))

    def found_ids(**request):
        return [m["memberId"] for m in secretary.query("member.search", {"orgPath": "g1/c1", **request}).get("members", [])]

    assert found_ids() == ["m0", "m1", "m3", "m4"]  # by code point: 张一, 张二, 李四
    assert sorted(found_ids(namePrefix="张")) == ["m0", "m1"]
    assert found_ids(namePrefix="李四") == ["m3", "m4"]
    assert found_ids(namePrefix="李四", orgPath="g1/c1/b2") == ["m3"]
    assert found_ids(status="MEMBER_ARCHIVED") == ["m2"]
    assert found_ids(namePrefix="赵") == []
    paged, after = [], ""
    for _ in range(5):
        page = secretary.query("member.search", {"orgPath": "g1/c1", "limit": 1, "after": after})
        paged += [m["memberId"] for m in page["members"]]
        after = page.get("nextAfter", "")
        if not after:
            break
    assert paged == found_ids()
    wait_roster(town, "g1/c1/b1", {"m0", "m4"})
    reply = secretary.query("member.roster", {"orgPath": "g1/c1/b1"})
    assert [(m["memberId"], m["name"]) for m in reply["members"]] == [("m0", "张一"), ("m4", "李四")] and reply["count"] == 2
    first = secretary.query("member.roster", {"orgPath": "g1/c1/b1", "limit": 1})
    rest = secretary.query("member.roster", {"orgPath": "g1/c1/b1", "limit": 1, "fromPlace": first["nextFromPlace"]})
    assert [m["memberId"] for m in first["members"] + rest["members"]] == ["m0", "m4"] and not rest.get("nextFromPlace")


def test_refusals_and_forgetting(town, desk):
    register(desk, "m1", "g1/c1/b1", phone=PHONE)
    new = {"orgPath": "g1/c1/b1", "memberId": "m1", "file": file_of(), "basis": BASIS}
    assert desk.refused("member.registered", new) == "exists"
    assert desk.refused("member.registered", {**new, "memberId": "m2", "orgPath": "g1/none"}) == "unknown_org"
    secretary = town.phone(town.secretary)
    role = [{"role": "ROLE_ADMIN", "scope": "g1"}]
    assert secretary.refused("member.changed", change(2, ["FIELD_ROLES"], {"roles": role})) == "forbidden"
    assert secretary.refused("member.changed", change(2, [], {}, newOrgPath="g1/c1/b2")) == "forbidden"
    named = {"orgPath": "g1/c1/b1", "memberId": "m1", "basis": BASIS}
    secretary.done("member.key_deleted", {**named, "revision": 2})
    assert secretary.refused("member.changed", change(3, ["FIELD_PHONE"], {"phone": PHONE})) == "key_deleted"
    own = town.phone(town.person("m1")).query("member.get")
    assert own["keyDeleted"] and "phone" not in own["file"]
    assert "wrapped" not in town.find("member_keys")[0]
    secretary.done("member.archived", {**named, "revision": 3, "reason": "离开"})
    assert secretary.refused("member.changed", change(4, ["FIELD_NAME"], {"name": "李四"})) == "member_archived"


def test_the_tree_moves_with_all_that_is_in_it(town, desk):
    found(desk, "g1/c2", "g1/c1/b1/x1")
    for n, path in enumerate(["g1/c1/b1", "g1/c1/b1/x1", "g1/c1/b1/x1"]):
        register(desk, f"m{n}", path, roles=[{"role": "ROLE_SECRETARY", "scope": path}])
    out = [{"role": "ROLE_SECRETARY", "scope": "g1/c1/b1"}, {"role": "ROLE_INSPECTOR", "scope": "g1/c1/b1/x1"}]
    register(desk, "out", "g1", roles=out)
    wait_roster(town, "g1/c1/b1/x1", {"m1", "m2"})
    wait_roster(town, "g1", {"out"})
    for path in ("g1/c1/b1", "g1/c1/b1/x1"):
        until(lambda path=path: any(h["m"] == "out" for b in town.find("role_holders", org_path=path) for h in b["holders"]),
              what=f"a role over {path}")  # fmt: skip
    assert desk.emit_error("org.moved", {"orgPath": "g1/c1", "to": "g1/c1/b1/c1", "basis": BASIS})["code"] == "org_cycle"
    assert desk.refused("org.dissolved", {"orgPath": "g1/c1", "basis": BASIS}) == "org_not_empty"
    me = town.phone(town.person("m1", "g1/c1/b1/x1"), subscribe=["member.m1"])
    desk.done("org.moved", {"orgPath": "g1/c1/b1", "to": "g1/c2/b1", "basis": BASIS})
    wait_roster(town, "g1/c2/b1/x1", {"m1", "m2"})
    wait_roster(town, "g1/c2/b1", {"m0"})
    wait_roster(town, "g1/c1/b1/x1", set())
    assert roster(town, "g1/c2/b1/x1")["m1"]["r"] == "secretary"
    me.wait_push(1, type_="member.file_changed")
    own = me.query("member.get")
    assert own["orgPath"] == "g1/c2/b1/x1" and own["file"]["roles"][0]["scope"] == "g1/c2/b1/x1"
    until(
        lambda: [r["scope"] for r in town.find("members", member_id="out")[0]["roles"]] == ["g1/c2/b1", "g1/c2/b1/x1"],
        what="the roles of one who belongs elsewhere follow",
    )
    assert town.find("members", member_id="out")[0]["org_path"] == "g1"
    tree = me.query("org.tree", {"parent": "g1/c2"})
    assert [o["orgPath"] for o in tree["orgs"]] == ["g1/c2/b1"] and tree["orgs"][0]["children"] == 1
    page = me.query("org.tree", {"parent": "g1", "limit": 1})
    assert [o["orgPath"] for o in page["orgs"]] == ["g1/c1"] and page["nextAfter"] == "g1/c1"
    changes = me.query("org.history", {"orgPath": "g1/c1/b1"})["changes"]
    assert [(c["change"], c.get("otherPath", "")) for c in changes] == [("ORG_MOVED_OUT", "g1/c2/b1"), ("ORG_FOUNDED", "")]
    until(lambda: town.find("orgs", org_path="g1/c1/b1/x1", live=False), what="the old org below is gone")


def test_each_list_walks_an_index(town, desk):
    """No scan and no sort in memory, whatever the collection holds."""
    register(desk, "m1", "g1/c1/b1")
    finds = [
        ("members", {"tenant": town.name, "scopes": "g1", "status": "MEMBER_ACTIVE", "name_key": {"$gte": "张"}}, "name_key"),
        ("member_changes", {"tenant": town.name, "member_id": "m1", "revision": {"$lt": 9}}, "revision"),
        ("accesses", {"tenant": town.name, "owner": "m1", "key": {"$lt": "~"}}, "key"),
        ("orgs", {"tenant": town.name, "parent": "g1", "live": True, "org_path": {"$gt": ""}}, "org_path"),
        ("org_changes", {"tenant": town.name, "org_path": "g1", "sequence": {"$lt": 2**62}}, "sequence"),
    ]
    for collection, filter_, order in finds:
        plan = town.stack.documents[collection].find(filter_).sort(order, 1).explain()
        stages = str(plan["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in stages and "COLLSCAN" not in stages and "'SORT'" not in stages, (collection, stages)
