"""Each allocation on the way of a frame through the gateway and of a batch through the worker fails in turn.

A preloaded library (allocations.c) makes the n-th allocation of the running program return NULL. Whatever is failed, the
process lives, the phone is answered, refused with a temporary error or closed with a code that says reconnect, the same
event sent again is accepted, and in the end each event has taken effect once.
"""

import ctypes
import http.client
import json
import mmap
import os
import pathlib
import re
import shutil
import struct
import sys
import tempfile
import time

import pytest
import websockets.exceptions

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from meeting import Meeting  # noqa: E402
from people import new_id  # noqa: E402
from phone import Closed, Phone, Refused  # noqa: E402
from stack import Stack, Town  # noqa: E402
from waiting import until  # noqa: E402

LIBRARY = "liballocations.so"
MAIN_THREAD, OTHER_THREADS = 1, 2
NEVER = -1
SPARE = 8  # beyond the count that was measured: the way is not the same length each time


class Plan:
    """The file that the program under torture shares with us: struct plan of allocations.c."""

    SIZE = 240

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "allocations.plan"
        self.path.write_bytes(bytes(self.SIZE))
        with open(self.path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.SIZE)
        self._countdown = ctypes.c_int64.from_buffer(self._map, 8)
        self._seen = ctypes.c_int64.from_buffer(self._map, 16)
        self._scope = ctypes.c_uint32.from_buffer(self._map, 0)
        self._failed = ctypes.c_uint32.from_buffer(self._map, 4)
        self.disarm()

    def arm(self, scope, countdown):
        self._countdown.value = countdown
        self._seen.value = 0
        self._scope.value = scope

    def disarm(self):
        self._scope.value = 0
        self._countdown.value = NEVER

    @property
    def seen(self):
        return self._seen.value

    @property
    def failed(self):
        return self._failed.value

    @property
    def where(self):
        return bytes(self._map[32 : 32 + 200]).split(b"\0")[0].decode()


def preload(plan):
    library = pathlib.Path(os.environ["YZ_BUILD_DIR"]) / "tests" / LIBRARY
    assert library.exists(), f"{library} is not built"
    return {"LD_PRELOAD": str(library), "YZ_ALLOCATIONS": str(plan.path)}


def sanitized():
    """A sanitizer has an allocator of its own, which cannot be stood in for."""
    gateway = pathlib.Path(os.environ["YZ_BUILD_DIR"]) / "gateway" / "yz-gateway"
    return re.search(rb"__(asan|tsan)_init", gateway.read_bytes()) is not None


pytestmark = pytest.mark.skipif(sanitized(), reason="a sanitizer's allocator cannot be made to fail")


# What an answer that got lost costs, short: it happens a dozen times, and a second try is always due.
SETTINGS = {"ack_wait_ms": 2000, "database_timeout_ms": 1600, "uplink_timeout_ms": 2000, "query_timeout_ms": 800,
            "request_timeout_ms": 2000, "hello_timeout_ms": 10000, "idle_timeout_ms": 1800000,
            "session_frames_burst": 100000}  # fmt: skip
MEMORY = pathlib.Path("/dev/shm")
ROOM_BYTES = 1 << 30
SLOW_S = 1


@pytest.fixture
def folder(tmp_path):
    """In memory, where there is enough: nobody fails but for an allocation, and a thousand rounds wait for the disk."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM_BYTES:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="yizhan-torture-", dir=MEMORY) as made:
        yield pathlib.Path(made)


@pytest.fixture
def under_torture(folder):
    """start(name) gives (stack, town, plan) with `name` ("gateway" or "worker") under torture; a second gateway is not."""
    stacks = []

    def start(name):
        stack = Stack(folder, gateways=2, threads=1, **SETTINGS)
        stacks.append(stack)
        plan = Plan(folder)
        victim = stack.gateways[0] if name == "gateway" else stack.workers[0]
        victim.env.update(preload(plan))
        stack.start()
        return stack, Town(stack), plan, victim

    yield start
    for stack in stacks:
        for log in stack.logs():
            print(*log, sep="\n")
        stack.stop()
        stack.check_secrets()


class Torn:
    """A phone that comes back each time, from where it was."""

    def __init__(self, stack, person, channels):
        self.stack, self.person, self.channels = stack, person, channels
        self.positions = dict.fromkeys(channels, {"epoch": "", "offset": 0})
        self.offsets = {channel: [] for channel in channels}
        self.phone = None

    def connect(self):
        """Whatever is failed meanwhile: another try."""

        def connected():
            phone = None
            try:
                phone = Phone(self.stack.url())
                self.stack.phones.append(phone)
                welcome = phone.hello(self.stack.keys.token(self.person), list(self.positions.items()))
                if all("ok" in result for result in welcome["subscribed"]):
                    self.phone = phone
                    return True
            except Refused as refused:
                assert refused.error.get("temporary"), refused.error
            except Closed:
                assert phone.close_code < 3500, phone.closing
            except (OSError, EOFError, websockets.exceptions.WebSocketException):
                pass
            if phone:
                phone.close()
            return False

        until(connected, 60, 0.01, "a connection in spite of failing allocations")

    def lost(self):
        """Closed: with a code to reconnect, or broken off before a code could be said."""
        phone = self.phone
        assert phone.close_code in (1000, 1006, 1009, 1011) or 3000 <= phone.close_code < 3500, phone.closing
        self._keep()
        self.phone = None

    def _keep(self):
        for channel in self.channels:
            self.offsets[channel] += [int(push["offset"]) for push in self.phone.of(channel, durable=True)]
            self.positions[channel] = self.phone.position(channel)
        self.phone.pushes.clear()

    def do(self, work):
        """Work with the phone until it succeeds; reconnects as often as it must."""

        def done():
            if self.phone is None:
                self.connect()
            try:
                work(self.phone)
                return True
            except Refused as refused:
                assert refused.error.get("temporary"), refused.error
            except Closed:
                self.lost()
            return False

        until(done, 120, 0.01, "the frame is answered in the end")

    def all_offsets(self, channel):
        return self.offsets[channel] + [int(p["offset"]) for p in self.phone.of(channel, durable=True)]


def post(town, text):
    return {"orgPath": town.branch, "threadId": "t1", "messageId": text, "text": text}


def each_allocation(plan, scope, work):
    """work(number) with the number-th allocation failing, for as many as one undisturbed work needs."""
    counts = []
    # Other threads do other things meanwhile, so there the least is the truest, once it was seen twice.
    while len(counts) < 3 or (scope != MAIN_THREAD and len(counts) < 100 and sorted(counts)[1] > min(counts) + SPARE):
        plan.arm(scope, NEVER)
        work(0)
        counts.append(plan.seen)
    count = (max if scope == MAIN_THREAD else min)(counts) + SPARE
    before, places, slow = plan.failed, {}, []
    for number in range(1, count + 1):
        failed = plan.failed
        plan.arm(scope, number)
        began = time.monotonic()
        try:
            work(number)
        except BaseException:
            print(f"allocation {number}, the last that failed: {plan.where}")
            raise
        finally:
            plan.disarm()
        if plan.failed > failed:
            places[plan.where] = places.get(plan.where, 0) + 1
        if time.monotonic() - began > SLOW_S:
            slow.append(f"{number}, {plan.where}: {time.monotonic() - began:.1f} s")
    assert plan.failed > before, "nothing was made to fail"
    print(f"{work.__name__}: {plan.failed - before} of {count} allocations failed: {places}; slow: {slow}")
    return places


def test_each_allocation_of_a_frame(under_torture):
    stack, town, plan, gateway = under_torture("gateway")
    thread = f"thread.{town.branch}.t1"
    member = Torn(stack, town.person("m1"), [thread])
    desk = stack.phone(town.person("m2"), subscribe=[thread], gateway=1)
    pid = gateway.pid
    sent = []

    def emit(number):
        name = new_id("x")
        sent.append(name)
        member.do(lambda phone: phone.emit("thread.posted", post(town, name), event_id=f"e-{name}"))

    def query(number):
        member.do(lambda phone: phone.query("thread.page", {"orgPath": town.branch, "threadId": "t1"}))

    def other_channel(number):
        channel = f"thread.{town.branch}.other{number}"

        def come_and_go(phone):
            phone.subscribe(channel)
            phone.unsubscribe(channel)

        member.do(come_and_go)

    def arrive(number):
        if member.phone is not None:
            member.phone.read_for(0)
            member._keep()
            member.phone.close()
            member.phone = None
        member.connect()

    member.connect()
    for work in (emit, query, other_channel, arrive):
        each_allocation(plan, MAIN_THREAD, work)
    each_allocation(plan, OTHER_THREADS, emit)
    plan.disarm()
    assert gateway.running and gateway.pid == pid, "the gateway lives"
    # Everything accepted took effect once, in the order of the stream, and the torn phone missed nothing.
    emit(0)
    everything = desk.wait_push(len(sent), channel=thread, timeout=60)
    assert sorted(p["payload"]["messageId"] for p in everything) == sorted(sent)
    offsets = [int(p["offset"]) for p in everything]
    until(lambda: member.phone.read_for(0.1) or len(member.all_offsets(thread)) >= len(offsets), 30,
          what="the torn phone has everything")  # fmt: skip
    assert member.all_offsets(thread) == offsets


class Asker:
    """Requests over connections of their own; each is answered, refused with a temporary error, or its connection ends."""

    def __init__(self, stack, person):
        self.port = stack.gateways[0].port
        self.token = stack.keys.token(person)

    def ask(self, method, path, body=None):
        """Status and answer; None: the connection has ended. A silence is an error."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request(method, path, body and json.dumps(body), head)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def expect(self, status, *request):
        answer = self.ask(*request)
        if answer and answer[0] != status:
            assert answer[0] >= 500 and (answer[1] is None or answer[1]["temporary"]), answer
        return answer[1] if answer and answer[0] == status else None


def test_each_allocation_of_a_request(under_torture):
    stack, town, plan, gateway = under_torture("gateway")
    asker, pid = Asker(stack, town.person("m1")), gateway.pid

    def counted():
        """Connections without a socket, and as many less as there are other descriptors."""
        connections = stack.metric(gateway, "yizhan_gateway_connections")
        time.sleep(0.5)  # the one that asked is gone
        return connections - len(os.listdir(f"/proc/{pid}/fd"))

    def get(number):
        assert asker.expect(200, "GET", "/v1/query/notice/list?limit=5&minSequence=0") in ({}, None)

    def post(number):
        name = new_id("e")
        event = {"eventId": name, "type": "notice.read", "payload": {"noticeId": "n1"}}
        accepted = asker.expect(202, "POST", "/v1/events", event)
        assert not accepted or accepted["eventId"] == name

    def ask_by_post(number):
        asker.expect(404, "POST", "/v1/query/event/outcome_of_nonce?minSequence=0", {"eventId": new_id("e")})

    def arrive(number):
        asker.expect(426, "GET", "/v1/ws")

    before = counted()
    for number in range(1, 9):
        plan.arm(MAIN_THREAD, number)
        arrive(number)
        plan.disarm()
    until(lambda: counted() <= before, 20, what="no connection is counted that is none")
    for work in (get, post, ask_by_post):
        each_allocation(plan, MAIN_THREAD, work)
    assert gateway.running and gateway.pid == pid, "the gateway lives"


def test_each_allocation_before_a_value(under_torture):
    """Whoever holds a channel has its values, or is closed and comes back for them."""
    stack, town, plan, gateway = under_torture("gateway")
    desk = stack.phone(town.secretary, gateway=1)
    held = Meeting(town, desk, [town.person("m1")])
    stack.phone(town.person("m1"), gateway=1).done("checkin.recorded", held.checkin())
    holder = stack.phone(town.secretary, subscribe=[held.channel])  # so that the channel is there
    holder.wait_value(held.channel, "meeting.attendance_count", lambda value: value["present"] == 1)
    pid = gateway.pid

    def enter(number):
        phone = None
        try:
            phone = Phone(stack.url())
            phone.hello(stack.keys.token(town.secretary))
            phone.subscribe(held.channel, {})
            phone.wait_value(held.channel, "meeting.attendance_count", lambda value: value["present"] == 1, timeout=10)
        except Refused as refused:
            assert refused.error.get("temporary"), refused.error
        except (Closed, OSError, EOFError, websockets.exceptions.WebSocketException):
            pass
        finally:
            if phone:
                phone.close()

    each_allocation(plan, MAIN_THREAD, enter)
    assert gateway.running and gateway.pid == pid, "the gateway lives"


def test_each_allocation_of_a_batch(under_torture):
    stack, town, plan, worker = under_torture("worker")
    # Else the making of 64 consumers is counted as a batch's way.
    until(lambda: "event=leases held=64 " in worker.text(), 60, what="the worker has its partitions")
    thread = f"thread.{town.branch}.t1"
    desk = stack.phone(town.person("m2"), subscribe=[thread], gateway=1)
    pid = worker.pid
    sent = []

    def settle(number):
        name = new_id("x")
        sent.append(name)
        accepted = desk.emit("thread.posted", post(town, name), event_id=f"e-{name}", retry=True)

        def outcome():
            try:
                return desk.outcome(accepted)
            except Refused as refused:
                assert refused.error.get("temporary"), refused.error

        settled = until(outcome, 120, what="the event is settled in the end")
        assert settled["status"] == "APPLIED", settled

    each_allocation(plan, OTHER_THREADS, settle)
    plan.disarm()
    assert worker.running and worker.pid == pid, "the worker lives"
    pushes = desk.wait_push(len(sent), channel=thread)
    assert [p["payload"]["messageId"] for p in pushes] == sent
    assert stack.bus.stream("DEADLETTERS")["state"]["messages"] == 0
    assert stack.documents["posts"].count_documents({}) == len(sent)


def test_plan_is_the_library_s():
    """The offsets above are those of struct plan."""
    assert struct.calcsize("<IIqqq200s") <= Plan.SIZE
