"""One channel, many subscribers: server CPU per delivery beside a bare epoll + send() loop and nats-server's WebSocket.

Messages enter as a worker's do: published into JetStream's THREADS, republished to the gateway. `in flight` messages are
published, then all their deliveries are awaited, again and again; every delivery's number is checked. The bare loop sends
as many bytes as ours did (WebSocket payload) to the same load program; nats-server's subscribers get the message that the
worker publishes, from one publisher on its TCP port. CPU is that of the gateway process, of the bare loop, of nats-server.
"""

import contextlib

from bench import TENANT, Failure, Row, integration, thread_post
from crowd import Side, connected, cost_us, per_write

NAME = "fanout"
GOALS = [
    "CPU per delivery <= 1.15 of the bare loop's at 1 in flight",
    "<= 0.7 of nats-server's at 1 in flight, <= 0.4 at 8 and at 64",
]
ENCODINGS = ("protobuf", "json")
NATS_NOTE = ("nats-server's CPU is its whole process', the publisher's side included; messages/write of 1 at 8 in flight: it "
             "wrote each message to all before it read the next")  # fmt: skip
NATS_GOALS = {1: "<= 0.7", 8: "<= 0.4", 64: "<= 0.4"}


@contextlib.contextmanager
def our_side(bench, stack, number, encoding, count):
    """Gateway `number` with count members in thread t<number>."""
    thread, gateway = f"t{number}", stack.gateways[number]
    with bench.load("crowd", folder=stack.folder) as crowd:
        topics = stack.folder / f"topics-{number}"
        topics.write_text(f"thr.{TENANT}.g1/c1/b1.{thread}\n")
        crowd.ask("topics", file=topics)
        crowd.ask("publisher", kind="jetstream", **stack.worker_rights())
        members = stack.members(count, [f"thread.g1/c1/b1.{thread}"], [0], first=number * count)
        connected(crowd, count, kind="yizhan", port=gateway.port, encoding=encoding, members=members)
        yield Side(crowd, gateway.pid)


@contextlib.contextmanager
def bare_side(bench, folder, ports, count):
    port, control = ports.take(), ports.take()
    topics = folder / "topics-bare"
    topics.write_text("bare\n")
    with bench.load("bare_loop", port, control, folder=folder, core=bench.server_core) as bare:
        if bare.popen.stdout.readline() != "ready\n":
            raise Failure(f"the bare loop does not start: {bare.tail()}")
        with bench.load("crowd", folder=folder) as crowd:
            crowd.ask("topics", file=topics)
            crowd.ask("publisher", kind="bare", port=control)
            connected(crowd, count, kind="bare", port=port)
            yield Side(crowd, bare.pid)


@contextlib.contextmanager
def nats_side(bench, folder, ports, count):
    port, websocket = ports.take(), ports.take()
    conf, topics = folder / "fanout-nats.conf", folder / "topics-nats"
    conf.write_text(f'listen: "127.0.0.1:{port}"\nmax_connections: 100000\n'
                    f'websocket {{ listen: "127.0.0.1:{websocket}", no_tls: true }}\n')  # fmt: skip
    topics.write_text("bench.fanout\n")
    argv = [integration.program("YZ_NATS_SERVER", "nats-server"), "-c", conf]
    with bench.server("nats-websocket", argv, folder) as server, bench.load("crowd", folder=folder) as crowd:
        integration.until(lambda: "Server is ready" in server.text(), 30, what="nats-server is ready")
        crowd.ask("topics", file=topics)
        crowd.ask("publisher", kind="nats", url=f"nats://127.0.0.1:{port}")
        connected(crowd, count, kind="nats", port=websocket)
        yield Side(crowd, server.pid)


def sized(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def bare_message(size):
    """As many bytes as ours has for a delivery, with a marker."""
    return b"#000000.0000000000#".ljust(size, b"x")


def measure(bench, folder, sides, count, payload, inflight, encodings):
    """The rows of one case in each encoding."""
    seconds = bench.size(0.12, 0.02)
    message = sized(folder, f"post-{payload}", thread_post(payload))
    templates, measures = {"nats": message}, {}
    for encoding in encodings:
        # Warm, and how many bytes a delivery has.
        first = sides[encoding].burst(0, inflight, message)
        templates[encoding] = message
        size = first["payload_bytes"] // first["deliveries"]
        templates[f"bare {encoding}"] = sized(folder, f"bare-{encoding}", bare_message(size))
    for name, template in templates.items():
        side = sides["bare" if name.startswith("bare") else name]
        measures[name] = lambda side=side, template=template: side.burst(seconds, inflight, template)
    samples = bench.alternate(**measures)
    return [row for encoding in encodings for row in rows(bench, samples, count, payload, inflight, encoding)]


def rows(bench, samples, count, payload, inflight, encoding):
    case = case_of(count, payload, inflight, encoding)
    ours, bare, nats = samples[encoding], samples[f"bare {encoding}"], samples["nats"]

    def rate(side):
        return [s["deliveries"] / s["seconds"] for s in side]

    extra = {"bytes_per_delivery": ours[0]["payload_bytes"] / ours[0]["deliveries"], "burst_ns": [s["burst_ns"] for s in ours]}
    bench.keep(f"{case} us", sorted(cost_us(ours))[len(ours) // 2])
    unit = "µs CPU/delivery"
    return [
        Row(case, unit, cost_us(ours), "bare", cost_us(bare), "<= 1.15" if inflight == 1 else None, extra=extra),
        Row(case, unit, cost_us(ours), "nats-server", cost_us(nats), NATS_GOALS[inflight], note=NATS_NOTE),
        Row(case, "deliveries/s", rate(ours), "bare", rate(bare), better="more"),
        Row(case, "deliveries/s", rate(ours), "nats-server", rate(nats), better="more"),
        Row(case, "messages/write", per_write(ours), "bare", per_write(bare), better="more"),
        Row(case, "messages/write", per_write(ours), "nats-server", per_write(nats), better="more"),
    ]


def case_of(count, payload, inflight, encoding):
    return f"{count} subscribers, {payload} B, {inflight} in flight, {encoding}"


def run_count(bench, stack, count, cases):
    """All cases of one number of subscribers."""
    with contextlib.ExitStack() as ending:
        sides = {}
        for number, encoding in enumerate(ENCODINGS):
            if any(encoding in encodings for *_, encodings in cases):
                sides[encoding] = ending.enter_context(our_side(bench, stack, number, encoding, count))
        sides["bare"] = ending.enter_context(bare_side(bench, stack.folder, stack.ports, count))
        sides["nats"] = ending.enter_context(nats_side(bench, stack.folder, stack.ports, count))
        bench.say(f"{count} subscribers are connected to each")
        for side in sides.values():
            bench.wait_idle(side.pid)
        return [row for case in cases for row in measure(bench, stack.folder, sides, count, *case)]


def run(bench):
    rows = []
    for count in bench.size((1000, 15000), (50,)):
        cases = []
        for payload in bench.size((128, 1024), (1024,)):
            for inflight in bench.size((1, 8, 64), (1, 8)):
                encodings = [e for e in ENCODINGS if bench.wanted(case_of(count, payload, inflight, e))]
                if encodings:
                    cases.append((payload, inflight, encodings))
        if cases:
            with bench.stack(workers=0, gateways=len(ENCODINGS)) as stack:
                rows += run_count(bench, stack, count, cases)
    return rows
