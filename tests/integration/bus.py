"""NATS as a stranger sees it: nats-py, with its event loop in a thread of its own."""

import asyncio
import json
import threading

import nats
import nats.js.api


class Bus:
    def __init__(self, url):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._nc = self._do(nats.connect(url, allow_reconnect=True, max_reconnect_attempts=-1))
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

    def messages(self, stream, subject, timeout=10):
        """All stored messages of a subject (wildcards allowed), in order, read by an ephemeral consumer."""
        return self._do(self._messages(stream, subject), timeout)

    async def _messages(self, stream, subject):
        config = nats.js.api.ConsumerConfig(
            deliver_policy=nats.js.api.DeliverPolicy.ALL,
            ack_policy=nats.js.api.AckPolicy.NONE,
        )
        sub = await self._js.subscribe(subject, stream=stream, config=config, ordered_consumer=False)
        found = []
        left = (await sub.consumer_info()).num_pending + sub.pending_msgs
        while len(found) < left:
            found.append(await sub.next_msg(timeout=5))
        await sub.unsubscribe()
        return found

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
