"""What a million connected members need, by simulation of the sharding over processes and pods, from this run's figures.

A tree of organisations (one group; companies, committees and branches of believable, uneven sizes) gives every member an inbox,
a branch and one ancestor to subscribe to, besides the group itself in which a notice to all goes out. Members reach pods by the
ingress' and processes by the kernel's hash of the connection (SO_REUSEPORT), so that each process holds a random sample; beside
it the same with members of a branch sent to the same pod (a hash of the branch in the ingress). What is simulated is who holds
what; what a session, a channel, a delivery and a ping cost comes from the scenarios `memory` and `fanout` of the same run.
"""

import hashlib
import random

from bench import Failure, Row
from scenarios import fanout

NAME = "million"
NEEDS = ("fanout", "memory")
GOALS = []
PLOTS = False  # no two lines have the same unit
PROCESSES_PER_POD = 4
ROOM = 1.1  # the fullest process stays below what was measured, with room for one pod in ten being away


def tree(members, chance):
    """[branch path of member 0, 1, ...]: companies of log-normal size, committees of 100 to 400, branches of 5 to 50."""
    paths, company = [], 0
    while len(paths) < members:
        company, size = company + 1, int(chance.lognormvariate(8.5, 1.0)) + 50
        committee = 0
        while size > 0 and len(paths) < members:
            committee, left = committee + 1, min(size, chance.randint(100, 400))
            size -= left
            branch = 0
            while left > 0:
                branch, here = branch + 1, min(left, chance.randint(5, 50))
                left -= here
                paths += [f"g1/c{company}/d{committee}/b{branch}"] * here
    return paths[:members]


def place(text, of):
    """As an even hash of the connection's addresses does: 0 to of - 1."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) * of >> 64


class Process:
    def __init__(self):
        self.sessions, self.branches, self.ancestors = 0, set(), set()

    @property
    def channels(self):
        return self.sessions + len(self.branches) + len(self.ancestors) + (1 if self.sessions else 0)


def spread(paths, pods, by_branch, seed):
    """The processes and what each holds."""
    processes = [Process() for _ in range(pods * PROCESSES_PER_POD)]
    for member, path in enumerate(paths):
        # The member's phone: an address and a port; the pod sees the ingress' address and another port.
        connection = f"{seed}:{member * 2654435761 % 2**32}"
        pod = place(path if by_branch else connection, pods)
        process = processes[pod * PROCESSES_PER_POD + place("pod" + connection, PROCESSES_PER_POD)]
        process.sessions += 1
        process.branches.add(path)
        process.ancestors.add(path.rsplit("/", 1)[0])
    return processes


def enough(paths, most, by_branch, seed):
    """The fewest pods with which no process has more than `most` sessions, and the processes."""
    pods = max(1, round(len(paths) / most / PROCESSES_PER_POD))
    while True:
        processes = spread(paths, pods, by_branch, seed)
        fullest = max(process.sessions for process in processes)
        if fullest <= most:
            return pods, processes
        pods = max(pods + 1, int(pods * fullest / most * 0.98))


def cost(figures, paths, pods, processes):
    """{what: number} of one placement."""
    memory = [figures["empty"] + p.sessions * figures["full"] for p in processes]
    of_pods = [sum(memory[n : n + PROCESSES_PER_POD]) for n in range(0, len(memory), PROCESSES_PER_POD)]
    channels = [p.channels for p in processes]
    total, fullest, gigabyte = len(paths), max(p.sessions for p in processes), 1 << 30
    return {
        f"pods of {PROCESSES_PER_POD} processes": pods,
        "processes": len(processes),
        "sessions of the fullest process": fullest,
        "fullest process, times the mean": fullest * len(processes) / total,
        "process memory, all (GB)": sum(memory) / gigabyte,
        "process memory, fullest pod (GB)": max(of_pods) / gigabyte,
        "kernel memory of the server's sockets, all (GB)": total * (figures["sockets"] + figures["slab"]) / gigabyte,
        "channels of a process, mean": sum(channels) / len(channels),
        "NATS subscriptions, all": sum(channels) * figures["subscriptions"],
        "idle, a ping each 25 s: CPU, all (cores)": total / 25 * figures["ping_us"] / 1e6,
        "a notice to all: CPU, all (core seconds)": total * figures["delivery_us"] / 1e6,
        "a notice to all: until the last has it, a core each (s)": fullest * figures["delivery_us"] / 1e6,
        "a notice to all: copies over NATS": len(processes),
    }


def measured(bench):
    """The run's own figures; nothing is a constant here."""
    names = ("empty", "full", "sockets", "slab", "ping_us", "subscriptions", "sessions")
    figures = {name: bench.figure("memory", name) for name in names}
    count = bench.size(15000, 50)
    figures["delivery_us"] = bench.figure("fanout", f"{fanout.case_of(count, 1024, 1, 'protobuf')} us")
    if not bench.smoke and (figures["full"] <= 0 or figures["delivery_us"] <= 0):
        raise Failure(f"figures that cannot be: {figures}")
    return figures


def run(bench):
    figures, members = measured(bench), bench.size(1000000, 3000)
    most = int(figures["sessions"] / ROOM)
    found = {False: [], True: []}
    for seed in range(bench.size(2, 1)):
        paths = tree(members, random.Random(seed))
        for by_branch, results in found.items():
            pods, processes = enough(paths, most, by_branch, seed)
            if sum(process.sessions for process in processes) != members:
                raise Failure("members were lost in the simulation")
            results.append(cost(figures, paths, pods, processes))
    note = (f"simulated: {len(found[False])} trees of {members} members, {len(set(paths))} branches in the last; "
            f"measured in this run: {figures['full']:.0f} B a session, {figures['empty'] / (1 << 20):.1f} MB a process, "
            f"{figures['delivery_us']:.2f} µs a delivery of 1 KB, {figures['ping_us']:.1f} µs a ping, "
            f"{figures['subscriptions']:.2f} NATS subscriptions a channel")  # fmt: skip
    return [
        Row(what, "what it needs", [result[what] for result in found[False]], "a branch in one pod",
            [result[what] for result in found[True]], note=note)
        for what in found[False][0]
    ]  # fmt: skip
