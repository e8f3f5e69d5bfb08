"""End to end: from a post's intended time to every viewer of its live thread, stage by stage, beside its parts alone.

Members post over WebSocket at a kept rate; each viewer must see each post, in order. The parts, each measured alone at the
same rate on the same servers: a durable publish of an event's size and one of a push's size, the inserts of the same two
documents (majority, journal), and the write of as many bytes to as many viewers by a bare epoll + send() loop. Their medians
are added up and held against the median over all deliveries. The trace takes the broker's own timestamps of event and push
(tap.py), the phones' clock (the same machine), and the worker's stage histograms (means).
"""

import contextlib
import re
import time

import wire
from bench import Failure, Row, integration
from rights import TESTER
from tap import Tap

NAME = "endtoend"
GOALS = ["median post to viewer <= 2 x the sum of its parts measured alone: 1,000 viewers at 50/s, 10,000 at 5/s",
         "an idle system adds no wait of its own: one post at a time to one viewer, likewise <= 2 x"]  # fmt: skip
SETTLE_S = 2.5  # each channel is read again 1 s after it was joined
POSTERS = 4
EVENT_BYTES, PUSH_BYTES = 512, 256  # on the bus, headers included
STAGES = ("load", "decide", "outcomes", "documents", "outbox", "push", "ack")
MARKER = "#000000.0000000000#"


def post(thread):
    """An event's payload with the words that posts.c numbers, 128 bytes of text."""
    return wire.pack("ThreadPosted", {"orgPath": "g1/c1/b1", "threadId": thread, "messageId": "n0000000000",
                                      "text": MARKER.ljust(128, "x")})  # fmt: skip


class Thread:
    """A live thread on its stack, and the bare loop with as many viewers."""

    def __init__(self, bench, stack, viewers, name, rate, seconds):
        self.bench, self.stack, self.viewers, self.rate, self.seconds = bench, stack, viewers, rate, seconds
        self.part_rate, self.part_seconds = max(rate, 20), seconds / 2
        self.name, self.rounds = name, []
        self.out = stack.folder / f"posts-{name}"
        self.event, self.message = stack.folder / f"event-{name}", stack.folder / f"message-{name}"
        self.event.write_bytes(post(name))

    @contextlib.contextmanager
    def connected(self):
        with contextlib.ExitStack() as ending:
            self.ours = ending.enter_context(self.bench.load("posts", folder=self.stack.folder))
            members = self.stack.members(self.viewers + POSTERS, [f"thread.g1/c1/b1.{self.name}"], first=0)
            self._connect(self.ours, self.viewers + POSTERS, kind="yizhan", port=self.stack.gateways[0].port,
                          posters=POSTERS, members=members)  # fmt: skip
            port, control = self.stack.ports.take(), self.stack.ports.take()
            loop = ending.enter_context(self.bench.load("bare_loop", port, control, folder=self.stack.folder,
                                                        core=self.bench.server_core))  # fmt: skip
            if loop.popen.stdout.readline() != "ready\n":
                raise Failure(f"the bare loop does not start: {loop.tail()}")
            self.bare = ending.enter_context(self.bench.load("posts", folder=self.stack.folder))
            self._connect(self.bare, self.viewers, kind="bare", port=port, control=control)
            time.sleep(self.bench.size(SETTLE_S, 0.2))
            yield self

    def _connect(self, load, whole, **options):
        done = load.ask("connect", count=self.viewers, **options)
        if done["connected"] != whole:
            raise Failure(f"not all arrived: {done}")

    def measure_ours(self):
        before = self._stages()
        done = checked(self.ours.ask("run", rate=self.rate, seconds=self.seconds, template=self.event, out=self.out))
        self.rounds.append({"done": done, **self._trace(), **self._differences(before, self._stages())})
        return done

    def measure_bare(self):
        """As many bytes as a push of ours has on the wire."""
        self.message.write_bytes(MARKER.encode().ljust(PUSH_BYTES, b"x"))
        return checked(self.bare.ask("run", rate=self.rate, seconds=self.part_seconds, template=self.message))

    def measure_publish(self, size):
        rights = self.stack.worker_rights()
        return self.bench.once("parts", "publish", rights["url"], rights["user"], rights["password_file"],
                               "thr.parts.g1/c1/b1.alone", size, self.part_rate, self.part_seconds)  # fmt: skip

    def measure_insert(self):
        uri, database = self.stack.database_users.uri("worker"), self.stack.settings["mongodb_database"]
        return self.bench.once("parts", "insert", uri, database, self.part_rate, self.part_seconds)

    def parts(self):
        """All of them, one after the other."""
        return {"event": self.measure_publish(EVENT_BYTES), "insert": self.measure_insert(),
                "push": self.measure_publish(PUSH_BYTES), "fanout": self.measure_bare()["deliveries"]}  # fmt: skip

    # the trace

    def _trace(self):
        """Medians in ns of what lies between two moments of each post."""
        spans = {"meant to sent": [], "sent to EVENTS": [], "EVENTS to Accepted": [], "EVENTS to THREADS": [],
                 "THREADS to first": [], "first to middle": [], "middle to last": []}  # fmt: skip
        rows = [list(map(int, line.split())) for line in self.out.read_text().splitlines()]
        integration.until(lambda: all(row[0] in self.tap.pushed and row[0] in self.tap.stored for row in rows), 10,
                          what="the tap has seen every post")  # fmt: skip
        for sequence, meant, sent, accepted, first, middle, last in rows:
            stored, pushed = self.tap.stored[sequence], self.tap.pushed[sequence]
            moments = ((meant, sent), (sent, stored), (stored, accepted), (stored, pushed), (pushed, first), (first, middle),
                       (middle, last))  # fmt: skip
            for span, (begin, end) in zip(spans.values(), moments, strict=True):
                span.append(end - begin)
        return {name: sorted(span)[len(span) // 2] for name, span in spans.items()}

    def _stages(self):
        """{name with its label: {"sum": seconds, "count": events or batches}} of the worker's histograms."""
        found = {}
        text = self.stack.admin(self.stack.workers[0], "/metrics")[1]
        for name, what, labels, value in re.findall(r"^(\w+_seconds)_(sum|count)(\{.*\})? (\S+)$", text, re.M):
            found.setdefault(name + labels, {})[what] = float(value)
        return found

    def _differences(self, before, after):
        """Mean in ns of each stage meanwhile."""
        means = {}
        for key, now in after.items():
            was = before.get(key, {"sum": 0, "count": 0})
            count = now["count"] - was["count"]
            means[key] = 1e9 * (now["sum"] - was["sum"]) / count if count else 0
        return means


def checked(done):
    if done["delivered"] != done["expected"] or done["wrong"] or done["lost"] or done["refused"]:
        raise Failure(f"wrong deliveries: {done}")
    return done


def run_case(bench, stack, case, thread):
    with thread.connected(), Tap(stack.nats_port, TESTER, stack.rights.passwords[TESTER]) as thread.tap:
        samples = bench.alternate(ours=thread.measure_ours, parts=thread.parts)
    return rows(case, thread, samples["ours"], samples["parts"])


def us(values):
    return [value / 1000 for value in values]


def rows(case, thread, ours, parts):
    unit = "µs"
    sums = [sum(part["p50"] for part in each.values()) for each in parts]
    extra = {"deliveries_ns": [o["deliveries"] for o in ours], "accepted_ns": [o["to_accepted"] for o in ours],
             "parts_ns": parts}  # fmt: skip
    found = [Row(f"{case}: post to viewer, p50", unit, us(o["deliveries"]["p50"] for o in ours), "sum of parts, p50",
                 us(sums), "<= 2", extra=extra)]  # fmt: skip
    for percentile in ("p99", "p999") if thread.viewers > 1 else ("p99",):
        found.append(Row(f"{case}: post to viewer, {percentile}", unit, us(o["deliveries"][percentile] for o in ours)))
    found.append(Row(f"{case}: post to Accepted, p50", unit, us(o["to_accepted"]["p50"] for o in ours),
                     "publish alone", us(p["event"]["p50"] for p in parts)))  # fmt: skip
    for name in ("meant to sent", "sent to EVENTS", "EVENTS to Accepted", "EVENTS to THREADS", "THREADS to first",
                 "first to middle", "middle to last"):  # fmt: skip
        found.append(Row(f"{case}: stage {name}", unit, us(r[name] for r in thread.rounds)))
    for stage in STAGES:
        key = f'yizhan_worker_stage_seconds{{stage="{stage}"}}'
        found.append(Row(f"{case}: worker's {stage}, mean", unit, us(r[key] for r in thread.rounds)))
    for name in ("event", "insert", "push", "fanout"):
        found.append(Row(f"{case}: alone: {name}, p50", unit, us(p[name]["p50"] for p in parts)))
    return found


# {sync_interval: {case: (viewers, posts a second, seconds of a round)}}
CASES = {
    "always": {"idle, fsync": (1, 10, 3), "1000 viewers, 50/s, fsync": (1000, 50, 2),
               "10000 viewers, 5/s, fsync": (10000, 5, 3)},
    "default": {"1000 viewers, 50/s": (1000, 50, 2)},
}  # fmt: skip
SMOKE = {"always": {"20 viewers, 50/s, fsync": (20, 50, 0.2)}}


def run(bench):
    found = []
    for sync, cases in bench.size(CASES, SMOKE).items():
        wanted = {case: sizes for case, sizes in cases.items() if bench.wanted(case)}
        if not wanted:
            continue
        # The worker, the broker and the database run wherever the machine lets them; so they did alone.
        with bench.stack(sync=sync, cores={"gateway": bench.server_core}) as stack:
            for number, (case, (viewers, rate, seconds)) in enumerate(wanted.items()):
                bench.say(case)
                found += run_case(bench, stack, case, Thread(bench, stack, viewers, f"t{number}", rate, seconds))
    return found
