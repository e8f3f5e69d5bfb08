"""Who is typing in a thread: told at once to the others that hold its channel, over every gateway, and kept nowhere."""

import pytest

from people import new_id
from waiting import until

SETTINGS = {"gateways": 2}
CHANNEL = "thread.g1/c1/b1.t1"
KEPT = ("EVENTS", "CHANNELS", "THREADS", "STATE", "DEADLETTERS")


@pytest.fixture
def apart(town):
    """Two members that look at the thread, each at a gateway of its own and in an encoding of its own."""
    first = town.phone(town.person("a"), subscribe=[CHANNEL], gateway=0, encoding="json")
    second = town.phone(town.person("b"), subscribe=[CHANNEL], gateway=1, encoding="protobuf")
    return first, second


def refusal(phone, channel=CHANNEL, kind="TYPING"):
    return phone.error_of({"signal": {"channel": channel, "kind": kind}})


def quiet(*phones):
    """Whatever is on its way has come: each has an answer from its gateway, and then some time has passed."""
    for phone in phones:
        phone.expect({"ping": {}}, "pong")
        phone.read_for(0.3)


def counter(stack, name):
    return [int(stack.metric(gateway, f"yizhan_gateway_{name}_total")) for gateway in stack.gateways]


def test_the_others_see_it_through_another_gateway(town, apart):
    first, second = apart
    again = town.phone(town.person("a"), subscribe=[CHANNEL], gateway=1)
    beside = town.phone(town.person("c"), subscribe=[CHANNEL], gateway=0, encoding="protobuf")
    away = town.phone(town.person("d"), subscribe=["thread.g1/c1/b1.t2"], gateway=1)
    expected = [{"channel": CHANNEL, "member": "a", "kind": "TYPING"}]
    first.signal(CHANNEL)
    assert second.wait_signal() == expected
    assert beside.wait_signal() == expected
    second.signal(CHANNEL)
    assert first.wait_signal() == [{"channel": CHANNEL, "member": "b", "kind": "TYPING"}]
    quiet(first, again, second, beside, away)
    assert [s["member"] for s in again.signals] == ["b"], "its member's own are not told"
    assert [s["member"] for s in beside.signals] == ["a", "b"]
    assert not away.signals
    assert len(first.signals) == len(second.signals) == 1


def test_who_does_not_hold_the_thread_says_nothing(town, apart):
    first, second = apart
    stranger = town.phone(town.person("x", path="g1/c2/b9"), gateway=0)
    outside = town.phone(town.person("y"), gateway=0)
    left = town.phone(town.person("z"), subscribe=[CHANNEL], gateway=0)
    left.unsubscribe(CHANNEL)
    guest = town.phone(town.person("p", roles=("public",)), gateway=0)
    for phone in (stranger, outside, left, guest):
        error = refusal(phone)
        assert (error["code"], error["field"]) == ("not_subscribed", "channel"), phone.welcome
    assert stranger.error_of({"subscribe": {"channel": CHANNEL}})["code"] == "forbidden"
    assert guest.error_of({"subscribe": {"channel": CHANNEL}})["code"] == "forbidden"
    assert refusal(first, "org.g1/c1/b1")["code"] == "invalid_value"
    assert refusal(first, "typing")["code"] == "unknown_channel"
    assert refusal(first, kind="SIGNAL_KIND_UNSPECIFIED")["field"] == "kind"
    quiet(second)
    assert not second.signals


def test_another_tenants_thread_of_this_name_is_another(stack, town, apart):
    from stack import Town

    _, second = apart
    elsewhere = Town(stack)
    twin = elsewhere.phone(elsewhere.person("a"), subscribe=[CHANNEL], gateway=0)
    neighbour = elsewhere.phone(elsewhere.person("b"), subscribe=[CHANNEL], gateway=1)
    twin.signal(CHANNEL)
    assert len(neighbour.wait_signal()) == 1
    quiet(second)
    assert not second.signals


def test_a_session_says_it_seldom(town, apart):
    first, second = apart
    other = "thread.g1/c1/b1.t2"
    first.subscribe(other)
    first.signal(CHANNEL)
    for _ in range(20):
        error = refusal(first)
        assert error["code"] == "rate_limited" and error["temporary"] and 0 < error["retryAfterMs"] <= 3000
    first.signal(other)  # a limit for each thread
    first.unsubscribe(CHANNEL)
    first.subscribe(CHANNEL)
    assert refusal(first)["code"] == "rate_limited", "nothing is gained by coming back"
    quiet(second)
    assert len(second.signals) == 1


def test_nothing_of_it_is_kept(stack, town, apart):
    """No stream, no document, no log line; and nobody who comes back, or later, is told."""
    first, second = apart
    typist = town.phone(town.person(new_id("typist")), subscribe=[CHANNEL], gateway=0)
    heard = stack.bus.listen("sig.>")
    place = second.position(CHANNEL)
    before = {name: stack.bus.stream(name)["state"]["last_seq"] for name in KEPT}
    first.signal(CHANNEL)
    second.wait_signal()
    assert second.position(CHANNEL) == place, "no place in the channel"
    second.close()
    typist.signal(CHANNEL)
    until(lambda: len(heard) == 2, what="both were on the bus")
    back = town.phone(town.person("b"), subscribe=[(CHANNEL, place)], gateway=1)
    late = town.phone(town.person("late"), subscribe=[(CHANNEL, {"epoch": "", "offset": 0})], gateway=0)
    quiet(back, late)
    assert not back.signals and not late.signals and not back.pushes and not late.pushes
    assert {name: stack.bus.stream(name)["state"]["last_seq"] for name in KEPT} == before
    for name in stack.bus.api("STREAM.NAMES")["streams"]:
        assert not any(s.startswith("sig") for s in stack.bus.stream(name)["config"]["subjects"]), name
    for collection in stack.documents.list_collection_names():
        kept = [d for d in stack.documents[collection].find() if town.name in str(d)]
        assert not kept, (collection, kept)
    member = typist.welcome["member"]
    assert not [name for name, text in stack.logs() if member in text]
    assert sum(counter(stack, "signals_sent")) >= 2
