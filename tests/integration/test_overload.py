"""More than there is room for: nobody waits for another's trouble, refusals are temporary, nothing accepted is lost."""

import pytest

from stack import Town
from waiting import until

SETTINGS = {"log_level": "info"}


@pytest.fixture
def town(stack):
    return Town(stack)


def notice(number, body="b"):
    return {"noticeId": f"n{number}", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t", "body": body}


def emit_notice(phone, number, body="b"):
    """Without waiting; the frame's id."""
    return phone.send({"emit": {"eventId": f"e{number}", "type": "notice.published", "payload": notice(number, body)}})


def test_a_stalled_bus_stalls_no_session(stack, town):
    """While a write to the stopped broker is blocked, every session is answered, and what was accepted is right."""
    gateway, body, rounds, sent = stack.gateways[0], "文" * 9000, 0, []
    phones = [town.phone(person) for person in town.members(20)]
    desk = town.phone(town.secretary, encoding="protobuf")

    def blocked():
        """The broker counts as connected, and more waits to be written to it than ever does while it takes something."""
        return (stack.metric(gateway, "yizhan_gateway_bus_connected") == 1
                and stack.metric(gateway, "yizhan_gateway_bus_queued") >= 100)  # fmt: skip

    def fill():
        sent.append(emit_notice(desk, len(sent), body))
        return len(sent) % 20 == 0 and blocked()

    stack.nats.stop_still()
    try:
        until(fill, 60, 0, what="more is sent than the kernel's buffers hold")
        while blocked():
            for frame_id in [(phone, phone.send({"ping": {}})) for phone in phones]:
                assert frame_id[0].reply(frame_id[1])[0] == "pong"
            rounds += blocked()
    finally:
        stack.nats.go_on()
    assert rounds > 0, "no round of pings was answered while a write was blocked"
    answers = [desk.reply(frame_id, 60) for frame_id in sent]
    for _, error in (answer for answer in answers if answer[0] == "error"):
        assert error["temporary"] and error["code"] in ("bus_unavailable", "busy"), error
        assert error["retryAfterMs"] > 0
    for number in range(len(sent)):
        desk.emit("notice.published", notice(number, body), event_id=f"e{number}", retry=True, timeout=60)
    until(lambda: len(town.find("outcomes")) == len(sent), 60, what="each event has its outcome")
    assert all(outcome["status"] == "applied" for outcome in town.find("outcomes"))
    assert len(town.find("notices")) == len(sent)
