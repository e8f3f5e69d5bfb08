"""Scale up: two processes on one port beside one: CPU per delivery, and how evenly connections are spread.

One gateway lives in one process, one in two (--processes 2, each with its own SO_REUSEPORT listener); both have as many
subscribers of one channel. CPU is the sum over a gateway's processes; all of them share one core, so that the load has
another. Every delivery is checked.
"""

import pathlib

from bench import TENANT, Failure, Row, thread_post

NAME = "processes"
GOALS = ["CPU per delivery at N = 2 <= 1.05 of N = 1", "connections spread evenly over the processes"]
PROCESSES = 2
SPREAD_LIMIT = 5  # standard deviations of fair coins


class Side:
    """A gateway with its crowd: subscribers of a channel."""

    def __init__(self, bench, stack, gateway, number, crowd, count):
        self.bench, self.stack, self.gateway, self.crowd = bench, stack, gateway, crowd
        self.pids = workers_of(gateway)
        topics = stack.folder / f"topics-{number}"
        topics.write_text(f"thr.{TENANT}.g1/c1/b1.t{number}\n")
        crowd.ask("topics", file=topics)
        crowd.ask("publisher", kind="jetstream", **stack.worker_rights())
        members = stack.members(count, [f"thread.g1/c1/b1.t{number}"], [0], first=number * count)
        done = crowd.ask("connect", kind="yizhan", port=gateway.port, count=count, members=members)
        if done["connected"] != count:
            raise Failure(f"not all arrived: {done}")

    def spread(self):
        """Sessions of each process."""
        return [int(self.stack.metric(self.gateway, "yizhan_gateway_sessions", n)) for n in range(len(self.pids))]

    def cost(self, inflight, template):
        """CPU in us per delivery."""
        before = sum(map(self.bench.cpu_ns, self.pids))
        done = self.crowd.ask("burst", seconds=self.bench.size(0.5, 0.05), inflight=inflight, template=template)
        used = sum(map(self.bench.cpu_ns, self.pids)) - before
        if done["wrong"] or done["failed"] or done["lost"]:
            raise Failure(f"wrong deliveries: {done}")
        return used / done["deliveries"] / 1000


def workers_of(gateway):
    """The processes that serve: the supervisor's children, or itself."""
    text = pathlib.Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text()
    return [int(pid) for pid in text.split()] or [gateway.pid]


def check_spread(spread, count):
    """Fair coins: far from even means that the kernel does not deal them out."""
    far = SPREAD_LIMIT * (count / PROCESSES * (1 - 1 / PROCESSES)) ** 0.5
    if sum(spread) != count or max(spread) - count / PROCESSES > far:
        raise Failure(f"{spread} of {count} connections")


def run_count(bench, stack, sides, count, template):
    found = []
    for inflight in (1, 8):
        samples = bench.alternate(one=lambda n=inflight: sides[0].cost(n, template),
                                  two=lambda n=inflight: sides[1].cost(n, template))  # fmt: skip
        found.append(Row(f"{count} subscribers, 128 B, {inflight} in flight", "µs CPU/delivery", samples["two"], "one process",
                         samples["one"], "<= 1.05", note="ours: two processes"))  # fmt: skip
    return found


def run(bench):
    count = bench.size(8000, 60)
    with bench.stack(workers=0, gateways=2) as stack:
        one, two = stack.gateways
        two.terminate()
        two.count = PROCESSES
        stack.start_gateway(two, processes=PROCESSES)
        template = stack.folder / "post"
        template.write_bytes(thread_post(128))
        with bench.load("crowd", folder=stack.folder) as first, bench.load("crowd", folder=stack.folder) as second:
            sides = [Side(bench, stack, one, 0, first, count), Side(bench, stack, two, 1, second, count)]
            spread = sides[1].spread()
            check_spread(spread, count)
            for side in sides:
                side.cost(1, template)  # warm
            found = run_count(bench, stack, sides, count, template)
    found.append(Row(f"{count} connections over {PROCESSES} processes, the fullest", "share", [max(spread) / count],
                     goal="<= 0.52", goal_of="value"))  # fmt: skip
    return found
