"""One connection of a phone: frames out, items in, and a line in the ledger for each.

What the phone knows of its channels outlives the connection and stands in `Place`s, kept as PROTOCOL.md says.
"""

import asyncio
import dataclasses
import itertools
import socket as sockets

import websockets
import websockets.asyncio.client

import wire

OPEN_S = 6  # for a connection, its upgrade and the welcome
REPLY_S = 8  # longer than the gateway waits for the broker or a worker
PING_S = 4
SILENT_S = 12  # a connection on which nothing came for so long is given up
BROKEN = 1006

_session_numbers = itertools.count(1)


class Lost(Exception):
    """The connection ended, or no answer came in time: whether the request arrived is not known."""


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error}")
        self.error = error
        self.code = error.get("code", "")
        self.temporary = error.get("temporary", False)


@dataclasses.dataclass
class Place:
    """Where a phone stands in one channel."""

    epoch: str
    offset: int
    due: int = 0  # pushes of the history still to come
    promised: int = 0  # the offset that counts once they are here

    def pushed(self, offset):
        self.offset = offset
        self.due -= 1
        if self.due == 0:
            self.offset = max(self.offset, self.promised)

    def since(self):
        return {"epoch": self.epoch, "offset": self.offset}


def place_after(subscribed, before):
    """The place that a Subscribed begins, for a phone that stood at `before`."""
    epoch, offset = subscribed.get("epoch", ""), int(subscribed.get("offset", 0))
    missed = int(subscribed.get("missed", 0))
    if not missed:
        return Place(epoch, offset)
    known = before.offset if before is not None and before.epoch == epoch else 0
    return Place(epoch, known, missed, offset)


def wish(channel, since):
    """A Subscribe's fields; since: a position, or None for what comes from now on."""
    if since is None:
        return {"channel": channel}
    return {"channel": channel, "since": {"epoch": since["epoch"], "offset": str(since["offset"])}}


class Session:
    """Lifetime: open(), then alive until `over` is set. Thread: one asyncio loop."""

    def __init__(self, phone, gateway, url):
        self.phone, self.ledger, self.url = phone, phone.ledger, url
        self.gateway = gateway
        self.name = f"s{next(_session_numbers)}"
        self.over = asyncio.Event()
        self.welcomed = False
        self.closing = None  # the Closing item, once it came
        self.asked = None  # why we hang up, once we do
        self.held = set()
        self._frames = itertools.count(1)
        self._waiting = {}  # frame id: (body of the request, future)
        self._socket = self._tasks = None

    # the connection

    async def open(self, token, wishes):
        """Connect and say hello; raises Lost or Refused."""
        try:
            async with asyncio.timeout(OPEN_S):
                self._socket = await self._connect()
                self._tasks = [asyncio.create_task(self._read())]
                await self.ask({"hello": {"token": token, "device": self.phone.device, "subscribe": wishes}})
        except (OSError, TimeoutError, websockets.WebSocketException) as failure:
            self.hang_up("no welcome")
            raise Lost(str(failure)) from None
        except BaseException:
            self.hang_up("no welcome")
            raise
        self._tasks.append(asyncio.create_task(self._stay_alive()))

    async def _connect(self):
        # A short queue and a small buffer: a phone that does not read is felt by the gateway, not hidden here.
        raw = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
        raw.setblocking(False)
        try:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, self.phone.receive_bytes)
            host, _, port = self.url.split("/")[2].rpartition(":")
            await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
            return await websockets.asyncio.client.connect(
                self.url, sock=raw, subprotocols=[f"yizhan.v1.{self.phone.encoding}"], compression=None,
                ping_interval=None, proxy=None, max_size=None, max_queue=4, open_timeout=None, close_timeout=1,
            )  # fmt: skip
        except BaseException:
            raw.close()
            raise

    def hang_up(self, why, abruptly=True):
        """End it: at once, or with a close frame."""
        if self.over.is_set():
            return
        self.asked = self.asked or why
        if self._socket is None:
            self.over.set()
        elif abruptly:
            self._socket.transport.abort()
        else:
            self.phone.crowd.spawn(self._socket.close(1000))

    async def _stay_alive(self):
        loop = asyncio.get_running_loop()
        while not self.over.is_set():
            await asyncio.sleep(PING_S)
            if self.phone.pausing:
                self._heard = loop.time()  # it is we who do not listen
            if loop.time() - self._heard > SILENT_S:
                return self.hang_up("silence")
            try:
                await self.ask({"ping": {}})
            except Lost:
                pass

    # requests

    def _expect(self, body, noted):
        """A frame's id and the future of its reply."""
        if self.over.is_set() or self.asked:
            raise Lost("over")
        frame = next(self._frames)
        future = asyncio.get_running_loop().create_future()
        self._waiting[frame] = (body, future)
        if noted:
            noted(frame)
        return frame, future

    async def ask(self, body, noted=None):
        """Send a frame and await its reply; noted(frame id) is called before. Raises Lost or Refused."""
        frame, future = self._expect(body, noted)
        try:
            async with asyncio.timeout(REPLY_S):
                await self._socket.send(wire.encode_client_frame({"id": frame, **body}, self.phone.encoding))
                reply = await future
        except (TimeoutError, OSError, websockets.WebSocketException) as failure:
            raise Lost(str(failure)) from None
        finally:
            # Its body stays: an answer that comes after all is read with what was asked.
            if not future.done():
                future.cancel()
        if "error" in reply:
            raise Refused(reply["error"])
        return reply

    async def subscribe(self, channel, since=None):
        await self.ask({"subscribe": wish(channel, since)})

    async def unsubscribe(self, channel):
        await self.ask({"unsubscribe": {"channel": channel}})

    # what comes

    async def _read(self):
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        try:
            while True:
                await self.phone.pause()
                data = await self._socket.recv()
                self._heard = loop.time()
                for item in wire.decode_server_message(data, self.phone.encoding):
                    self._take(item)
        except websockets.ConnectionClosed as closed:
            self._ended(closed.rcvd.code if closed.rcvd else None)
        except BaseException as failure:
            self.phone.crowd.failed(failure)
            self._ended(None)
            raise

    def _take(self, item):
        if "reply" in item:
            self._take_reply(item["reply"])
        elif "push" in item:
            self._take_push(item["push"])
        elif "closing" in item:
            self.closing = item["closing"]
        else:
            raise AssertionError(f"an item without a body: {item}")

    def _take_reply(self, reply):
        # Written here and not by whoever waits: what comes behind the reply must stand behind it in the ledger.
        body, future = self._waiting.pop(int(reply.get("id", 0)), ({}, None))
        frame = int(reply.get("id", 0))
        if "welcome" in reply:
            self._welcome(body["hello"], reply["welcome"])
        elif "subscribed" in reply:
            self._subscribed(reply["subscribed"], body.get("subscribe"))
        elif "unsubscribed" in reply:
            self.ledger.write("leave", session=self.name, channel=reply["unsubscribed"]["channel"])
            self.held.discard(reply["unsubscribed"]["channel"])
        elif "accepted" in reply:
            accepted = reply["accepted"]
            self.ledger.write("accepted", session=self.name, event=accepted["eventId"], frame=frame,
                              sequence=int(accepted["sequence"]), duplicate=accepted.get("duplicate", False))  # fmt: skip
        elif "error" in reply:
            self._error(reply["error"], body, frame)
        if future is not None and not future.done():
            future.set_result(reply)

    def _error(self, error, body, frame):
        if "emit" in body:
            self.ledger.write("error", session=self.name, event=body["emit"]["eventId"], code=error.get("code", ""),
                              temporary=error.get("temporary", False), frame=frame, field=error.get("field", ""),
                              retry_ms=int(error.get("retryAfterMs", 0)))  # fmt: skip
        elif "subscribe" in body:
            self._not_subscribed(body["subscribe"]["channel"], error)

    def _not_subscribed(self, channel, error):
        """What the session held of it is left, unless an earlier subscribe is still to be answered."""
        if error.get("code") != "busy":
            self.held.discard(channel)
        self.ledger.write("refused", session=self.name, channel=channel, code=error.get("code", ""))

    def _welcome(self, hello, welcome):
        self.welcomed = True
        person = self.phone.person
        self.ledger.write("open", session=self.name, tenant=person.tenant, member=person.member, path=person.path,
                          roles=list(person.roles), device=self.phone.device, gateway=self.gateway,
                          encoding=self.phone.encoding)  # fmt: skip
        wishes = {w["channel"]: w for w in hello["subscribe"]}
        for result in welcome.get("subscribed", []):
            if "ok" in result:
                self._subscribed(result["ok"], wishes[result["channel"]])
            else:
                self._not_subscribed(result["channel"], result["error"])

    def _subscribed(self, subscribed, asked):
        """A late answer, given up by its asker, counts like any other: the gateway holds the channel now."""
        channel = subscribed["channel"]
        since = asked and asked.get("since")
        if since is not None:
            since = {"epoch": since["epoch"], "offset": int(since["offset"])}
        self.ledger.write("subscribe", session=self.name, channel=channel, since=since, epoch=subscribed.get("epoch", ""),
                          offset=int(subscribed.get("offset", 0)), recovered=subscribed.get("recovered", False),
                          missed=int(subscribed.get("missed", 0)))  # fmt: skip
        self.held.add(channel)
        self.phone.subscribed(subscribed, since)

    def _take_push(self, push):
        channel = push["channel"]
        seen = {"session": self.name, "channel": channel}
        if push.get("offset"):
            offset = int(push["offset"])
            self.ledger.write("push", **seen, offset=offset, id=push["id"], type=push["type"], payload=push["payload"])
            self.phone.pushed(channel, offset, push)
        else:
            self.ledger.write("value", **seen, name=push.get("name", ""), version=int(push.get("version", 0)),
                              payload=push["payload"])  # fmt: skip

    # the end

    def _ended(self, code):
        told = self.closing or {}
        if self.welcomed:
            self.ledger.write("close", session=self.name, code=code or told.get("closeCode", BROKEN),
                              reason=told.get("code") or self.asked or "", asked=bool(self.asked))  # fmt: skip
        self.over.set()
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(Lost("the connection ended"))
                future.exception()  # asked for here, so that nobody need
        for task in self._tasks[1:]:
            task.cancel()
