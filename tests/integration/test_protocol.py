"""Every frame of the client protocol, in both subprotocols."""

import datetime

import pytest
import websockets.exceptions

from people import new_id
from phone import Phone, Refused


def test_the_server_echoes_the_chosen_subprotocol(stack, encoding):
    with stack.connect(encoding) as phone:
        assert phone.ws.subprotocol == f"yizhan.v1.{encoding}"


def test_no_subprotocol_offered_means_json(stack, town):
    with Phone(stack.url(), "json", subprotocols=[]) as phone:
        assert phone.ws.subprotocol is None
        assert phone.hello(stack.keys.token(town.secretary))["member"] == "sec"


def test_an_unknown_subprotocol_is_not_accepted(stack):
    with pytest.raises((websockets.exceptions.WebSocketException, OSError)):
        phone = Phone(stack.url(), "json", subprotocols=["yizhan.v9.xml"])
        assert phone.ws.subprotocol is None
        phone.expect({"ping": {}}, "pong", timeout=2)


def test_hello_is_answered_with_the_terms_of_the_session(town, encoding):
    with town.stack.connect(encoding) as phone:
        welcome = phone.hello(town.stack.keys.token(town.secretary, lifetime_s=600))
    assert welcome["member"] == "sec" and welcome["tenant"] == town.name and welcome["session"]
    assert welcome["pingIntervalMs"] == 25000 and welcome["maxFrameBytes"] == 65536
    assert welcome["reconnectMaxMs"] == town.stack.settings["reconnect_spread_ms"]
    server, expires = (
        datetime.datetime.fromisoformat(welcome[k].replace("Z", "+00:00"))
        for k in ("serverTime", "expiresAt")
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    assert abs((server - now).total_seconds()) < 5
    assert 590 < (expires - server).total_seconds() < 605


def test_sessions_have_different_names(town):
    first, second = (town.phone(town.secretary) for _ in range(2))
    assert first.welcome["session"] != second.welcome["session"]


@pytest.mark.parametrize("body", [
    {"subscribe": {"channel": "member.sec"}}, {"unsubscribe": {"channel": "member.sec"}},
    {"emit": {"eventId": "e1", "type": "notice.read", "payload": {"noticeId": "n1"}}},
    {"query": {"type": "notice.list", "payload": {}}},
], ids=lambda body: next(iter(body)))  # fmt: skip
def test_nothing_goes_before_hello(stack, encoding, body):
    with stack.connect(encoding) as phone:
        assert phone.error_of(body)["code"] == "hello_first"


def test_hello_subscribes_in_the_order_asked_and_answers_each(town, encoding):
    wanted = ["member.sec", "org.g1/c1/b1", "org.other/branch", "nonsense", "org.g1"]
    with town.phone(town.secretary, encoding=encoding, subscribe=wanted) as phone:
        results = phone.welcome["subscribed"]
    assert [r["channel"] for r in results] == wanted
    assert [r.get("error", {}).get("code") for r in results] == [
        None, None, "forbidden", "unknown_channel", None]  # fmt: skip
    for result in results:
        if "ok" in result:
            assert result["ok"]["channel"] == result["channel"] and result["ok"]["epoch"]


def test_ping_is_answered_with_the_time(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        assert phone.expect({"ping": {}}, "pong")["serverTime"]


def test_replies_carry_the_ids_of_their_frames(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        ids = [phone.send({"ping": {}}, frame_id) for frame_id in (7, 4294967295, 100)]
        assert [phone.reply(frame_id)[0] for frame_id in ids] == ["pong"] * 3


def test_frame_id_zero_is_refused(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        phone.send({"ping": {}}, 0)
        name, error = phone.reply(0)
        assert name == "error" and error["field"] == "id"


def test_subscribe_twice_and_unsubscribe(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        first = phone.subscribe("org.g1")
        again = phone.subscribe("org.g1")
        assert again["epoch"] == first["epoch"]
        assert phone.unsubscribe("org.g1")["channel"] == "org.g1"
        error = phone.error_of({"unsubscribe": {"channel": "org.g1"}})
        assert error["code"] == "not_subscribed"


def test_a_push_comes_to_both_encodings_alike(town):
    phones = [town.phone(town.person("m1"), encoding=e, subscribe=["org.g1/c1/b1"])
              for e in ("json", "protobuf")]  # fmt: skip
    notice = {"noticeId": new_id("n"), "orgPath": town.branch, "noticeClass": "INFO",
              "title": "通知", "body": "微党课 · \"引号\" \\ \u2028 😀"}  # fmt: skip
    accepted = town.phone(town.secretary).emit("notice.published", notice)
    pushes = [phone.wait_push(type_="notice.posted")[0] for phone in phones]
    assert pushes[0] == pushes[1]
    push = pushes[0]
    assert push["channel"] == "org.g1/c1/b1" and push["id"].startswith(f"{accepted['sequence']}-")
    posted = push["payload"]
    assert {k: posted[k] for k in notice} == notice
    assert posted["publisher"] == "sec" and int(posted["sequence"]) == accepted["sequence"]
    assert posted["publishedAt"] == push["time"]


def test_after_unsubscribe_nothing_comes(town, encoding):
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=["org.g1/c1/b1", "org.g1"])
    reader.unsubscribe("org.g1/c1/b1")
    desk = town.phone(town.person("boss", "g1", ("member", "secretary@g1")))
    for path in (town.branch, "g1"):
        desk.emit("notice.published", {"noticeId": new_id("n"), "orgPath": path,
                                       "noticeClass": "INFO", "title": path})  # fmt: skip
    reader.wait_push(channel="org.g1")
    assert not reader.of("org.g1/c1/b1")


def test_query_answers_and_says_not_found(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        assert phone.query("notice.list").get("notices", []) == []
        with pytest.raises(Refused) as refused:
            phone.query("meeting.get", {"orgPath": town.branch, "meetingId": "none"})
        assert refused.value.code == "not_found" and not refused.value.error.get("temporary")


def test_min_sequence_reads_ones_own_writes(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        for n in range(5):
            notice = {"noticeId": f"n{n}", "orgPath": town.branch, "noticeClass": "INFO", "title": "t"}
            accepted = phone.emit("notice.published", notice)
            reply = phone.query("notice.list", {}, accepted["sequence"])
            assert reply["notices"][0]["noticeId"] == f"n{n}"


def test_min_sequence_that_does_not_exist_yet_is_not_settled(town, encoding):
    with town.phone(town.secretary, encoding=encoding) as phone:
        accepted = phone.emit("notice.read", {"noticeId": "n1"})
        with pytest.raises(Refused) as refused:
            phone.query("notice.list", {}, accepted["sequence"] + 1000000)
        assert refused.value.code in ("not_settled", "timed_out")
        assert refused.value.error["temporary"]


@pytest.mark.parametrize("body, code, field", [
    ({"emit": {"eventId": "e1", "type": "no.such", "payload": {}}}, "unknown_type", "type"),
    ({"query": {"type": "no.such", "payload": {}}}, "unknown_type", "type"),
    ({"query": {"type": "notice.published", "payload": {}}}, "unknown_type", "type"),
    ({"emit": {"eventId": "e1", "type": "notice.list", "payload": {}}}, "unknown_type", "type"),
    ({"emit": {"type": "notice.read", "payload": {"noticeId": "n1"}}}, "missing_field", "eventId"),
    ({"emit": {"eventId": "e 1", "type": "notice.read", "payload": {"noticeId": "n1"}}},
     "invalid_value", "eventId"),
    ({"emit": {"eventId": "e" * 65, "type": "notice.read", "payload": {"noticeId": "n1"}}},
     None, "eventId"),
    ({"emit": {"eventId": "e1", "type": "notice.read"}}, "missing_field", "payload.noticeId"),
    ({"emit": {"eventId": "e1", "type": "notice.read", "payload": {"noticeId": "a.b"}}},
     "invalid_value", "payload.noticeId"),
    ({"query": {"type": "notice.list", "payload": {"limit": 101}}}, "invalid_value", "payload.limit"),
    ({"subscribe": {"channel": "org."}}, "unknown_channel", "channel"),
    ({"subscribe": {"channel": "org.g1.*"}}, "unknown_channel", "channel"),
    ({"subscribe": {"channel": "org.>"}}, "unknown_channel", "channel"),
    ({"subscribe": {"channel": ""}}, None, "channel"),
    ({"subscribe": {"channel": "member.someone"}}, "forbidden", "channel"),
    ({"unsubscribe": {"channel": "org.g1"}}, "not_subscribed", "channel"),
    ({}, None, None),
])  # fmt: skip
def test_what_is_wrong_is_named(town, encoding, body, code, field):
    with town.phone(town.person("m1"), encoding=encoding) as phone:
        error = phone.error_of(body)
        if code:
            assert error["code"] == code, error
        if field and error.get("field"):
            assert error["field"].endswith(field), error
        assert not error.get("temporary")
        phone.expect({"ping": {}}, "pong")


def test_a_session_has_a_maximum_of_channels(town):
    with town.phone(town.secretary) as phone:
        for n in range(64):
            phone.subscribe(f"thread.g1/c1/b1.t{n}")
        error = phone.error_of({"subscribe": {"channel": "thread.g1/c1/b1.t64"}})
        assert error["code"] == "too_many_channels"
        phone.unsubscribe("thread.g1/c1/b1.t0")
        phone.subscribe("thread.g1/c1/b1.t64")
