"""Notices: who gets them, who has read them, and the list."""

import pytest

from people import new_id
from phone import Refused


def notice(path="g1/c1/b1", notice_id=None, **fields):
    return {"noticeId": notice_id or new_id("n"), "orgPath": path, "noticeClass": "INFO",
            "title": "t", **fields}  # fmt: skip


def chief(town):
    return town.person("chief", "g1", ("member", "secretary@g1"))


def test_a_notice_reaches_the_subtree_through_the_orgs_above(town, encoding):
    reader = town.phone(town.person("m1"), encoding=encoding,
                        subscribe=["org.g1/c1/b1", "org.g1/c1", "org.g1"])  # fmt: skip
    desk = town.phone(chief(town))
    for path in ("g1", "g1/c1", "g1/c1/b1", "g1/c1/b2"):
        desk.done("notice.published", notice(path, title=path))
    pushes = reader.wait_push(3, type_="notice.posted")
    reader.read_for(0.3)
    assert [p["payload"]["title"] for p in reader.pushes] == ["g1", "g1/c1", "g1/c1/b1"]
    assert [p["channel"] for p in pushes] == ["org.g1", "org.g1/c1", "org.g1/c1/b1"]


def test_the_list_is_ones_own_branch_and_above_newest_first_in_pages(town, encoding):
    desk = town.phone(chief(town))
    for n, path in enumerate(["g1", "g1/c1/b1", "g1/c1/b2", "g1/c1", "g2x", "g1/c1/b1"]):
        if path != "g2x":
            desk.done("notice.published", notice(path, f"n{n}"))
    phone = town.phone(town.person("m1"), encoding=encoding)
    whole = phone.query("notice.list")["notices"]
    assert [n["noticeId"] for n in whole] == ["n5", "n3", "n1", "n0"]
    assert not phone.query("notice.list").get("nextBefore")
    paged, before = [], 0
    for _ in range(10):
        reply = phone.query("notice.list", {"limit": 2, "before": str(before)})
        paged += reply.get("notices", [])
        before = int(reply.get("nextBefore", 0))
        if not before:
            break
    assert paged == whole


def test_reading_counts_once_and_is_told_to_the_publisher(town, encoding):
    desk = town.phone(town.secretary, encoding=encoding, subscribe=["member.sec"])
    published = notice(noticeClass="CONFIRM")
    desk.done("notice.published", published)
    for member in ("m1", "m2", "m3"):
        town.phone(town.person(member)).done("notice.read", {"noticeId": published["noticeId"]})
    count = desk.wait_value("member.sec", "notice.receipt_count", lambda v: v.get("read") == 3)
    assert count == {"noticeId": published["noticeId"], "orgPath": "g1/c1/b1", "read": 3, "delivered": 3}
    value = desk.of("member.sec", "notice.receipt_count")[-1]
    assert value["name"] == f"receipts.{published['noticeId']}.g1/c1/b1"
    again = town.phone(town.person("m1")).emit("notice.read", {"noticeId": published["noticeId"]})
    town.phone(town.person("m1")).outcome(again)
    receipts = desk.query("notice.receipts", {"orgPath": "g1/c1/b1", "noticeId": published["noticeId"]},
                          again["sequence"])  # fmt: skip
    assert receipts["read"] == 3 and sorted(receipts["branches"][0]["readBy"]) == ["m1", "m2", "m3"]


def test_receipts_of_a_subtree_stand_by_branch(town):
    boss = town.phone(chief(town))
    published = notice("g1")
    boss.done("notice.published", published)
    for member, path in (("m1", "g1/c1/b1"), ("m2", "g1/c1/b2"), ("m3", "g1/c1/b2"), ("m4", "g1")):
        town.phone(town.person(member, path)).done("notice.read", {"noticeId": published["noticeId"]})
    reply = boss.query("notice.receipts", {"orgPath": "g1", "noticeId": published["noticeId"]})
    got = {b["orgPath"]: sorted(b["readBy"]) for b in reply["branches"]}
    assert got == {"g1/c1/b1": ["m1"], "g1/c1/b2": ["m2", "m3"], "g1": ["m4"]}
    assert reply["read"] == 4


def test_who_is_not_in_the_audience_cannot_read(town):
    desk = town.phone(town.secretary)
    published = notice()
    desk.done("notice.published", published)
    other = town.phone(town.person("m9", "g1/c1/b2"))
    assert other.refused("notice.read", {"noticeId": published["noticeId"]}) == "not_in_audience"
    assert other.refused("notice.read", {"noticeId": "none"}) == "not_found"
    with pytest.raises(Refused) as refused:
        desk.query("notice.receipts", {"orgPath": "g1/c1/b1", "noticeId": "none"})
    assert refused.value.code == "not_found"


def test_the_document(town):
    published = notice(title="通知", body="内容")
    accepted = town.phone(town.secretary).done("notice.published", published)
    documents = town.find("notices")
    assert len(documents) == 1
    assert documents[0]["_id"] == f"{town.name}|{published['noticeId']}"
    assert documents[0]["evt_seq"] == accepted["sequence"] and documents[0]["title"] == "通知"


def test_a_notice_that_has_expired_already_is_refused_by_the_brokers_clock(town):
    desk = town.phone(town.secretary)
    assert desk.refused("notice.published", notice(expiresAt="2001-01-01T00:00:00Z")) == "invalid_value"
    desk.done("notice.published", notice(expiresAt="2101-01-01T00:00:00Z"))
    assert len(town.find("notices")) == 1
