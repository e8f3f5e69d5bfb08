"""A phone that is led by hand and writes the ledger: for scenarios, where each step has its place.

The driver's phones live by chance; this one does what a test says, step by step, while a thread of its own reads.
It insists on nothing: whatever arrives is written down, and the checker judges it.
"""

import itertools
import threading
import time

import websockets.exceptions
import websockets.sync.client

import wire
from people import new_id
from waiting import until

BROKEN = 1006
REPLY_S = 20
_numbers = itertools.count(1)


class Unanswered(Exception):
    """The connection ended, or no answer came: whether the request arrived is not known."""


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error}")
        self.error = error
        self.code, self.temporary = error.get("code", ""), error.get("temporary", False)


class Handset:
    """Lifetime: from connect() to close(), again and again; positions outlive the connection.
    Thread: one that leads it; its own reader touches only what `_lock` guards."""

    def __init__(self, run, person, device=None, encoding="protobuf"):
        """run: has ledger, keys and url(gateway)."""
        self.run, self.ledger, self.person = run, run.ledger, person
        self.device = device or f"{person.member}-{new_id()[:6]}"
        self.encoding = encoding
        self.positions = {}  # channel: {"epoch", "offset"}
        self.pushes = []  # (channel, push), over all sessions
        self.values = {}  # (channel, name): payload
        self._socket = None

    # the connection

    def connect(self, channels=(), gateway=0, since="position"):
        """Say hello with these channels; since: "position" (where it stands, else from now on), None, or {} for all."""
        self.session, self.gateway = f"h{next(_numbers)}", gateway
        self._frames, self._waiting = itertools.count(1), {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._closing, self._asked = None, False
        self.held = set()  # channels of this session
        self._socket = websockets.sync.client.connect(
            self.run.url(gateway), subprotocols=[f"yizhan.v1.{self.encoding}"], compression=None, ping_interval=None,
            proxy=None, max_size=None, open_timeout=20, close_timeout=2, legacy=True)  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        wishes = [self._wish(channel, since) for channel in channels]
        self.ask({"hello": {"token": self.run.keys.token(self.person, lifetime_s=3600), "device": self.device,
                            "subscribe": wishes}})  # fmt: skip
        return self

    def _wish(self, channel, since):
        place = self.positions.get(channel) if since == "position" else since
        if place is None:
            return {"channel": channel}
        return {"channel": channel, "since": {"epoch": place.get("epoch", ""), "offset": str(place.get("offset", 0))}}

    def cut(self):
        """Drop the connection without a word."""
        self._asked = True
        self._socket.socket.shutdown(2)
        self._over.wait(REPLY_S)

    def close(self):
        if self._socket is None or self._over.is_set():
            return
        self._asked = True
        self._socket.close()
        self._over.wait(REPLY_S)

    @property
    def over(self):
        return self._over.is_set()

    # requests

    def send(self, body, noted=None):
        """Send a frame without waiting; its id. noted(frame) is called before."""
        frame = next(self._frames)
        with self._lock:
            self._waiting[frame] = (body, [])
        if noted:
            noted(frame)
        try:
            self._socket.send(wire.encode_client_frame({"id": frame, **body}, self.encoding))
        except (websockets.exceptions.ConnectionClosed, OSError):
            raise Unanswered("the connection is over") from None
        return frame

    def answer(self, frame, timeout=REPLY_S):
        answers = self._waiting[frame][1]
        deadline = time.monotonic() + timeout
        while not answers:
            if self._over.is_set() or time.monotonic() > deadline:
                raise Unanswered(f"frame {frame}")
            time.sleep(0.002)
        if "error" in answers[0]:
            raise Refused(answers[0]["error"])
        return answers[0]

    def ask(self, body, timeout=REPLY_S, noted=None):
        return self.answer(self.send(body, noted), timeout)

    def post(self, type_, payload, event_id, attempt=1):
        """Emit without waiting for the answer; the frame's id."""
        body = {"emit": {"eventId": event_id, "type": type_, "payload": payload}}

        def noted(frame):
            self.ledger.write("emit", session=self.session, tenant=self.person.tenant, member=self.person.member,
                              event=event_id, type=type_, payload=payload, attempt=attempt, frame=frame)  # fmt: skip

        return self.send(body, noted)

    def emit(self, type_, payload, event_id=None, patience_s=30):
        """Emit until it is accepted, temporary errors notwithstanding; {"eventId", "sequence", "duplicate"}."""
        event_id = event_id or new_id("e")
        deadline = time.monotonic() + patience_s
        for attempt in itertools.count(1):
            try:
                accepted = self.answer(self.post(type_, payload, event_id, attempt))["accepted"]
                return {"eventId": event_id, "sequence": int(accepted["sequence"]),
                        "duplicate": accepted.get("duplicate", False)}  # fmt: skip
            except Refused as refused:
                if not refused.temporary or time.monotonic() > deadline:
                    raise
                time.sleep(refused.error.get("retryAfterMs", 100) / 1000)

    def query(self, type_, request=None, min_sequence=0):
        body = {"query": {"type": type_, "payload": request or {}}}
        if min_sequence:
            body["query"]["minSequence"] = str(min_sequence)
        return self.ask(body)["queryResult"]["payload"]

    def outcome(self, accepted, patience_s=30):
        """The outcome, once there is one."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                told = self.query("event.outcome", {"eventId": accepted["eventId"]}, accepted["sequence"])["outcome"]
            except Refused as refused:
                if not refused.temporary or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                continue
            self.ledger.write("outcome", session=self.session, event=accepted["eventId"], status=told["status"],
                              code=told.get("code", ""), sequence=int(told["sequence"]))  # fmt: skip
            return told

    def done(self, type_, payload, event_id=None):
        accepted = self.emit(type_, payload, event_id)
        self.outcome(accepted)
        return accepted

    def subscribe(self, channel, since="position"):
        return self.ask({"subscribe": self._wish(channel, since)})["subscribed"]

    def wait_pushes(self, count, timeout=15, **which):
        """Until `count` pushes of a channel, or type, have come."""
        return until(lambda: len(found := self.of(**which)) >= count and found, timeout, what=f"{count} pushes {which}")

    def of(self, channel=None, type_=None):
        return [p for c, p in list(self.pushes) if channel in (None, c) and type_ in (None, p["type"])]

    # what comes

    def _read(self):
        code = None
        try:
            while True:
                for item in wire.decode_server_message(self._socket.recv(), self.encoding):
                    self._take(item)
        except websockets.exceptions.ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
        except OSError:
            pass
        told = self._closing or {}
        self.ledger.write("close", session=self.session, code=code or told.get("closeCode", BROKEN),
                          reason=told.get("code", ""), asked=self._asked)  # fmt: skip
        self._over.set()

    def _take(self, item):
        if "reply" in item:
            self._take_reply(item["reply"])
        elif "push" in item:
            self._take_push(item["push"])
        else:
            self._closing = item["closing"]

    def _take_reply(self, reply):
        frame = int(reply.get("id", 0))
        with self._lock:
            body, answers = self._waiting.get(frame, ({}, []))
        if "welcome" in reply:
            self._welcome(body["hello"], reply["welcome"])
        elif "subscribed" in reply:
            self._subscribed(reply["subscribed"], body["subscribe"])
        elif "accepted" in reply:
            accepted = reply["accepted"]
            self.ledger.write("accepted", session=self.session, event=accepted["eventId"], frame=frame,
                              sequence=int(accepted["sequence"]), duplicate=accepted.get("duplicate", False))  # fmt: skip
        elif "error" in reply:
            self._error(body, reply["error"], frame)
        answers.append(reply)

    def _error(self, body, error, frame):
        if "emit" in body:
            self.ledger.write("error", session=self.session, event=body["emit"]["eventId"], code=error["code"],
                              temporary=error.get("temporary", False), retry_ms=int(error.get("retryAfterMs", 0)),
                              field=error.get("field", ""), frame=frame)  # fmt: skip
        elif "subscribe" in body:
            self.ledger.write("refused", session=self.session, channel=body["subscribe"]["channel"], code=error["code"])

    def _welcome(self, hello, welcome):
        person = self.person
        self.ledger.write("open", session=self.session, tenant=person.tenant, member=person.member, path=person.path,
                          roles=list(person.roles), device=self.device, gateway=self.gateway,
                          encoding=self.encoding)  # fmt: skip
        wishes = {wish["channel"]: wish for wish in hello["subscribe"]}
        for result in welcome.get("subscribed", []):
            if "ok" in result:
                self._subscribed(result["ok"], wishes[result["channel"]])
            else:
                self.ledger.write("refused", session=self.session, channel=result["channel"],
                                  code=result["error"]["code"])  # fmt: skip

    def _subscribed(self, told, wish):
        since = wish.get("since")
        since = since and {"epoch": since["epoch"], "offset": int(since["offset"])}
        channel, missed = told["channel"], int(told.get("missed", 0))
        self.ledger.write("subscribe", session=self.session, channel=channel, since=since, epoch=told["epoch"],
                          offset=int(told.get("offset", 0)), recovered=told.get("recovered", False),
                          missed=missed)  # fmt: skip
        offset = int(told.get("offset", 0))
        if missed:  # each push behind moves it on; an old offset counts in its epoch only
            offset = since["offset"] if since and since["epoch"] == told["epoch"] else 0
        self.positions[channel] = {"epoch": told["epoch"], "offset": offset}
        self.held.add(channel)

    def _take_push(self, push):
        channel = push["channel"]
        if not push.get("offset"):
            self.ledger.write("value", session=self.session, channel=channel, name=push["name"],
                              version=int(push.get("version", 0)), payload=push["payload"])  # fmt: skip
            self.values[channel, push["name"]] = push["payload"]
            return
        offset = int(push["offset"])
        self.ledger.write("push", session=self.session, channel=channel, offset=offset, id=push["id"], type=push["type"],
                          payload=push["payload"])  # fmt: skip
        self.positions[channel]["offset"] = offset
        self.pushes.append((channel, push))
