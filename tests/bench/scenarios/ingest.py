"""Ingest: events a second accepted with durable PubAck over 200 connections, beside nats.c's asynchronous publish alone.

Closed loop: so many events are under way on each connection that the broker is never idle; no worker runs. Then an open
loop at 80 % of the rate of the same round, whose latency counts from the intended time. Both durability modes of the
broker: its default (the file system writes when it likes), and fsync on each message; the baseline runs in the same mode,
on the gateway's core, with the same stream, as many events under way, headers and sizes as ours (checked: the mean stored
message). nats-server and the load share the other core. Each event is answered exactly once, and the stream then holds
exactly what was accepted. The store lies in the repository's var/, since /tmp may be memory, where an fsync costs nothing.
"""

import contextlib
import subprocess

from bench import Failure, Row

NAME = "ingest"
GOALS = ["events/s accepted >= 0.6 of nats.c's js_PublishMsgAsync, by default and with fsync on each message"]
ENCODINGS = ("protobuf", "json")
CONNECTIONS = 200
PAYLOAD = 186  # bytes of a thread.posted of load/ingest.c, as protobuf
# Broker's mode: (its name in a case, events under way on each connection)
MODES = {"default": ("default", 16), "always": ("fsync", 2)}
SHARE = 0.8
SAME_SIZE = 0.03
EVENTS_MAX_BYTES = 4 << 30


class Side:
    """One broker in one mode, with the gateway's crowds in each encoding."""

    def __init__(self, bench, stack, crowds, inflight):
        self.bench, self.stack, self.crowds, self.inflight = bench, stack, crowds, inflight
        self.seconds, self.warm = bench.size(2.0, 0.2), bench.size(0.5, 0.1)
        self.runs, self.sizes = 0, {}

    def next_name(self):
        """Of a run: no event id comes twice. With ten digits behind it, as long as a ULID."""
        self.runs += 1
        return f"bench-run-{self.runs:05d}"

    def settle(self, kind, stored):
        """The stream holds what it must; then nothing."""
        state = self.stack.bus.stream("EVENTS")["state"]
        if state["messages"] != stored:
            raise Failure(f"{kind}: {stored} accepted, {state['messages']} in the stream")
        self.sizes[kind] = state["bytes"] / stored
        self.stack.bus.purge("EVENTS")

    def ours(self, encoding, **how):
        gateway = self.stack.gateways[0].pid
        before = self.bench.cpu_ns(gateway), self.bench.cpu_ns(self.stack.nats.pid)
        done = self.crowds[encoding].ask("run", name=self.next_name(), seconds=self.seconds, warm=self.warm, **how)
        done["gateway_us"], done["nats_us"] = (
            (self.bench.cpu_ns(pid) - past) / 1000 / max(1, done["accepted"])
            for pid, past in zip((gateway, self.stack.nats.pid), before, strict=True)
        )
        if done["errors"] or done["unanswered"] or done["lost"] or done["duplicates"]:
            raise Failure(f"{encoding}: {done}")
        if done["accepted"] + done["busy"] != done["sent"]:
            raise Failure(f"{encoding}: answered wrongly: {done}")
        self.settle(encoding, done["accepted"])
        return done

    def closed(self, encoding):
        return self.ours(encoding, inflight=self.inflight)

    def open(self, encoding, rate):
        return self.ours(encoding, rate=rate)

    def baseline(self):
        rights = self.stack.rights.of("gateway")
        done = self.bench.once(
            "publish_async", self.stack.settings["nats_url"], rights["nats_user"], rights["nats_password_file"],
            self.next_name(), self.seconds, self.warm, CONNECTIONS * self.inflight, PAYLOAD, core=self.bench.server_core,
        )  # fmt: skip
        if done["failed"] or done["acked"] != done["sent"]:
            raise Failure(f"baseline: {done}")
        self.settle("baseline", done["acked"])
        return done

    def check_sizes(self):
        for encoding in self.crowds:
            if abs(self.sizes[encoding] / self.sizes["baseline"] - 1) > SAME_SIZE:
                raise Failure(f"stored messages differ in size: {self.sizes}")


@contextlib.contextmanager
def side(bench, mode, encodings):
    count = bench.size(CONNECTIONS, 20)
    with contextlib.ExitStack() as ending:
        stack = ending.enter_context(bench.stack(workers=0, sync=mode, disk=True, events_max_bytes=EVENTS_MAX_BYTES))
        members, crowds = stack.members(count, None), {}
        for encoding in encodings:
            crowds[encoding] = ending.enter_context(bench.load("ingest", folder=stack.folder))
            told = crowds[encoding].ask("connect", port=stack.gateways[0].port, count=count, members=members,
                                        encoding=encoding)  # fmt: skip
            if told["connected"] != count:
                raise Failure(f"{told['connected']} of {count} connected: {told}")
        yield Side(bench, stack, crowds, MODES[mode][1])


def rate_case(mode, encoding):
    return f"{MODES[mode][0]}, {encoding}"


def late_case(mode, encoding):
    return f"{MODES[mode][0]}, {encoding}, at 80 %"


def rate_of(run):
    return max(1, run["counted"]) / run["seconds"]  # a smoke run's moment may have none


def measure(bench, mode, encodings):
    rates, late = {}, {encoding: [] for encoding in encodings}

    def round_of(encoding):
        rate = ours.closed(encoding)
        late[encoding].append(ours.open(encoding, round(rate_of(rate) * SHARE)))
        return rate

    with side(bench, mode, encodings) as ours:
        rates = bench.alternate(
            **{encoding: lambda encoding=encoding: round_of(encoding) for encoding in encodings}, baseline=ours.baseline
        )
        ours.check_sizes()
        store = subprocess.run(["stat", "-f", "-c", "%T", ours.stack.folder], capture_output=True, text=True).stdout.strip()
    base, found = [rate_of(run) for run in rates["baseline"]], []
    for encoding in encodings:
        runs = rates[encoding]
        found.append(Row(
            rate_case(mode, encoding), "events accepted/s", [rate_of(run) for run in runs], "js_PublishMsgAsync", base,
            ">= 0.6", better="more", note=f"{CONNECTIONS * MODES[mode][1]} under way, store on {store}",
            extra={"gateway_us": [run["gateway_us"] for run in runs], "nats_us": [run["nats_us"] for run in runs],
                   "busy": [run["busy"] for run in runs], "stored_bytes": ours.sizes},
        ))  # fmt: skip
    for encoding in encodings:
        runs = late[encoding]
        found.append(Row(
            late_case(mode, encoding), "ms to Accepted, p99", [run["latency_ns"]["p99"] / 1e6 for run in runs],
            extra={"rate": [rate_of(run) for run in runs], "busy": [run["busy"] for run in runs],
                   "latency_ns": [run["latency_ns"] for run in runs]},
        ))  # fmt: skip
    return found


def run(bench):
    rows = []
    for mode in MODES:
        encodings = [e for e in ENCODINGS if bench.wanted(rate_case(mode, e)) or bench.wanted(late_case(mode, e))]
        if encodings:
            rows += measure(bench, mode, encodings)
    return rows
