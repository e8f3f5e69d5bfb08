"""More than there is room for, in figures: capacity first, then twice and five times as much of it.

Capacity is measured in a closed loop (LINES connections, WINDOW events under way on each). Then the same connections send
2x and 5x of it in an open loop: new events at a fixed rate, whatever the answers are. Printed: what was accepted a
second, its latency and the ratio to the capacity run, errors by code, retry hints, memory. Asserted: every event was
answered, what is accepted does not collapse, each accepted one has exactly one outcome, applied, and none that was
refused for good is there.

The workers are away meanwhile and settle everything afterwards: EVENTS is a buffer by design, and beside the phones they
share the broker's disk with the gateway by how much each of the two has under way, which would be measured with it.

    YZ_LOAD_SCALE=0.2    a fifth of the seconds
    YZ_LOAD_WORKERS=1    the workers stay
"""

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import platform
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from barrage import Line, framed  # noqa: E402
from stack import Stack, Town  # noqa: E402
from waiting import until  # noqa: E402

LINES = 100
WINDOW = 8
SECONDS = 8
TICK_S = 0.005
ANSWERS_S = 30
COLLAPSED = 0.2  # no run so far accepted less than 0.47 of what it does without overload
SETTINGS = {"log_level": "info", "workers": 2, "session_frames_per_s": 5000, "session_frames_burst": 20000}
UNSURE = ("bus_unavailable", "timed_out")  # stored or not: the client would send it again


class Phase:
    """What was sent and what came back, of one run."""

    def __init__(self, name):
        self.name, self.sent_at, self.latencies_s = name, {}, []
        self.accepted, self.errors, self.retries_ms = set(), {}, []
        self.began = self.ended = None
        self.cpu_s = {}  # of each process, while it ran

    @property
    def seconds(self):
        return self.ended - self.began

    @property
    def goodput(self):
        """Accepted a second, of those sent while the run went on."""
        return len(self.accepted) / self.seconds

    @property
    def unanswered(self):
        return len(self.sent_at) - len(self.accepted) - len(self.errors)

    def percentile_ms(self, share):
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[int((len(ordered) - 1) * share)] if ordered else 0.0


class Overload:
    def __init__(self, stack, scale=1.0):
        self.stack, self.town, self.seconds = stack, Town(stack, "overload"), max(1.0, SECONDS * scale)
        self.people = self.town.members(LINES)
        self.lines, self.phases, self.phase, self.next = [], [], None, 10
        self.memory = []

    async def run(self):
        token = self.stack.keys.token
        port = self.stack.gateways[0].port
        self.lines = [await Line.open(port, token(person), on_reply=self.on_reply) for person in self.people]
        self.note_memory()
        if not os.environ.get("YZ_LOAD_WORKERS"):
            for worker in self.stack.workers:
                worker.terminate()
        capacity = await self.measure("capacity", self.closed_loop)
        for times in (2, 5):
            rate = capacity.goodput * times
            await self.measure(f"{times}x", lambda rate=rate: self.open_loop(rate))
        for line in self.lines:
            line.close()

    def cpu(self):
        """Seconds of CPU so far: the gateway, the broker, and ourselves."""
        return {"gateway": self.stack.gateways[0].cpu_s(), "nats": self.stack.nats.cpu_s(), "load": time.process_time()}

    def note_memory(self):
        self.memory.append(self.stack.gateways[0].rss_bytes())

    async def measure(self, name, load):
        self.phase = phase = Phase(name)
        self.phases.append(phase)
        before = self.cpu()
        phase.began = time.monotonic()
        await load()
        phase.ended = time.monotonic()
        phase.cpu_s = {name: used - before[name] for name, used in self.cpu().items()}
        waited = time.monotonic() + ANSWERS_S
        while phase.unanswered and time.monotonic() < waited:
            await asyncio.sleep(0.02)
        self.note_memory()
        return phase

    def emit(self, line):
        """Bytes of the next event of this line; its number is the frame's id."""
        number, self.next = self.next, self.next + 1
        self.phase.sent_at[number] = time.monotonic()
        return framed({"id": number, "emit": {"eventId": f"o-{number}", "type": "thread.posted", "payload": {
            "orgPath": "g1/c1/b1", "threadId": f"t{number % 50}", "messageId": f"o-{number}", "text": "报到"}}})  # fmt: skip

    def on_reply(self, line, number, result, code, retry_ms):
        phase = self.phase
        if phase is None or number not in phase.sent_at:
            return  # the welcome
        if result == "accepted":
            phase.accepted.add(number)
            phase.latencies_s.append(time.monotonic() - phase.sent_at[number])
        else:
            phase.errors[number] = code
            phase.retries_ms.append(retry_ms)
        if phase.name == "capacity" and self.going:
            line.send(self.emit(line))

    async def closed_loop(self):
        self.going = True
        for line in self.lines:
            line.send(b"".join(self.emit(line) for _ in range(WINDOW)))
        await asyncio.sleep(self.seconds)
        self.going = False

    async def open_loop(self, rate):
        began, sent = time.monotonic(), 0
        while (past := time.monotonic() - began) < self.seconds:
            due = int(rate * past) - sent
            share, rest = divmod(due, LINES)
            for n, line in enumerate(self.lines):
                count = share + (n < rest)
                if count:
                    line.send(b"".join(self.emit(line) for _ in range(count)))
            sent += due
            await asyncio.sleep(TICK_S)

    # after: the count

    def check(self):
        accepted = set().union(*(phase.accepted for phase in self.phases))
        unsure = {number for phase in self.phases for number, code in phase.errors.items() if code in UNSURE}
        assert accepted, "nothing was accepted"
        for worker in self.stack.workers:
            if not worker.running:
                self.stack.start_worker(worker)
        for phase in self.phases:
            assert phase.unanswered == 0, f"{phase.name}: {phase.unanswered} without an answer"
        assert all(line.close_code is None for line in self.lines), "no session was closed"
        for phase in self.phases[1:]:
            share = len(phase.accepted) / len(self.phases[0].accepted)
            assert share > COLLAPSED, f"{phase.name}: {share:.2f} of what is accepted where nobody wants more than there is"
        until(lambda: self.stack.bus.stream("EVENTS")["state"]["messages"] == 0, 600, 0.5, "all is settled")
        outcomes = collections.Counter()
        for outcome in self.town.find("outcomes"):
            assert outcome["status"] == "applied", outcome
            outcomes[int(outcome["event_id"][2:])] += 1
        lost = accepted - set(outcomes)
        assert not lost, f"{len(lost)} accepted events have no outcome: {sorted(lost)[:5]}"
        assert set(outcomes) - accepted <= unsure, "an event has an outcome that was neither accepted nor in doubt"
        assert max(outcomes.values()) == 1 and len(self.town.find("posts")) == len(outcomes)

    def report(self):
        lines = [f"machine: {os.cpu_count()} cores, {platform.machine()}, load average {os.getloadavg()[0]:.1f}, "
                 f"PubAck behind an fsync, {LINES} connections, {self.seconds:.0f} s each"]  # fmt: skip
        base = self.phases[0] if self.phases else None
        for phase in self.phases:
            codes = collections.Counter(phase.errors.values())
            hint = f", retryAfterMs mean {statistics.mean(phase.retries_ms):.0f}" if phase.retries_ms else ""
            lines.append(
                f"{phase.name}: offered {len(phase.sent_at) / phase.seconds:.0f}/s, accepted {phase.goodput:.0f}/s"
                f" ({phase.goodput / base.goodput:.2f} of capacity), p50 {phase.percentile_ms(0.5):.0f} ms"
                f" ({phase.percentile_ms(0.5) / base.percentile_ms(0.5):.1f}x), p99 {phase.percentile_ms(0.99):.0f} ms"
                f" ({phase.percentile_ms(0.99) / base.percentile_ms(0.99):.1f}x), errors {dict(codes)}{hint}, CPU "
                + " ".join(f"{name} {used / phase.seconds:.0%}" for name, used in phase.cpu_s.items())
                + f", gateway {1e6 * phase.cpu_s['gateway'] / len(phase.sent_at):.0f} us a frame")  # fmt: skip
        lines.append("gateway memory (MB): " + " ".join(str(size >> 20) for size in self.memory))
        lines.append(f"lost 0 of {sum(len(phase.accepted) for phase in self.phases)} accepted (asserted)")
        return "\n".join(lines)


def main(folder=None, scale=None):
    scale = float(os.environ.get("YZ_LOAD_SCALE", "1")) if scale is None else scale
    with contextlib.ExitStack() as ending:
        stack = Stack(folder, **SETTINGS).start()
        ending.callback(stack.end)
        run = Overload(stack, scale)
        try:
            asyncio.run(run.run())
            run.check()
        except BaseException:
            for line in stack.logs():
                print(*line, sep="\n")
            print(json.dumps([phase.name for phase in run.phases]))
            raise
        print(run.report())
    return run


if __name__ == "__main__":
    main()
