"""More than there is room for: nobody waits for another's trouble, refusals are temporary, nothing accepted is lost."""

import asyncio
import collections
import concurrent.futures
import socket
import threading

import pytest

import wire
from barrage import Line, framed, handshake, hello, pour
from phone import Closed
from stack import Town
from waiting import until

PUSHES = 9999  # one below what a thread keeps: all can be resumed
SETTINGS = {"log_level": "info", "session_frames_per_s": 500, "session_frames_burst": 1000}


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


def test_what_is_refused_comes_in_later_and_nothing_is_lost(new_stack):
    """Fifty lines want in where there is room for a few: each event is accepted or told when to come again."""
    stack = new_stack(uplink_window=32, uplink_window_min=8)
    town = Town(stack)
    lines = asyncio.run(besiege(stack, town.members(50), each=10))
    codes = collections.Counter(code for line in lines for code in line.codes)
    assert set(codes) <= {"busy"}, codes
    assert codes["busy"] > 0 and stack.metric(stack.gateways[0], "yizhan_gateway_events_busy_total") > 0
    hints = [retry_ms for line in lines for retry_ms in line.hints]
    assert min(hints) > 0 and len(set(hints)) > len(hints) / 20, "hints are spread"
    accepted = sorted(event_id for line in lines for event_id in line.accepted)
    assert len(accepted) == len(set(accepted)) == 500, "each line got all of its events in"
    until(lambda: len(town.find("outcomes")) == 500, 60, what="each event has its outcome")
    assert sorted(outcome["event_id"] for outcome in town.find("outcomes")) == accepted
    assert len(town.find("posts")) == 500


class Caller:
    """A line that sends its events, and again, when it was told to, those that were refused."""

    def __init__(self, events):
        self.events, self.accepted, self.codes, self.hints = events, [], [], []
        self.line, self.done = None, asyncio.get_running_loop().create_future()

    def begin(self):
        for number in self.events:
            self.line.send(self.events[number])

    def on_reply(self, line, number, result, code, retry_ms):
        if number not in self.events:
            return
        if result == "accepted":
            self.accepted.append(f"e{number}")
        else:
            self.codes.append(code)
            self.hints.append(retry_ms)
            asyncio.get_running_loop().call_later(retry_ms / 1000, line.send, self.events[number])
        if len(self.accepted) == len(self.events):
            self.done.set_result(None)


def post(number):
    return framed({"id": number, "emit": {"eventId": f"e{number}", "type": "thread.posted", "payload": {
        "orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"x{number}", "text": "t"}}})  # fmt: skip


async def besiege(stack, people, each):
    port, callers = stack.gateways[0].port, []
    for n, person in enumerate(people):
        caller = Caller({10 + n * each + k: post(10 + n * each + k) for k in range(each)})
        caller.line = await Line.open(port, stack.keys.token(person), on_reply=caller.on_reply)
        callers.append(caller)
    for caller in callers:
        caller.begin()
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), 120)
    for caller in callers:
        caller.line.close()
    return callers


FLOODS = {
    "events": framed({"id": 7, "emit": {"eventId": "flood", "type": "thread.posted", "payload": {
        "orgPath": "g1/c1/b1", "threadId": "flood", "messageId": "x", "text": "t"}}}),
    "pings": framed({"id": 7, "ping": {}}),
    "queries": framed({"id": 7, "query": {"type": "notice.list", "payload": {}}}),
    "channels": framed({"id": 7, "subscribe": {"channel": "thread.g1/c1/b1.flood"}})
    + framed({"id": 8, "unsubscribe": {"channel": "thread.g1/c1/b1.flood"}}),
    "noise": framed(b"no JSON"),
    "fragments": framed(b"", opcode=0x00),
}  # fmt: skip


@pytest.mark.parametrize("kind", FLOODS)
def test_one_that_floods_slows_nobody(stack, town, kind):
    """Twenty members do all their work, none of it refused, while one connection after another is poured full."""
    gateway, going, poured = stack.gateways[0], [True], []
    token = stack.keys.token(town.person("flooder"))
    limited = "yizhan_gateway_frames_rate_limited_total"
    limited_before = stack.metric(gateway, limited)

    def flood():
        first = framed(b"{", opcode=0x01) if kind == "fragments" else b""
        while going[0]:
            poured.append(pour(gateway.port, token, FLOODS[kind], lambda: going[0], first))

    def work(person, n):
        phone = town.phone(person, subscribe=[("thread.g1/c1/b1.t1", {"epoch": "", "offset": 0})])
        for k in range(10):
            phone.done("thread.posted", {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"{n}-{k}", "text": "t"})
            phone.query("notice.list", {})
            phone.expect({"ping": {}}, "pong")
        phone.wait_push(200, 60, type_="thread.post")

    flooder = threading.Thread(target=flood)
    flooder.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            for done in [pool.submit(work, person, n) for n, person in enumerate(town.members(20))]:
                done.result()
        until(lambda: poured, 60, what="the flooder is closed")
    finally:
        going[0] = False
        flooder.join()
    assert len([p for p in town.find("posts") if p["thread_id"] == "t1"]) == 200
    assert kind == "noise" or stack.metric(gateway, limited) > limited_before


def test_a_storm_of_connects_leaves_the_sessions_their_time(new_stack):
    """Five hundred at once where two hundred have room: the others are told 503 and when to come, nobody is cut off."""
    stack = new_stack(sessions_max=200, accepts_per_s=300, reconnect_spread_ms=4000)
    town, gateway = Town(stack), stack.gateways[0]
    stayed = [town.phone(person) for person in town.members(20)]
    token, rounds = stack.keys.token(town.person("storm")), 0
    storm = threading.Thread(target=lambda: found.extend(asyncio.run(connect_at_once(gateway.port, token, 500))))
    found = []
    storm.start()
    while storm.is_alive():
        for phone, frame_id in [(phone, phone.send({"ping": {}})) for phone in stayed]:
            assert phone.reply(frame_id)[0] == "pong"
        rounds += 1
    storm.join()
    assert rounds > 0 and len(found) == 500
    welcome = [line for line in found if line.status == 101]
    refused = [line for line in found if line.status == 503]
    assert len(welcome) == 180 and len(refused) == 320, collections.Counter(line.status for line in found)
    assert all(line.replies == 1 for line in welcome), "who came in was greeted"
    waits = [int(line.head.partition(b"Retry-After: ")[2].split()[0]) for line in refused]
    assert min(waits) >= 1 and max(waits) <= 7 and len(set(waits)) > 2, "the waits are spread"
    assert stack.metric(gateway, "yizhan_gateway_handshakes_refused_total") == 320
    assert stack.metric(gateway, "yizhan_gateway_accept_pauses_total") > 0
    assert not any(phone.closing for phone in stayed)


async def connect_at_once(port, token, count):
    """Their lines, once each was greeted or refused; closed again at the end."""
    lines = await asyncio.gather(*(Line.open(port, token) for _ in range(count)))
    while not all(line.replies or line.status != 101 for line in lines):
        await asyncio.sleep(0.02)
    for line in lines:
        line.close()
    return lines


def test_an_address_has_its_share(new_stack):
    """All connections of one address draw on one bucket, over WebSocket and over HTTP; what is refused says until when."""
    stack = new_stack(address_frames_per_s=5, address_frames_burst=40)
    town = Town(stack)
    first, second = (town.phone(person) for person in town.members(2))
    answers = [phone.request({"ping": {}}) for phone in [first, second] * 30]
    errors = [body for name, body in answers if name == "error"]
    assert [name for name, _ in answers[:38]] == ["pong"] * 38, "two hellos and the pings share a burst of forty"
    assert len(errors) >= 15 and {error["code"] for error in errors} == {"rate_limited"}
    assert all(error["temporary"] and error["retryAfterMs"] > 0 for error in errors)
    status, headers, problem = stack.http("GET", "/v1/query/notice/list", token=stack.keys.token(town.secretary))
    assert status == 429 and problem["code"] == "rate_limited" and int(headers["Retry-After"]) >= 1
    until(lambda: first.request({"ping": {}})[0] == "pong", 30, what="there is room again")
    assert not first.closing and not second.closing, "nobody is closed for what others of the address send"


def test_a_connection_has_its_share_of_requests(new_stack):
    stack = new_stack(session_frames_per_s=1, session_frames_burst=5)
    with socket.create_connection(("127.0.0.1", stack.gateways[0].port), timeout=20) as sock:
        request = b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n"
        seen = [answer_to(sock, request) for _ in range(8)]
    assert [status for status, _ in seen] == [404] * 5 + [429] * 3
    assert all(b"Retry-After: " in head for status, head in seen if status == 429)


def answer_to(sock, request):
    """(status, head) of the answer; its body is read, too."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    head, _, body = data.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(body) < size:
        body += sock.recv(4096)
    return int(head.split()[1]), head


def deaf_socket(port, token, channel):
    """A session that says hello and reads nothing, with as small a buffer as there is."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(handshake(port))
    while b"\r\n\r\n" not in sock.recv(4096):
        pass
    sock.sendall(hello(token, [channel]))
    return sock


def test_who_reads_nothing_costs_a_bounded_part_of_memory(new_stack):
    """Fifty sessions that never read, while ten thousand pushes of theirs go by: bounded, closed, and resumable."""
    stack = new_stack(session_backlog_max_bytes=262144)
    town, gateway = Town(stack), stack.gateways[0]
    channel, subject = "thread.g1/c1/b1.t1", f"thr.{town.name}.>"
    writer = town.phone(town.secretary, encoding="protobuf", subscribe=[channel])
    position, before = writer.position(channel), gateway.rss_bytes()
    deaf = [deaf_socket(gateway.port, stack.keys.token(person), channel) for person in town.members(50)]
    until(lambda: stack.metric(gateway, "yizhan_gateway_subscribers") == 51, 30, what="all hold the channel")
    writer.done("thread.posted", {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": "x", "text": "报到" * 400})
    stored = stack.bus.messages("THREADS", subject)[0]
    writer.close()
    model = wire.unpack("Push", stored.data)
    stack.bus.publish_many(stored.subject, [wire.pack("Push", {**model, "id": f"{n}-1"}) for n in range(PUSHES - 1)])
    until(lambda: stack.metric(gateway, "yizhan_gateway_slow_readers_total") >= 50, 60, 0.2, "all are closed")
    gateway.check_memory(before, 64 << 20)
    for sock in deaf:
        sock.close()
    assert resumed(town, channel, position) == stack.bus.stream("THREADS")["state"]["messages"] == PUSHES


def resumed(town, channel, position):
    """How many pushes come behind the position, over as many sessions as that takes; each once and in order."""
    count = 0
    while count < PUSHES:
        phone = town.phone(town.person("m1"), encoding="protobuf", subscribe=[(channel, position)])
        assert phone.welcome["subscribed"][0]["ok"]["recovered"]
        try:
            phone.wait_push(PUSHES - count, 60, channel=channel)
        except Closed:
            assert phone.closing["code"] == "slow_reader" and phone.pushes, "each session gets on"
        count, position = count + len(phone.of(channel)), phone.position(channel)
        phone.close()
    return count
