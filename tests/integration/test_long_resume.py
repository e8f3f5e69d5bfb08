"""Resume of more than may wait for one session: who reads gets all of it on that session; who does not costs little."""

import socket
import threading
import time

import pytest

from people import new_id
from phone import Closed
from waiting import until

MEGABYTE = 1 << 20
SETTINGS = {"session_backlog_max_bytes": 262144, "idle_timeout_ms": 6000}
BEGINNING = {"epoch": "", "offset": 0}
LEVELS = ("g1", "g1/c1", "g1/c1/b1")
BODY = "文" * 10_000  # 30,000 bytes


@pytest.fixture
def desk(town):
    return town.phone(town.person("boss", roles=("member", "secretary@g1")))


def publish(desk, first, last, org_path="g1/c1/b1"):
    """Notices first to last, without waiting for one before the next; again those that the bus was too busy for."""
    events = [{"eventId": new_id("e"), "type": "notice.published", "payload": {
        "noticeId": name, "orgPath": org_path, "noticeClass": "INFO", "title": "t", "body": BODY}}
        for name in names(first, last, org_path)]  # fmt: skip
    for event, frame_id in [(event, desk.send({"emit": event})) for event in events]:
        name, accepted = desk.reply(frame_id, 60)
        if name == "error":
            assert accepted["temporary"], accepted
            accepted = desk.emit(event["type"], event["payload"], event["eventId"], retry=True, timeout=60)
        assert desk.outcome({**accepted, "sequence": int(accepted["sequence"])})["status"] == "APPLIED"


def names(first, last, org_path="g1/c1/b1"):
    return sorted(f"{org_path.count('/')}-{n}" for n in range(first, last + 1))


def notices(phone, org_path="g1/c1/b1"):
    """Sorted: notices that are published together come in any order; Phone sees that offsets rise."""
    return sorted(p["payload"]["noticeId"] for p in phone.of(f"org.{org_path}", "notice.posted"))


def read(phone, count):
    """Until so many pushes have come. A phone that only reads pings, too."""
    deadline = time.monotonic() + 60
    while len(phone.of(type_="notice.posted")) < count:
        assert time.monotonic() < deadline, f"{len(phone.pushes)} of {count} pushes came"
        phone.expect({"ping": {}}, "pong", 30)
        phone.read_for(0.2)


def test_all_of_a_long_history_comes_on_one_session(town, desk, encoding):
    """While new posts keep coming on the same channel; then it is live."""
    publish(desk, 1, 200)
    phone = town.phone(town.person("m1"), encoding=encoding, subscribe=[("org.g1/c1/b1", BEGINNING)])
    assert phone.welcome["subscribed"][0]["ok"]["missed"] == 200
    writer = threading.Thread(target=publish, args=(desk, 201, 260))
    writer.start()
    read(phone, 260)
    writer.join()
    assert notices(phone) == names(1, 260)
    publish(desk, 261, 261)
    phone.wait_push(261, type_="notice.posted")
    assert notices(phone) == names(1, 261)
    assert phone.position("org.g1/c1/b1")["offset"] == int(phone.pushes[-1]["offset"])


def test_a_pause_in_reading_is_no_loss(town, desk, encoding):
    publish(desk, 1, 200)
    phone = narrow_phone(town, encoding)
    time.sleep(2)
    publish(desk, 201, 220)
    read(phone, 220)
    assert notices(phone) == names(1, 220)


def test_several_channels_of_one_hello_come_whole(town, desk, encoding):
    for level in LEVELS:
        publish(desk, 1, 60, level)
    phone = town.phone(town.person("m1"), encoding=encoding,
                       subscribe=[(f"org.{level}", BEGINNING) for level in LEVELS])  # fmt: skip
    assert [result["ok"]["missed"] for result in phone.welcome["subscribed"]] == [60, 60, 60]
    publish(desk, 61, 65, "g1/c1")
    read(phone, 185)
    assert {level: notices(phone, level) for level in LEVELS} == {
        level: names(1, 65 if level == "g1/c1" else 60, level) for level in LEVELS}  # fmt: skip


def test_a_subscribe_behind_another_comes_whole(town, desk, encoding):
    publish(desk, 1, 60, "g1")
    publish(desk, 1, 60)
    with town.phone(town.person("m1"), encoding=encoding) as phone:
        ids = [phone.send({"subscribe": phone._subscription((f"org.{level}", BEGINNING))})
               for level in ("g1", "g1/c1/b1")]  # fmt: skip
        assert [phone.reply(frame_id)[1]["missed"] for frame_id in ids] == [60, 60]
        read(phone, 120)
        assert notices(phone, "g1") == names(1, 60, "g1") and notices(phone) == names(1, 60)


def test_who_does_not_read_costs_little_and_is_closed(stack, town, desk):
    publish(desk, 1, 200)
    gateway, count = stack.gateways[0], 20
    warm = town.phone(town.person("warm"), subscribe=[("org.g1/c1/b1", BEGINNING)])
    read(warm, 200)
    before = gateway.rss_bytes()
    closed_before = stack.metric(gateway, "yizhan_gateway_slow_readers_total")
    phones = [narrow_phone(town, "json", f"m{n}") for n in range(count)]

    def all_closed():
        for phone in [p for p in phones if not p.closing]:
            try:
                phone.send({"ping": {}})
            except Closed:
                pass
        warm.expect({"ping": {}}, "pong")
        gateway.check_memory(before, 16 * MEGABYTE)
        return stack.metric(gateway, "yizhan_gateway_slow_readers_total") - closed_before >= count

    until(all_closed, 40, every=0.5, what="all that do not read are closed")

    def only_warm_is_left():
        warm.expect({"ping": {}}, "pong")
        return stack.metric(gateway, "yizhan_gateway_subscribers") == 1

    until(only_warm_is_left, 40, every=0.5, what="they are gone")


def narrow_phone(town, encoding, member="m1"):
    """One whose socket takes in little, and that has read no further than the Welcome."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", town.stack.gateways[0].port))
    return town.phone(town.person(member), encoding=encoding, subscribe=[("org.g1/c1/b1", BEGINNING)],
                      sock=sock, max_queue=1)  # fmt: skip
