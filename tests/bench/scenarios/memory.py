"""Memory and idle CPU of 15,000 authenticated sessions with three subscriptions each: inbox, branch, one ancestor.

PSS of the gateway, measured before the first session and after the last, and again when a burst to all of them is over. Kernel
memory (socket buffers; slabs: sockets, files, epoll) is reported apart, that of both ends on this machine halved. Every round
is a gateway of its own. The baseline is the bare loop with as many WebSocket connections.
"""

import contextlib
import pathlib
import re
import time

from bench import TENANT, Failure, Row, push
from crowd import Side, connected

NAME = "memory"
GOALS = [
    "<= 7 KB of process memory (PSS) a session with three subscriptions at 15,000 sessions, also after a burst to all",
    "idle CPU with 25 s pings <= 1 % of a core",
]
BRANCH = 100  # members
KB = 1024


def branch_of(member):
    return f"g1/c1/b{member // BRANCH}"


def slab_bytes():
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(r"^Slab:\s+(\d+)", text, re.M)[1]) * 1024


def notice(payload_bytes):
    return push("notice.posted", payload_bytes, {
        "noticeId": "n1", "orgPath": "g1", "noticeClass": "INFO", "title": "t", "publisher": "m1",
        "publishedAt": "2026-01-01T00:00:00Z", "sequence": "1099511627776"}, text="body")  # fmt: skip


class Readings:
    """What a server and its crowd hold now."""

    def __init__(self, bench, pid):
        self.pss, self.sockets, self.slab = bench.pss_bytes(pid), bench.socket_bytes(), slab_bytes()


def peak_while_bursting(bench, side, template, inflight):
    """Greatest PSS while a burst to all goes out."""
    side.crowd.tell("burst", seconds=0, inflight=inflight, template=template, pid=side.pid)
    peak, until = 0, time.monotonic() + bench.size(1.5, 0.1)
    while time.monotonic() < until:
        peak = max(peak, bench.pss_bytes(side.pid))
        time.sleep(0.05)
    done = side.crowd.answer()
    if done["wrong"] or done["failed"] or done["lost"]:
        raise Failure(f"wrong deliveries: {done}")
    return peak


def sit(bench, side, count, connect, template, inflight):
    """One round with one server: {figure: value}."""
    before = Readings(bench, side.pid)
    connected(side.crowd, count, **connect)
    bench.wait_idle(side.pid)
    time.sleep(bench.size(1.5, 0))
    full = Readings(bench, side.pid)
    peak = peak_while_bursting(bench, side, template, inflight)
    bench.wait_idle(side.pid)
    time.sleep(bench.size(3, 0))
    after = Readings(bench, side.pid)
    still, seconds = bench.cpu_ns(side.pid), bench.size(3, 0.1)
    time.sleep(seconds)
    still = bench.cpu_ns(side.pid) - still
    idle = side.crowd.ask("ping", every=bench.size(25, 1), seconds=bench.size(6, 0.3), pid=side.pid)
    if idle["lost"] or idle["pongs"] != idle["sent"]:
        raise Failure(f"pings were not answered: {idle}")
    return {
        "empty": before.pss,
        "full": (full.pss - before.pss) / count,
        "peak": (peak - before.pss) / count,
        "after": (after.pss - before.pss) / count,
        "sockets": max(0, full.sockets - before.sockets) / count / 2,
        "slab": max(0, full.slab - before.slab) / count / 2,
        "still": 100 * still / 1e9 / seconds,
        "idle": 100 * idle["cpu_ns"] / 1e9 / idle["seconds"],
        "ping_us": idle["cpu_ns"] / idle["sent"] / 1000,
    }


def our_round(bench, stack, count, members, template, inflight):
    gateway = stack.gateways[0]
    if not gateway.running:
        stack.start_gateway(gateway)
    subscriptions = stack.nats_figures()["subscriptions"]
    with bench.load("crowd", folder=stack.folder) as crowd:
        topics = stack.folder / "topics"
        topics.write_text(f"chan.{TENANT}.org.g1\n")
        crowd.ask("topics", file=topics)
        crowd.ask("publisher", kind="jetstream", **stack.worker_rights())
        connect = {"kind": "yizhan", "port": gateway.port, "encoding": "protobuf", "members": members}
        found = sit(bench, Side(crowd, gateway.pid), count, connect, template, inflight)
        held = stack.metric(gateway, "yizhan_gateway_channels")
        found["subscriptions"] = (stack.nats_figures()["subscriptions"] - subscriptions) / held
        found["channels"] = held
    gateway.kill()
    return found


def bare_round(bench, stack, count, template, inflight):
    port, control = stack.ports.take(), stack.ports.take()
    topics = stack.folder / "topics-bare"
    topics.write_text("bare\n")
    with bench.load("bare_loop", port, control, folder=stack.folder, core=bench.server_core) as bare:
        if bare.popen.stdout.readline() != "ready\n":
            raise Failure(f"the bare loop does not start: {bare.tail()}")
        with bench.load("crowd", folder=stack.folder) as crowd:
            crowd.ask("topics", file=topics)
            crowd.ask("publisher", kind="bare", port=control)
            return sit(bench, Side(crowd, bare.pid), count, {"kind": "bare", "port": port}, template, inflight)


def run(bench):
    count, inflight = bench.size((15000, 8), (60, 2))
    with bench.stack(workers=0, gateways=1) as stack, contextlib.ExitStack():
        template = stack.folder / "notice"
        template.write_bytes(notice(1024))
        members = stack.members(
            count, lambda m: [f"member.m{m}", f"org.{branch_of(m)}", "org.g1"], [0], path=branch_of)
        samples = bench.alternate(
            min(bench.rounds, 3),
            ours=lambda: our_round(bench, stack, count, members, template, inflight),
            bare=lambda: bare_round(bench, stack, count, template, inflight))
    return rows(bench, count, inflight, samples)


def rows(bench, count, inflight, samples):
    def of(name, scale=1.0, side="ours"):
        return [round_[name] / scale for round_ in samples[side]]

    def row(case, unit, name, scale=1.0, **goal):
        return Row(case, unit, of(name, scale), "bare", of(name, scale, "bare"), **goal)

    for name in ("empty", "full", "after", "sockets", "slab", "ping_us", "subscriptions"):
        bench.keep(name, sorted(of(name))[len(of(name)) // 2])
    bench.keep("sessions", count)
    goal = {"goal": "<= 7", "goal_of": "value"}
    sessions = f"{count} sessions, 3 subscriptions"
    return [
        row(f"{sessions}", "KB PSS/session", "full", KB, **goal),
        row(f"{sessions}, {inflight} × 1 KB to all on the way", "KB PSS/session", "peak", KB),
        row(f"{sessions}, after that", "KB PSS/session", "after", KB, **goal),
        row(f"{sessions}: socket buffers", "KB kernel/session", "sockets", KB),
        row(f"{sessions}: slabs (sockets, files, epoll)", "KB kernel/session", "slab", KB),
        row(f"{sessions}, a ping each 25 s", "% of a core", "idle", goal="<= 1", goal_of="value"),
        row(f"{sessions}, not even pings", "% of a core", "still"),
        row("CPU of a ping", "µs/ping", "ping_us"),
        row("process without a session", "MB PSS", "empty", KB * KB),
        Row("NATS subscriptions a channel", "subscriptions", of("subscriptions")),
    ]
