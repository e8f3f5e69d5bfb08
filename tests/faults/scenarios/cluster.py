"""Scenarios on a cluster of three NATS servers."""

import random

from waiting import until
from world import World

from .run import BRANCH, scenario

CHANNELS = 12
FOLLOWER = 0
SECOND_READ_S = 5  # it comes one second after the first; the regular look takes eight


def cluster(folder, **settings):
    """The first gateway at the follower, everybody else at the other two servers."""
    world = World(folder, random.Random(1), cluster=True, store_on_tmpfs=False, **settings)
    for process in world.gateways + world.workers:
        at = [FOLLOWER] if process is world.gateways[0] else [1, 2]
        ports = [world.link(f"{process.name}-nats{n}").listen for n in at]
        process.settings["nats_url"] = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    return world


@scenario(make=cluster, audit_interval_ms=10000)
def follower_behind(run):
    """Subscribed at a follower just after a push was stored, of which the follower hears late.

    Leader and follower have several connections, and each is slow in its own time: the answer to where the stream ends
    may overtake the push on its way into the replica. The push was republished before anybody here had asked for it,
    and is not in what is read first: only the second read, a second later, finds it. The regular look at all channels is
    set to ten seconds, so that it does not help out before the end.
    """
    world = run.stack
    until(lambda: leads_elsewhere(world), 30, every=0.3, what="another server leads THREADS")
    leader = int(world.leader("THREADS")[4:])
    channels = [f"thread.{BRANCH}.late{number}" for number in range(CHANNELS)]
    watcher = run.phone(run.person("watcher"), channels, gateway=1)
    writer = run.phone(run.person("m1"), gateway=1)
    reader = run.phone(run.person("reader"))
    for number in range(CHANNELS):
        writer.emit(*run.post(writer, f"early{number}", thread=f"late{number}"))
    watcher.wait_pushes(CHANNELS, 40)
    until(lambda: not world.troubles(), 30, every=0.2, what="the replicas are level")
    links = [(world.link(f"nats{leader}-nats{FOLLOWER}"), "up"), (world.link(f"nats{FOLLOWER}-nats{leader}"), "down")]
    run.fault("latency", f"nats{FOLLOWER}")
    for link, way in links:
        link.delay(way, 1500, 1500)
    late = any(subscribed_late(run, channel, watcher, writer, reader) for channel in channels)
    for link, _ in links:
        link.mend()
    run.fault("latency", f"nats{FOLLOWER}", "end")
    if late:  # found by the second read, and not yet by the regular look
        run.until_soon(lambda: len(reader.pushes) > 0, SECOND_READ_S)
        run.level_s = 0


def subscribed_late(run, channel, watcher, writer, reader):
    """true: the reader subscribed when the push was stored, and was told a place before it."""
    writer.emit(*run.post(writer, "late", thread=channel.rpartition(".")[2]))
    stored = watcher.wait_pushes(2, channel=channel)[-1]
    told = reader.subscribe(channel, since=None)
    return int(told.get("offset", 0)) < int(stored["offset"])


def leads_elsewhere(world):
    """Ask the leader to step down until it is another server."""
    leader = world.leader("THREADS")
    if leader and leader != f"nats{FOLLOWER}":
        return True
    if leader:
        world.bus.api("STREAM.LEADER.STEPDOWN.THREADS")
    return False
