"""Processes that die, hang, leave and come back: nothing accepted is lost, nothing happens twice."""

import re
import threading

import pytest

import wire
from meeting import Meeting
from people import new_id
from phone import Closed, Refused
from stack import Town
from waiting import holds, until

SETTINGS = {"uplink_timeout_ms": 1500, "query_timeout_ms": 2000, "batch_max": 16, "log_level": "info"}
# Those of a batch; those of the outbox are test_timers.py's.
POINTS = sorted(re.findall(r'yz_fault_point\("(\w+)"\)', (wire.ROOT / "workers/batch.c").read_text()))
THREAD = "thread.g1/c1/b1.t1"
BEGINNING = {"epoch": "", "offset": 0}


@pytest.fixture
def stack(stack):
    """The file's stack, mended after whatever the last test did to it."""
    for process in stack.workers + stack.gateways:
        if not process.running:
            process.start(**stack._env(**process.settings))
        stack.wait_ready(process)
    return stack


@pytest.fixture
def town(stack):
    return Town(stack)


class Story:
    """Check-ins, posts and notices of one tenant, and what must have become of them in the end."""

    def __init__(self, town, members=20, posts=30):
        self.town, self.posts = town, posts
        self.people = town.members(members)
        self.desk = town.phone(town.secretary, subscribe=["member.sec"])
        self.held = Meeting(town, self.desk, self.people)
        self.code = self.held.code()
        self.reader = town.phone(town.person("reader"), encoding="protobuf",
                                 subscribe=[THREAD, self.held.channel, "org.g1/c1/b1"])  # fmt: skip
        self.accepted = {}

    def emit_all(self):
        """Each event twice, the second time at once: a retry must not matter."""
        phones = [self.town.phone(person) for person in self.people]
        for n, phone in enumerate(phones):
            self._emit(phone, f"c{n}", "checkin.recorded", self.held.checkin(self.code))
        for n in range(self.posts):
            self._emit(phones[n % len(phones)], f"p{n}", "thread.posted", {
                "orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"x{n}", "text": f"post {n}"})  # fmt: skip
        for n in range(3):
            self._emit(self.desk, f"n{n}", "notice.published", {
                "noticeId": f"n{n}", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"})  # fmt: skip
        for phone in phones:
            phone.close()

    def _emit(self, phone, event_id, type_, payload):
        first = phone.emit(type_, payload, event_id=event_id, retry=True, timeout=60)
        again = phone.emit(type_, payload, event_id=event_id, retry=True, timeout=60)
        assert again["duplicate"] and again["sequence"] == first["sequence"]
        self.accepted[event_id] = first["sequence"]

    def check(self):
        """Documents, outcomes, pushes and counts are exactly what one undisturbed pass would leave."""
        until(self.settled, 60, what="all events are settled")
        outcomes = {o["event_id"]: o for o in self.town.find("outcomes")}
        for event_id, sequence in self.accepted.items():
            assert outcomes[event_id]["status"] == "applied", outcomes[event_id]
            assert outcomes[event_id]["sequence"] == sequence
        members = sorted(document["_id"].rsplit("|", 1)[1] for document in self.town.find("checkins"))
        assert members == sorted(person.member for person in self.people)
        assert len(self.town.find("posts")) == self.posts and len(self.town.find("notices")) == 3
        pushed = [p["payload"]["text"] for p in self.reader.wait_push(self.posts, 60, channel=THREAD)]
        assert pushed == [f"post {n}" for n in range(self.posts)]
        self.reader.wait_push(3, channel="org.g1/c1/b1", type_="notice.posted")
        count = self.reader.wait_value(self.held.channel, "meeting.attendance_count",
                                       lambda v: v.get("present") == len(self.people), 30)  # fmt: skip
        assert count["shouldAttend"] == len(self.people)
        self.reader.read_for(0.3)
        assert len(self.reader.of(channel=THREAD)) == self.posts
        self.check_streams()
        assert not self.desk.of("member.sec", "event.outcome")

    def settled(self):
        return self.town.stack.bus.stream("EVENTS")["state"]["messages"] == 0

    def check_streams(self):
        """In the stream itself, too, each push stands once."""
        messages = self.town.stack.bus.messages("THREADS", f"thr.{self.town.name}.>")
        ids = [wire.unpack("Push", m.data)["id"] for m in messages]
        assert len(ids) == len(set(ids)) == self.posts


def test_the_worker_has_fault_points():
    assert POINTS, "no yz_fault_point in workers/"


@pytest.mark.parametrize("nth", [1, 4])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_in_mid_batch(stack, town, point, nth):
    story = Story(town)
    worker = stack.workers[0]
    assert worker.terminate() == 0
    emitting = threading.Thread(target=story.emit_all)
    stack.start_worker(worker, ready=False, fault=f"{point}:{nth}")
    emitting.start()
    emitting.join()
    try:
        until(lambda: not worker.running, 30, what=f"the worker dies at {point}")
        assert worker.wait() == -9
    finally:
        worker.kill()
    stack.start_worker(worker)
    story.check()


def test_a_worker_that_dies_again_and_again(stack, town):
    """SIGKILL at any moment, six times in a row, under events."""
    story = Story(town, members=30, posts=120)
    worker = stack.workers[0]
    emitting = threading.Thread(target=story.emit_all)
    emitting.start()
    for _ in range(6):
        until(lambda: not emitting.is_alive() or story.accepted, 30)
        emitting.join(0.7)
        worker.kill()
        stack.start_worker(worker, ready=False)
    emitting.join()
    stack.wait_ready(worker)
    story.check()


def test_another_worker_takes_over(new_stack):
    stack = new_stack(**{**SETTINGS, "workers": 2})
    story = Story(Town(stack))
    story_thread = threading.Thread(target=story.emit_all)
    story_thread.start()
    until(lambda: len(story.accepted) > 5, 30, what="some events")
    stack.workers[0].kill()
    story_thread.join()
    story.check()
    second = Story(Town(stack))
    second.emit_all()
    second.check()


def test_partitions_are_shared_and_given_up_in_peace(new_stack):
    """A leaving worker's partitions are taken at once, not after the lease has run out."""
    stack = new_stack(**{**SETTINGS, "workers": 2, "lease_ttl_ms": 20000})
    first, second = stack.workers

    def owned(worker):
        return stack.metric(worker, "yizhan_worker_partitions")

    until(lambda: owned(first) + owned(second) == 64, 40, what="all partitions have an owner")
    until(lambda: min(owned(first), owned(second)) >= 12, 40, what="both have a fair share")
    assert first.terminate() == 0
    until(lambda: owned(second) == 64, 15, what="the other has them all")
    story = Story(Town(stack))
    story.emit_all()
    story.check()


def test_a_worker_that_slept_changes_nothing(new_stack):
    """SIGSTOP past the lease, a successor works, then the sleeper wakes up: its writes and acks do no harm."""
    stack = new_stack(**{**SETTINGS, "workers": 2})
    story = Story(Town(stack), posts=60)
    emitting = threading.Thread(target=story.emit_all)
    emitting.start()
    until(lambda: len(story.accepted) > 10, 30, what="some events")
    sleeper = stack.workers[0]
    sleeper.stop_still()
    emitting.join()
    until(lambda: len(story.town.find("outcomes")) >= len(story.accepted), 60, what="the successor is done")
    sleeper.go_on()
    story.check()
    assert sleeper.running
    again = Story(Town(stack))
    again.emit_all()
    again.check()


def test_while_no_worker_is_there_events_are_accepted_and_questions_fail_for_now(stack, town):
    phone = town.phone(town.secretary, subscribe=["org.g1/c1/b1"])
    stack.workers[0].terminate()
    accepted = phone.emit("notice.published", {"noticeId": "n1", "orgPath": "g1/c1/b1",
                                               "noticeClass": "INFO", "title": "t"})  # fmt: skip
    error = phone.error_of({"query": {"type": "notice.list", "payload": {}}})
    assert error["temporary"] and error["code"] in ("timed_out", "busy", "bus_unavailable"), error
    stack.start_worker(stack.workers[0])
    phone.wait_push(type_="notice.posted")
    assert phone.outcome(accepted)["status"] == "APPLIED"


def test_a_stopped_worker_finishes_what_it_holds(stack, town):
    """SIGTERM under load: exit 0 within seconds, and its successor has nothing to repair twice."""
    story = Story(town, posts=100)
    emitting = threading.Thread(target=story.emit_all)
    emitting.start()
    until(lambda: len(story.accepted) > 20, 30, what="some events")
    assert stack.workers[0].terminate() == 0
    stack.start_worker(stack.workers[0])
    emitting.join()
    story.check()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_nats_restarts_while_phones_are_connected(stack, town, how):
    reader = town.phone(town.person("m1"), subscribe=["org.g1/c1/b1", "member.m1"])
    desk = town.phone(town.secretary)
    notice = {"orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}
    desk.done("notice.published", {**notice, "noticeId": "n1"})
    getattr(stack.nats, how)()
    gateway = stack.gateways[0]
    until(lambda: stack.admin(gateway, "/readyz")[0] == 503, 30, what="not ready while NATS is away")
    assert stack.admin(gateway, "/healthz")[0] == 200
    error = desk.emit_error("notice.published", {**notice, "noticeId": "n2"}, eventId="e2")
    assert error["code"] == "bus_unavailable" and error["temporary"] and error.get("retryAfterMs")
    assert desk.error_of({"query": {"type": "notice.list", "payload": {}}})["temporary"]
    assert stack.http("POST", "/v1/events", {
        "eventId": "e3", "type": "notice.published", "payload": {**notice, "noticeId": "n3"},
    }, stack.keys.token(town.secretary))[0] == 503  # fmt: skip
    for phone in (reader, desk):
        phone.expect({"ping": {}}, "pong")
    stack.nats.start()
    stack.wait_nats()
    stack.wait_ready(gateway)
    desk.emit("notice.published", {**notice, "noticeId": "n2"}, event_id="e2", retry=True, timeout=30)
    pushes = reader.wait_push(2, 30, type_="notice.posted")
    assert [p["payload"]["noticeId"] for p in pushes] == ["n1", "n2"]
    assert sorted(n["notice_id"] for n in town.find("notices")) == ["n1", "n2"]
    reader.expect({"ping": {}}, "pong")


def test_nats_hangs(stack, town):
    """SIGSTOP of the bus: temporary errors in bounded time, then everything goes on."""
    desk = town.phone(town.secretary, subscribe=["org.g1/c1/b1"])
    notice = {"orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t", "noticeId": "n1"}
    stack.nats.stop_still()
    try:
        error = desk.emit_error("notice.published", notice, eventId="e1")
        assert error["temporary"] and error["code"] in ("bus_unavailable", "busy", "timed_out")
        desk.expect({"ping": {}}, "pong")
    finally:
        stack.nats.go_on()
    desk.emit("notice.published", notice, event_id="e1", retry=True, timeout=40)
    desk.wait_push(1, 30, type_="notice.posted")
    desk.read_for(0.5)
    assert len(desk.of(type_="notice.posted")) == 1 and len(town.find("notices")) == 1


def test_the_database_dies_and_returns(stack, town):
    phone = town.phone(town.secretary, subscribe=["org.g1/c1/b1"])
    notice = {"orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}
    phone.done("notice.published", {**notice, "noticeId": "n0"})
    stack.database.kill()
    accepted = [phone.emit("notice.published", {**notice, "noticeId": f"n{n}"}) for n in range(1, 6)]
    stack.database.start()
    pushes = phone.wait_push(6, 60, type_="notice.posted")
    assert sorted(p["payload"]["noticeId"] for p in pushes) == [f"n{n}" for n in range(6)]
    assert phone.outcome(accepted[-1])["status"] == "APPLIED"
    assert len(town.find("notices")) == 6
    assert stack.workers[0].running and not stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>")


def test_a_killed_gateway_loses_nothing_that_a_phone_resumes(stack, town):
    """Positions and ids are all that a phone needs: it reconnects, sends again, and has everything once."""
    gateway = stack.gateways[0]
    reader = town.phone(town.person("m1"), subscribe=[THREAD])
    writer = town.phone(town.person("w1"))
    seen, position = [], reader.position(THREAD)
    for round_ in range(3):
        frames = {f"{round_}-{n}": {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"{round_}-{n}",
                                    "text": f"{round_}-{n}"} for n in range(30)}  # fmt: skip
        for event_id, payload in frames.items():
            writer.send({"emit": {"eventId": event_id, "type": "thread.posted", "payload": payload}})
        gateway.kill()
        for phone in (reader, writer):
            phone.wait_closed()
        seen += [p["payload"]["text"] for p in reader.pushes]
        position = reader.position(THREAD)
        stack.start_gateway(gateway)
        writer = town.phone(town.person("w1"))
        for event_id, payload in frames.items():
            writer.emit("thread.posted", payload, event_id=event_id)
        reader = town.phone(town.person("m1"), subscribe=[(THREAD, position)])
        assert reader.welcome["subscribed"][0]["ok"]["recovered"]
        want = 30 * (round_ + 1) - len(seen)
        reader.wait_push(want, channel=THREAD)
    reader.read_for(0.3)
    seen += [p["payload"]["text"] for p in reader.pushes]
    assert sorted(seen) == sorted(f"{r}-{n}" for r in range(3) for n in range(30))


def test_sigterm_drains_the_gateway(new_stack, encoding):
    """Everybody is told to reconnect, with spread; the others take them over; exit code 0."""
    stack = new_stack(**{**SETTINGS, "gateways": 2, "drain_ms": 1500})
    town = Town(stack)
    leaving = stack.gateways[0]
    phones = [stack.phone(town.person(f"m{n}"), encoding=encoding, subscribe=["org.g1/c1/b1"])
              for n in range(10)]  # fmt: skip
    leaving.popen.terminate()
    for phone in phones:
        code, closing = phone.wait_closed(15)
        assert code == 3000 and closing["code"] == "going_away" and closing["reconnect"]
        assert closing["reconnectMaxMs"] >= closing.get("reconnectMinMs", 0)
    assert leaving.wait(15) == 0
    with pytest.raises(OSError):
        stack.connect()
    desk = stack.phone(town.secretary, gateway=1)
    desk.done("notice.published", {"noticeId": "n1", "orgPath": "g1/c1/b1",
                                   "noticeClass": "INFO", "title": "t"})  # fmt: skip
    for n, phone in enumerate(phones):
        since = phone.position("org.g1/c1/b1")
        back = stack.phone(town.person(f"m{n}"), encoding=encoding, gateway=1,
                           subscribe=[("org.g1/c1/b1", since)])  # fmt: skip
        assert back.welcome["subscribed"][0]["ok"]["recovered"]
        back.wait_push(type_="notice.posted")


def test_a_gateway_starts_before_its_bus_and_is_ready_later(stack, town):
    gateway = stack.gateways[0]
    gateway.terminate()
    stack.nats.terminate()
    stack.start_gateway(gateway, ready=False)
    until(lambda: stack.admin(gateway, "/healthz")[0] == 200, 30, what="alive")
    holds(lambda: stack.admin(gateway, "/readyz")[0] == 503, 1, what="not ready without its bus")
    stack.nats.start()
    stack.wait_nats()
    stack.wait_ready(gateway)
    town.phone(town.secretary).expect({"ping": {}}, "pong")


def test_several_processes_on_one_port(stack, town):
    """--processes 2: connections spread over both, pushes reach both, SIGTERM ends all."""
    gateway = stack._gateway(9)
    gateway.admin_port = stack.ports.take(2)
    gateway.argv[gateway.argv.index("--admin-port") + 1] = str(gateway.admin_port)
    gateway.argv += ["--processes", "2"]
    stack.gateways.append(gateway)
    try:
        stack.start_gateway(gateway)
        phones = [stack.phone(town.person(f"m{n}"), gateway=1, subscribe=["org.g1/c1/b1"])
                  for n in range(30)]  # fmt: skip
        town.phone(town.secretary).done("notice.published", {
            "noticeId": "n1", "orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"})  # fmt: skip
        for phone in phones:
            phone.wait_push(type_="notice.posted")
        first = stack.metric(gateway, "yizhan_gateway_sessions")
        gateway.admin_port += 1
        second = stack.metric(gateway, "yizhan_gateway_sessions")
        assert first + second == 30 and first and second
        assert gateway.terminate() == 0
    finally:
        gateway.kill()
        stack.gateways.remove(gateway)


def test_a_full_event_store_refuses_and_recovers(new_stack):
    stack = new_stack(**{**SETTINGS, "events_max_bytes": 1048576})
    town = Town(stack)
    desk = stack.phone(town.secretary, encoding="protobuf", subscribe=["org.g1/c1/b1"])
    notice = {"orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t", "body": "文" * 9000}
    stack.workers[0].terminate()
    accepted, full = [], None
    for n in range(200):
        try:
            accepted.append(desk.emit("notice.published", {**notice, "noticeId": f"n{n}"}, f"e{n}"))
        except Refused as refused:
            full = refused
            break
    assert full and full.code == "storage_full" and full.error["temporary"], full
    status, headers, problem = stack.http(
        "POST", "/v1/events", {"eventId": "h1", "type": "notice.published",
                               "payload": {**notice, "noticeId": "h1"}},
        stack.keys.token(town.secretary))  # fmt: skip
    assert status == 503 and problem["code"] == "storage_full" and headers["Retry-After"]
    stack.start_worker(stack.workers[0])
    desk.emit("notice.published", {**notice, "noticeId": f"n{n}"}, f"e{n}", retry=True, timeout=30)
    desk.wait_push(len(accepted) + 1, 30, type_="notice.posted")
    assert len(town.find("notices")) == len(accepted) + 1


def test_an_emit_under_way_when_the_session_ends_is_kept(stack, town):
    """The phone hangs up right behind its emit: the event stands, and the retry is a duplicate or the first."""
    ids = []
    for _ in range(20):
        phone = town.phone(town.person("m1"))
        ids.append(new_id("e"))
        phone.send({"emit": {"eventId": ids[-1], "type": "thread.posted", "payload": {
            "orgPath": "g1/c1/b1", "threadId": "t1", "messageId": ids[-1], "text": "t"}}})  # fmt: skip
        phone.ws.socket.close()
    again = town.phone(town.person("m1"))
    for event_id in ids:
        accepted = again.emit("thread.posted", {"orgPath": "g1/c1/b1", "threadId": "t1",
                                                "messageId": event_id, "text": "t"}, event_id)  # fmt: skip
        assert again.outcome(accepted)["status"] == "APPLIED"
    assert len(town.find("posts")) == 20


def test_closed_is_told_as_closed(stack, town):
    """What Phone calls closed is what the peer did, not a time-out: a check of the harness itself."""
    phone = town.phone(town.person("m1"))
    stack.gateways[0].kill()
    with pytest.raises(Closed):
        phone.expect({"ping": {}}, "pong")
