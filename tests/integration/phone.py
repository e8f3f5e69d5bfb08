"""A phone: one WebSocket of the `websockets` package, in either subprotocol.

It files what arrives and, whatever the test is about, insists on what is promised of every channel: offsets rise, no
push comes twice, no value goes back.
"""

import itertools
import time

import websockets.exceptions
import websockets.sync.client

import api_document
import wire
from people import new_id
from waiting import TooLate

ENCODINGS = ("json", "protobuf")


class Refused(AssertionError):
    """The server answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error}")
        self.error = error
        self.code = error.get("code")


class Closed(AssertionError):
    """The server closed the connection."""


class Phone:
    def __init__(self, url, encoding="json", subprotocols=None, **options):
        offered = [f"yizhan.v1.{encoding}"] if subprotocols is None else subprotocols
        options = {"compression": None, "ping_interval": None, "proxy": None, "max_size": None,
                   "open_timeout": 20, "close_timeout": 5, "legacy": True, **options}  # fmt: skip
        self.encoding = encoding
        self.ws = websockets.sync.client.connect(url, subprotocols=offered or None, **options)
        self._ids = itertools.count(1)
        self._replies = {}
        self.pushes = []  # every push and value, in the order of arrival
        self.signals = []  # of other members
        self.messages = 0  # of WebSocket
        self.items = []  # every item: the order of replies and pushes
        self._places = {}  # channel: what position() is made of
        self._since = {}  # channel: position of the last subscribe
        self.closing = None  # the Closing item, when one came
        self.close_code = None
        self.welcome = None
        self._seen = {}  # channel: ids of its pushes
        self._versions = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.ws.close()

    def send(self, body, frame_id=None):
        """Send a frame without waiting; its id."""
        frame_id = next(self._ids) if frame_id is None else frame_id
        self.send_raw(wire.encode_client_frame({"id": frame_id, **body}, self.encoding))
        return frame_id

    def send_raw(self, data):
        try:
            self.ws.send(data)
        except websockets.exceptions.ConnectionClosed as closed:
            self._closed(closed)

    def answer_to(self, data, timeout=10):
        """Send bytes or text as they are; the next item that comes."""
        before = len(self.items)
        self.send_raw(data)
        self.read_until(lambda: len(self.items) > before, timeout, f"an answer to {data[:80]!r}")
        return self.items[before]

    def request(self, body, timeout=15):
        """Send a frame; its reply's one result as (name, body)."""
        return self.reply(self.send(body), timeout)

    def reply(self, frame_id, timeout=15):
        self.read_until(lambda: self._replies.get(frame_id), timeout, f"reply to frame {frame_id}")
        reply = self._replies[frame_id].pop(0)
        names = [name for name in reply if name != "id"]
        assert len(names) == 1, f"a reply has one result: {reply}"
        return names[0], reply[names[0]]

    def expect(self, body, result, timeout=15):
        name, value = self.request(body, timeout)
        if name == "error":
            raise Refused(value)
        assert name == result, f"asked for {result}, got {name}: {value}"
        return value

    def hello(self, token, subscribe=(), device="test"):
        body = {"token": token, "device": device}
        if subscribe:
            body["subscribe"] = [self._subscription(entry) for entry in subscribe]
        self.welcome = self.expect({"hello": body}, "welcome")
        return self.welcome

    def subscribe(self, channel, since=None):
        return self.expect({"subscribe": self._subscription((channel, since))}, "subscribed")

    def unsubscribe(self, channel):
        """Leave the channel and forget the place in it."""
        answer = self.expect({"unsubscribe": {"channel": channel}}, "unsubscribed")
        self._places.pop(channel, None)
        self._seen.pop(channel, None)
        return answer

    def emit(self, type_, payload, event_id=None, retry=False, timeout=15, **fields):
        """Emit and await Accepted; with retry, temporary errors are answered with the same event again."""
        event_id = event_id or new_id("e")
        body = {"emit": {"eventId": event_id, "type": type_, "payload": payload, **fields}}
        deadline = time.monotonic() + timeout
        while True:
            try:
                accepted = self.expect(body, "accepted", timeout)
            except Refused as refused:
                if not (retry and refused.error.get("temporary") and time.monotonic() < deadline):
                    raise
                time.sleep(refused.error.get("retryAfterMs", 100) / 1000)
                continue
            assert accepted.get("eventId") == event_id, f"of {event_id}: {accepted}"
            return {"eventId": event_id, "sequence": int(accepted["sequence"]),
                    "duplicate": accepted.get("duplicate", False)}  # fmt: skip

    def query(self, type_, request=None, min_sequence=0):
        """The reply, which is what the API's document says of it."""
        body = {"query": {"type": type_, "payload": request or {}}}
        if min_sequence:
            body["query"]["minSequence"] = str(min_sequence)
        result = self.expect(body, "queryResult")
        assert result["type"] == type_
        assert not (faults := api_document.reply_faults(type_, result["payload"])), faults
        return result["payload"]

    def error_of(self, body):
        """The error that a frame is answered with."""
        name, value = self.request(body)
        assert name == "error", f"an error was due, got {name}: {value}"
        assert value.get("code") and value.get("text"), f"an error has a code and a text: {value}"
        return value

    def emit_error(self, type_, payload, **fields):
        emit = {"eventId": new_id("e"), "type": type_, "payload": payload, **fields}
        return self.error_of({"emit": emit})

    def outcome(self, accepted):
        """The event's one outcome, once it is settled; asked again while the answer is "not yet"."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.query("event.outcome", {"eventId": accepted["eventId"]},
                                  accepted["sequence"])["outcome"]  # fmt: skip
            except Refused as refused:
                if not refused.error.get("temporary") or time.monotonic() >= deadline:
                    raise

    def done(self, type_, payload, **fields):
        """Emit, and see that it was applied."""
        accepted = self.emit(type_, payload, **fields)
        outcome = self.outcome(accepted)
        assert outcome["status"] == "APPLIED", outcome
        return accepted

    def refused(self, type_, payload, **fields):
        """Emit, and return the code with which the worker refused it."""
        outcome = self.outcome(self.emit(type_, payload, **fields))
        assert outcome["status"] == "REFUSED", outcome
        return outcome["code"]

    def of(self, channel=None, type_=None, durable=None):
        return [p for p in self.pushes
                if (channel is None or p["channel"] == channel)
                and (type_ is None or p["type"] == type_)
                and (durable is None or bool(p.get("offset")) == durable)]  # fmt: skip

    def wait_push(self, count=1, timeout=30, **which):
        """The pushes of a kind, once there are `count` of them."""
        self.read_until(lambda: len(self.of(**which)) >= count, timeout, f"{count} pushes {which}")
        return self.of(**which)

    def signal(self, channel, kind="TYPING"):
        """Tell the others; it is answered only when it is refused."""
        return self.send({"signal": {"channel": channel, "kind": kind}})

    def wait_signal(self, count=1, timeout=30):
        """The signals, once there are `count` of them."""
        self.read_until(lambda: len(self.signals) >= count, timeout, f"{count} signals")
        return self.signals

    def wait_value(self, channel, type_, accept, timeout=30):
        """The payload of the value, once accept(payload) says so."""

        def last():
            values = self.of(channel, type_, durable=False)
            return bool(values) and accept(values[-1]["payload"])

        self.read_until(last, timeout, f"value {type_} on {channel}")
        return self.of(channel, type_, durable=False)[-1]["payload"]

    def read_more(self, count, timeout=60):
        """Read until `count` pushes are there, or nothing came for a moment."""
        deadline = time.monotonic() + timeout
        while len(self.pushes) < count and time.monotonic() < deadline:
            before = len(self.items)
            self._read(0.3)
            if len(self.items) == before:
                break

    def wait_closed(self, timeout=30):
        """Read until the server closes; (close code, Closing item or None)."""
        try:
            self.read_until(lambda: False, timeout, "close")
        except Closed:
            return self.close_code, self.closing

    def read_until(self, condition, timeout, what):
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooLate(f"not within {timeout} s: {what}; last items: {self.items[-3:]}")
            self._read(left)

    def read_for(self, seconds):
        """File whatever arrives in this time; for what must not arrive."""
        try:
            self.read_until(lambda: False, seconds, "")
        except TooLate:
            pass

    def _read(self, timeout):
        try:
            data = self.ws.recv(timeout)
        except TimeoutError:
            return
        except websockets.exceptions.ConnectionClosed as closed:
            self._closed(closed)
        self.messages += 1
        for item in wire.decode_server_message(data, self.encoding):
            self._file(item)

    def _closed(self, closed):
        self.close_code = closed.rcvd.code if closed.rcvd else 1006
        raise Closed(f"closed with {self.close_code}; closing: {self.closing}") from None

    def _file(self, item):
        self.items.append(item)
        if "reply" in item:
            self._replies.setdefault(item["reply"].get("id", 0), []).append(item["reply"])
            if "subscribed" in item["reply"]:
                self._begin(item["reply"]["subscribed"])
            for result in item["reply"].get("welcome", {}).get("subscribed", []):
                if "ok" in result:
                    self._begin(result["ok"])
        elif "push" in item:
            self._file_push(item["push"])
        elif "closing" in item:
            self.closing = item["closing"]
        elif "signal" in item:
            self.signals.append(item["signal"])
        else:
            raise AssertionError(f"an item without a body: {item}")

    def _subscription(self, entry):
        channel, since = entry if isinstance(entry, tuple) else (entry, None)
        self._since[channel] = since or {}
        if since is None:
            return {"channel": channel}
        return {"channel": channel, "since": {"epoch": since.get("epoch", ""),
                                              "offset": str(since.get("offset", 0))}}  # fmt: skip

    def _begin(self, subscribed):
        channel, since = subscribed["channel"], self._since.get(subscribed["channel"], {})
        self._places[channel] = {
            "epoch": subscribed["epoch"],
            "seen": 0,  # offset of the last push
            "before": int(since.get("offset", 0)) if subscribed.get("recovered") else 0,
            "promised": int(subscribed.get("offset", 0)),
            "due": int(subscribed.get("missed", 0)),  # pushes of the history still to come
        }

    def _file_push(self, push):
        channel, offset = push["channel"], int(push.get("offset", 0))
        if offset:
            place = self._places[channel]
            assert offset > place["seen"], f"offsets rise: {push} behind {place}"
            seen = self._seen.setdefault(channel, set())
            assert push["id"] not in seen, f"a push came twice: {push}"
            seen.add(push["id"])
            place["seen"], place["due"] = offset, place["due"] - 1
        else:
            key, version = (channel, push.get("name")), int(push.get("version", 0))
            assert push.get("name") and version, f"a value has a name and a version: {push}"
            assert version >= self._versions.get(key, 0), f"a value went back: {push}"
            self._versions[key] = version
        self.pushes.append(push)

    def position(self, channel):
        """Where to resume this channel: as PROTOCOL.md says, Subscribed's offset counts once what was missed is here."""
        place = self._places[channel]
        offset = max(place["seen"], place["before"], place["promised"] if place["due"] <= 0 else 0)
        return {"epoch": place["epoch"], "offset": offset}
