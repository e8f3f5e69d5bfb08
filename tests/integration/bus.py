"""NATS as a stranger sees it: nats-py, with its event loop in a thread of its own."""

import asyncio
import datetime
import json
import threading

import nats
import nats.errors
import nats.js.errors


async def _ignore(_):
    """Lost connections are part of the tests; a call that fails says so itself."""


def _stored(msg):
    """A direct get's reply as it was stored; the headers that the broker adds are taken off."""
    headers = dict(msg.headers)
    moment, _, fraction = headers.pop("Nats-Time-Stamp").rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(moment + "+00:00")
    seq, subject = int(headers.pop("Nats-Sequence")), headers.pop("Nats-Subject")
    for added in ("Nats-Stream", "Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence"):
        headers.pop(added, None)
    return {"seq": seq, "ms": int(at.timestamp()) * 1000 + int(fraction[:3].ljust(3, "0")), "subject": subject,
            "headers": headers, "data": msg.data}  # fmt: skip


class Bus:
    def __init__(self, url, user=None, password=None):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._nc = self._do(nats.connect(url.split(","), user=user, password=password, max_reconnect_attempts=-1,
                                         reconnect_time_wait=0.2, ping_interval=2, error_cb=_ignore))  # fmt: skip
        self._js = self._nc.jetstream()

    def _do(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def close(self):
        self._do(self._nc.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def publish(self, subject, body=b"", headers=None, timeout=5):
        """Into a stream, with its acknowledgement."""
        return self._do(self._js.publish(subject, body, timeout=timeout, headers=headers), timeout + 15)

    def publish_many(self, subject, bodies, timeout=120):
        """Each body stored, in order, some hundreds under way at once."""
        return self._do(self._publish_many(subject, bodies), timeout)

    async def _publish_many(self, subject, bodies, under_way=256):
        for first in range(0, len(bodies), under_way):
            await asyncio.gather(*(self._js.publish(subject, body, timeout=30) for body in bodies[first : first + under_way]))

    def request(self, subject, body=b"", headers=None, timeout=5):
        return self._do(self._nc.request(subject, body, timeout=timeout, headers=headers))

    def api(self, name, body=None):
        """One call of JetStream's JSON API."""
        reply = self.request(f"$JS.API.{name}", json.dumps(body or {}).encode())
        return json.loads(reply.data)

    def stream(self, name):
        """Configuration and state of a stream."""
        info = self.api(f"STREAM.INFO.{name}")
        assert "error" not in info, info
        return info

    def purge(self, stream, **which):
        reply = self.api(f"STREAM.PURGE.{stream}", which)
        assert reply.get("success"), reply

    def update_stream(self, name, **changes):
        reply = self.api(f"STREAM.UPDATE.{name}", {**self.stream(name)["config"], **changes})
        assert "error" not in reply, reply

    def messages(self, stream, subject, timeout=30):
        """All stored messages of a subject (wildcards allowed), in order; each has subject, seq, data, headers."""
        return self._do(self._messages(stream, subject), timeout)

    async def _messages(self, stream, subject):
        found, at = [], 1
        while True:
            try:
                found.append(await self._js.get_msg(stream, at, subject, next=True))
            except nats.js.errors.NotFoundError:
                return found
            at = found[-1].seq + 1

    def everything(self, stream, timeout=60):
        """All stored messages of a stream in order, each a dict of seq, ms, subject, headers and data; in bulk."""
        return self._do(self._everything(stream), timeout)

    async def _everything(self, stream):
        """The leader says how many there are; a consumer that reads a replica that is behind is asked again."""
        for _ in range(20):
            state = (await self._js.stream_info(stream)).state
            if state.messages == 0:
                return []
            found = await self._each_of(stream, state.first_seq, state.last_seq)
            if len(found) >= state.messages:
                return found
            await asyncio.sleep(0.25)
        raise AssertionError(f"{stream} holds {state.messages} messages, and {len(found)} could be read")

    async def _each_of(self, stream, first, last):
        """Direct gets in batches: one request, many replies, then a status that says how many follow."""
        replies = asyncio.Queue()
        inbox = self._nc.new_inbox()
        subscription = await self._nc.subscribe(inbox, cb=replies.put)
        found, at = [], first
        while at <= last:
            wanted = {"seq": at, "next_by_subj": ">", "batch": 500}
            await self._nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
            before = len(found)
            while (msg := await asyncio.wait_for(replies.get(), 10)).headers.get("Status") is None:
                found.append(_stored(msg))
            at = found[-1]["seq"] + 1 if found else last + 1
            if len(found) == before:
                break
        await subscription.unsubscribe()
        return found

    def next_message(self, subject, timeout=5):
        """The first message that is published on the subject from now on; None when none comes."""
        return self._do(self._next_message(subject, timeout), timeout + 5)

    async def _next_message(self, subject, timeout):
        subscription = await self._nc.subscribe(subject, max_msgs=1)
        try:
            return await subscription.next_msg(timeout)
        except nats.errors.TimeoutError:
            await subscription.unsubscribe()
            return None

    def listen(self, subject):
        """Core subscription; the list fills as messages come."""
        heard = []

        async def hear(msg):
            heard.append(msg)

        async def start():
            await self._nc.subscribe(subject, cb=hear)
            await self._nc.flush()

        self._do(start())
        return heard
