"""Resume: nothing missed and nothing twice, whatever the phone last saw; values; history that is gone.

Phone itself asserts for every push that offsets rise and no id comes twice.
"""

import pytest

from meeting import Meeting
from waiting import until

CHANNEL = "org.g1/c1/b1"
SETTINGS = {"channel_max_messages": 20, "gateways": 2}
OTHER = 1  # a gateway that has not seen the channel, and so holds none of its pushes in memory
BEGINNING = {"epoch": "", "offset": 0}


@pytest.fixture
def desk(town):
    return town.phone(town.secretary)


def publish(desk, *ids):
    for notice_id in ids:
        desk.done("notice.published", {"noticeId": notice_id, "orgPath": "g1/c1/b1",
                                       "noticeClass": "INFO", "title": "t"})  # fmt: skip


def notices(phone, channel=CHANNEL):
    return [p["payload"]["noticeId"] for p in phone.of(channel, "notice.posted")]


def names(first, last):
    return [f"n{n}" for n in range(first, last + 1)]


def result(phone):
    return phone.welcome["subscribed"][0]["ok"]


def resume(town, since, encoding="json", channel=CHANNEL, gateway=0):
    return town.phone(town.person("m1"), encoding=encoding, subscribe=[(channel, since)], gateway=gateway)


def test_without_a_position_only_what_comes_from_now_on(town, desk, encoding):
    publish(desk, "n1", "n2")
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=[CHANNEL])
    assert not result(reader).get("recovered") and not result(reader).get("missed")
    publish(desk, "n3")
    reader.wait_push(channel=CHANNEL)
    assert notices(reader) == ["n3"]


def test_what_was_missed_comes_first_and_in_order(town, desk, encoding):
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=[CHANNEL])
    publish(desk, *names(1, 3))
    reader.wait_push(3, channel=CHANNEL)
    position = reader.position(CHANNEL)
    reader.close()
    publish(desk, *names(4, 8))
    back = resume(town, position, encoding)
    assert result(back)["recovered"] and result(back)["missed"] == 5
    publish(desk, "n9")
    back.wait_push(6, channel=CHANNEL)
    assert notices(back) == names(4, 9)


def test_a_phone_that_saw_nothing_yet_resumes_from_its_subscribe(town, desk, encoding):
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=[CHANNEL])
    position = reader.position(CHANNEL)
    assert not notices(reader)
    reader.close()
    publish(desk, *names(1, 4))
    back = resume(town, position, encoding)
    assert result(back)["recovered"] and result(back)["missed"] == 4
    back.wait_push(4, channel=CHANNEL)
    assert notices(back) == names(1, 4)


def test_the_beginning_gives_all_that_is_kept(town, desk, encoding):
    publish(desk, *names(1, 3))
    back = resume(town, BEGINNING, encoding)
    back.wait_push(3, channel=CHANNEL)
    assert notices(back) == names(1, 3)


def test_nothing_missed_is_recovered_with_nothing(town, desk):
    publish(desk, "n1")
    position = resume(town, BEGINNING).position(CHANNEL)
    back = resume(town, position)
    assert result(back)["recovered"] and not result(back).get("missed")
    publish(desk, "n2")
    back.wait_push(channel=CHANNEL)
    assert notices(back) == ["n2"]


def test_the_position_of_a_channel_that_never_had_a_push(town):
    channel = "thread.g1/c1/b1.quiet"
    position = resume(town, BEGINNING, channel=channel).position(channel)
    back = resume(town, position, channel=channel)
    assert result(back)["recovered"] and not result(back).get("missed")


def test_subscribe_on_an_open_session_resumes_too(town, desk, encoding):
    publish(desk, *names(1, 3))
    with town.phone(town.person("m1"), encoding=encoding) as phone:
        answer = phone.subscribe(CHANNEL, BEGINNING)
        assert answer["missed"] == 3
        phone.wait_push(3, channel=CHANNEL)
        position = phone.position(CHANNEL)
        phone.unsubscribe(CHANNEL)
        publish(desk, "n4")
        assert phone.subscribe(CHANNEL, position)["recovered"]
        phone.wait_push(4, channel=CHANNEL)
    assert notices(phone) == names(1, 4)


def test_the_reply_stands_before_the_history(town, desk):
    publish(desk, *names(1, 3))
    with town.phone(town.person("m1")) as phone:
        phone.subscribe(CHANNEL, BEGINNING)
        phone.wait_push(3, channel=CHANNEL)
    kinds = [next(iter(item)) for item in phone.items]
    assert kinds == ["reply", "reply", "push", "push", "push"]
    subscribed = phone.items[1]["reply"]["subscribed"]
    assert int(subscribed["offset"]) == int(phone.pushes[-1]["offset"])


def test_an_offline_inbox_is_delivered(town, desk, encoding):
    """Refusals and confirmations that came while the phone was away."""
    person = town.person("m1")
    held = Meeting(town, desk, [person])
    phone = town.phone(person, encoding=encoding, subscribe=["member.m1"])
    position = phone.position("member.m1")
    code = held.code()
    accepted = [phone.emit("checkin.recorded", held.checkin(code)) for _ in range(2)]
    phone.close()
    back = resume(town, position, encoding, "member.m1")
    pushes = back.wait_push(2, channel="member.m1")
    assert [p["type"] for p in pushes] == ["checkin.confirmed", "event.outcome"]
    assert pushes[0]["payload"]["meetingId"] == held.id
    outcome = pushes[1]["payload"]
    assert outcome["eventId"] == accepted[1]["eventId"] and outcome["code"] == "already_checked_in"


def test_an_evicted_history_is_not_recovered(town, desk, encoding):
    reader = town.phone(town.person("m1"), encoding=encoding, subscribe=[CHANNEL])
    publish(desk, "n1")
    reader.wait_push(channel=CHANNEL)
    position = reader.position(CHANNEL)
    reader.close()
    publish(desk, *names(2, 26))
    back = resume(town, position, encoding, gateway=OTHER)
    assert not result(back).get("recovered")
    publish(desk, "n27")
    back.wait_push(channel=CHANNEL, type_="notice.posted")
    until(lambda: back.read_for(0.2) or notices(back)[-1] == "n27", 30, what="n27 arrives")
    assert notices(back) == names(27 - len(notices(back)) + 1, 27), "what is kept, without a hole"


def test_a_position_just_inside_the_limit_is_recovered(town, desk):
    reader = resume(town, BEGINNING)
    publish(desk, "n1")
    reader.wait_push(channel=CHANNEL)
    position = reader.position(CHANNEL)
    publish(desk, *names(2, 20))  # n1 is the oldest of 20 kept
    back = resume(town, position, gateway=OTHER)
    assert result(back)["recovered"] and result(back)["missed"] == 19


def test_a_history_that_went_by_age_is_not_recovered(stack, town, desk):
    """As the stream's limits do it: everything up to a sequence is gone."""
    publish(desk, *names(1, 3))
    reader = resume(town, BEGINNING)
    reader.wait_push(3, channel=CHANNEL)
    early = {**reader.position(CHANNEL), "offset": int(reader.pushes[0]["offset"]) - 1}
    stack.bus.purge("CHANNELS", seq=int(reader.pushes[2]["offset"]))
    back = resume(town, early, gateway=OTHER)
    assert not result(back).get("recovered")


def test_recovered_is_said_only_of_what_is_delivered(town, desk):
    """A gateway may still hold what the stream has evicted; then all of it must come."""
    reader = town.phone(town.person("m1"), subscribe=[CHANNEL])
    publish(desk, "n1")
    reader.wait_push(channel=CHANNEL)
    position = reader.position(CHANNEL)
    publish(desk, *names(2, 26))
    back = resume(town, position)
    back.wait_push(result(back).get("missed", 0), channel=CHANNEL)
    assert notices(back) == (names(2, 26) if result(back).get("recovered") else names(7, 26))


def test_another_epoch_is_not_recovered(town, desk, encoding):
    publish(desk, *names(1, 3))
    here = resume(town, BEGINNING).position(CHANNEL)
    back = resume(town, {"epoch": "1.zzz", "offset": here["offset"]}, encoding)
    assert not result(back).get("recovered")
    assert result(back)["epoch"] == here["epoch"]


def test_an_offset_beyond_the_end_is_not_recovered(town, desk, encoding):
    publish(desk, "n1")
    here = resume(town, BEGINNING).position(CHANNEL)
    back = resume(town, {"epoch": here["epoch"], "offset": here["offset"] + 10**9}, encoding)
    assert not result(back).get("recovered")
    publish(desk, "n2")
    back.wait_push(channel=CHANNEL, type_="notice.posted")
    until(lambda: back.read_for(0.2) or "n2" in notices(back), 30, what="n2 arrives")


def test_reconnecting_while_it_rains(town, encoding):
    """A reader that comes and goes while 200 posts arrive sees each once and in order, across sessions."""
    import threading

    channel = "thread.g1/c1/b1.rain"
    writer = town.phone(town.person("w1"))
    texts = [f"post {n}" for n in range(200)]

    def write():
        for n, text in enumerate(texts):  # one behind the other: sent again, one must not come behind the next
            writer.emit("thread.posted", {"orgPath": town.branch, "threadId": "rain", "messageId": f"x{n}", "text": text},
                        retry=True, timeout=60)  # fmt: skip

    thread = threading.Thread(target=write)
    position, seen = resume(town, BEGINNING, encoding, channel).position(channel), []
    thread.start()
    for _ in range(200):
        with resume(town, position, encoding, channel) as phone:
            assert result(phone)["recovered"]
            phone.read_more(min(12, 200 - len(seen)))
            seen += [p["payload"]["text"] for p in phone.of(channel)]
            position = phone.position(channel)
        if len(seen) >= 200:
            break
    thread.join()
    assert seen == texts


def test_a_value_comes_after_the_history_and_only_the_last_counts(town, desk, encoding):
    people = town.members(5)
    held = Meeting(town, desk, people)
    code = held.code()
    for person in people:
        town.phone(person).done("checkin.recorded", held.checkin(code))
    phone = town.phone(people[0], encoding=encoding, subscribe=[(held.channel, BEGINNING)])
    count = phone.wait_value(held.channel, "meeting.attendance_count",
                             lambda value: value.get("present") == 5)  # fmt: skip
    assert count == {"present": 5, "shouldAttend": 5}
    values = phone.of(held.channel, "meeting.attendance_count")
    assert len(values) == 1 and values[0]["name"] == "attendance" and int(values[0]["version"]) > 0
    assert not values[0].get("offset")
    kinds = [bool(p.get("offset")) for p in phone.of(held.channel)]
    assert kinds == sorted(kinds, reverse=True), "the history first, then values"


def test_a_live_value_moves(town, desk, encoding):
    people = town.members(3)
    held = Meeting(town, desk, people)
    screen = town.phone(town.secretary, encoding=encoding, subscribe=[held.channel])
    code = held.code()
    for n, person in enumerate(people, 1):
        town.phone(person).done("checkin.recorded", held.checkin(code))
        screen.wait_value(held.channel, "meeting.attendance_count",
                          lambda value, n=n: value.get("present") == n)  # fmt: skip


def test_a_stream_made_anew_closes_sessions_for_a_fresh_start(new_stack):
    """The epoch changes with the stream; who holds the old one is told to reconnect, and not recovered."""
    from stack import Town

    stack = new_stack()
    town = Town(stack)
    desk = stack.phone(town.secretary)
    reader = stack.phone(town.person("m1"), subscribe=[CHANNEL])
    publish(desk, "n1")
    reader.wait_push(channel=CHANNEL)
    position = reader.position(CHANNEL)
    assert stack.bus.api("STREAM.DELETE.CHANNELS").get("success")
    stack.apply()
    code, closing = reader.wait_closed(20)
    assert code == 3002 and closing["code"] == "stream_reset" and closing["reconnect"]
    back = stack.phone(town.person("m1"), subscribe=[(CHANNEL, position)])
    assert not result(back).get("recovered") and result(back)["epoch"] != position["epoch"]
    publish(stack.phone(town.secretary), "n2")
    back.wait_push(channel=CHANNEL)
    assert notices(back) == ["n2"]
