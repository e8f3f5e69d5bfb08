"""Each kind of fault alone: the world is disturbed under traffic, mended, and then everything works and nothing is missing."""

import contextlib
import random
import threading

import pytest

from kinds import KINDS
from people import new_id
from phone import Closed, Refused
from stack import Town
from waiting import TooLate, until
from world import World

HOLD_MAX_S = 6.0
THREAD = "thread.g1/c1/b1.t1"


@pytest.fixture(scope="module", params=["single", "cluster"])
def world(request, tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"), random.Random(1), cluster=request.param == "cluster")
    made.start()
    yield made
    made.end()


class Writer(threading.Thread):
    """A member who posts one by one, each until it is accepted, over whatever connection can be had."""

    def __init__(self, world, town):
        super().__init__(daemon=True)
        self.world, self.town = world, town
        self.accepted = {}
        self.over = threading.Event()
        self.phone = None
        self.failure = None

    def run(self):
        try:
            number = 0
            while not self.over.is_set():
                self._post(number)
                number += 1
        except BaseException as failure:
            self.failure = failure

    def _post(self, number):
        event_id = new_id("e")
        payload = {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"x{number}", "text": f"post {number}"}
        while event_id not in self.accepted:
            try:
                self.phone = self.phone or self._connect()
                accepted = self.phone.emit("thread.posted", payload, event_id, retry=True, timeout=5)
                self.accepted[event_id] = (payload["text"], accepted["sequence"])
            except (Closed, TooLate, OSError, Refused, EOFError, *HANDSHAKE) as error:
                if isinstance(error, Refused) and not error.error.get("temporary"):
                    raise
                self._hang_up()
            if self.over.wait(0.02):
                break

    def _connect(self):
        gateway = self.world.rng.randrange(2)
        return self.world.phone(self.town.person("writer"), gateway=gateway, open_timeout=3)

    def _hang_up(self):
        if self.phone:
            with contextlib.suppress(Exception):
                self.phone.ws.socket.close()
        self.phone = None


def _handshake_errors():
    import websockets.exceptions

    return (websockets.exceptions.WebSocketException,)


HANDSHAKE = _handshake_errors()


def check_everything_arrived(world, town, accepted, position):
    """Each accepted post is applied, stands once in the channel, and a phone that was away gets it."""
    reader = world.phone(town.person("reader"), encoding="protobuf", subscribe=[(THREAD, position)])
    assert reader.welcome["subscribed"][0]["ok"]["recovered"]
    reader.wait_push(len(accepted), 30, channel=THREAD)
    texts = [p["payload"]["text"] for p in reader.of(channel=THREAD)]
    in_order = [text for text, _ in sorted(accepted.values(), key=lambda value: value[1])]
    assert [text for text in texts if text in set(in_order)] == in_order
    outcomes = {o["event_id"]: o["status"] for o in town.find("outcomes")}
    assert all(outcomes[event_id] == "applied" for event_id in accepted)


def disturb(world, kind, town):
    """One fault under traffic; the names and places of what was accepted."""
    rng = random.Random(kind.name)
    target = rng.choice(kind.targets(world))
    writer = Writer(world, town)
    writer.start()
    try:
        until(lambda: writer.accepted or writer.failure, 20, what="traffic before the fault")
        before = len(writer.accepted)
        try:
            print(kind.name, target, kind.begin(world, target, rng))
            writer.over.wait(min(kind.hold_s(rng), HOLD_MAX_S))
        finally:
            kind.end(world, target)
        until(lambda: len(writer.accepted) > before + 3 or writer.failure, 60, what="traffic after the fault")
    finally:
        writer.over.set()
        writer.join(30)
    assert not writer.failure, writer.failure
    return writer.accepted


@pytest.mark.parametrize("name", KINDS)
def test_one_fault(world, name):
    kind = KINDS[name]
    if reason := kind.why_not(world):
        pytest.skip(f"{name} {reason}")
    town = Town(world)
    with world.phone(town.person("reader"), subscribe=[THREAD]) as reader:
        position = reader.position(THREAD)
    accepted = disturb(world, kind, town)
    world.wait_calm()
    check_everything_arrived(world, town, accepted, position)
