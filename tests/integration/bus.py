"""NATS as a stranger sees it: nats-py, with its event loop in a thread of its own."""

import asyncio
import json
import threading

import nats
import nats.js.errors


async def _ignore(_):
    """Lost connections are part of the tests; a call that fails says so itself."""


class Bus:
    def __init__(self, url):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._nc = self._do(nats.connect(url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.2,
                                         ping_interval=2, error_cb=_ignore))  # fmt: skip
        self._js = self._nc.jetstream()

    def _do(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def close(self):
        self._do(self._nc.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def publish(self, subject, body=b"", headers=None):
        """Into a stream, with its acknowledgement."""
        return self._do(self._js.publish(subject, body, headers=headers))

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
