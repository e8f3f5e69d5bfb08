"""Many members in one asyncio loop: each has a WebSocket, a window of emits under way, and keeps at it until Accepted."""

import asyncio
import dataclasses
import json
import random
import time

import websockets

WINDOW = 32
GIVE_UP_S = 120


@dataclasses.dataclass
class Tally:
    """What the crowd as a whole has seen."""

    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    temporary: dict = dataclasses.field(default_factory=dict)
    reconnects: int = 0
    latencies_s: list = dataclasses.field(default_factory=list)

    def percentile_ms(self, share):
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Refused(Exception):
    """An error that is not temporary."""


class Member:
    """One connection; emits are pipelined, and sent again with the same id after a temporary error or a close."""

    def __init__(self, url, token, tally):
        self.url, self.token, self.tally = url, token, tally
        self._window = asyncio.Semaphore(WINDOW)
        self._waiting, self._next = {}, 1
        self._socket = self._reader = None
        self._connecting = asyncio.Lock()

    async def _connect(self):
        async with self._connecting:
            if self._socket is not None:
                return
            socket = await websockets.connect(self.url, subprotocols=["yizhan.v1.json"], compression=None,
                                              ping_interval=None, proxy=None, open_timeout=60)  # fmt: skip
            await socket.send(json.dumps({"id": 1, "hello": {"token": self.token}}))
            first = json.loads((await socket.recv()).split("\n")[0])["items"][0]
            if "welcome" not in first.get("reply", {}):
                raise Refused(first)
            self._next = 2
            self._socket, self._reader = socket, asyncio.create_task(self._read(socket))

    async def _read(self, socket):
        try:
            async for message in socket:
                for line in message.split("\n")[:-1]:
                    for item in json.loads(line).get("items", []):
                        reply = item.get("reply", {})
                        future = self._waiting.pop(reply.get("id"), None)
                        if future and not future.done():
                            future.set_result(reply)
        except websockets.ConnectionClosed:
            pass
        self._socket = None
        self.tally.reconnects += 1
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError())
        self._waiting.clear()

    async def _ask(self, body):
        await self._connect()
        frame_id, self._next = self._next, self._next + 1
        future = self._waiting[frame_id] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(json.dumps({"id": frame_id, **body}))
            return await asyncio.wait_for(future, 30)
        except (websockets.ConnectionClosed, AttributeError):
            raise ConnectionError() from None
        finally:
            self._waiting.pop(frame_id, None)

    async def emit(self, event):
        """Send until it is accepted; the Accepted. event may be a function: it is made once it is sent."""
        async with self._window:
            event = event() if callable(event) else event
            started = time.monotonic()
            while time.monotonic() - started < GIVE_UP_S:
                self.tally.sent += 1
                try:
                    asked = time.monotonic()
                    reply = await self._ask({"emit": event})
                except ConnectionError:
                    await asyncio.sleep(random.uniform(0.05, 0.3))
                    continue
                if "accepted" in reply:
                    self.tally.latencies_s.append(time.monotonic() - asked)
                    self.tally.accepted += 1
                    self.tally.duplicates += bool(reply["accepted"].get("duplicate"))
                    return reply["accepted"]
                error = reply["error"]
                if not error.get("temporary"):
                    raise Refused(error)
                self.tally.temporary[error["code"]] = self.tally.temporary.get(error["code"], 0) + 1
                await asyncio.sleep(error.get("retryAfterMs", 200) / 1000 * random.uniform(1, 1.5))
            raise Refused(f"not accepted in {GIVE_UP_S} s: {event['eventId']}")

    async def close(self):
        if self._socket is not None:
            await self._socket.close()
            await self._reader
