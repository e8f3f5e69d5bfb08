"""Three NATS servers: leaders that die, servers that stand still, and a network that falls apart."""

from kinds.kind import Kind, register
from kinds.processes import Freeze, Kill

WAYS = ("up", "down")


def route_links(world, node):
    """Links between this server and the others, whoever connected."""
    number = node.removeprefix("nats")
    return [name for name in world.proxies.links if name.startswith("nats") and f"nats{number}" in name.split("-")]


class OfLeader(Kind):
    """Done to whoever leads the stream at that moment: the target is the stream."""

    needs, lone = ("cluster",), True

    def targets(self, world):
        return ["EVENTS", "CHANNELS", "THREADS", "KV_PARTITIONS"]

    def touches(self, world, target):
        return {server.name for server in world.nats_servers}

    def leader(self, world, target, rng):
        node = world.leader(target) or rng.choice(world.nats_servers).name
        self.remember(world, target, node)
        return node


@register
class KillLeader(OfLeader):
    name = "kill_leader"
    hold = (0.5, 10.0)

    def begin(self, world, target, rng):
        node = self.leader(world, target, rng)
        return {"node": node, **Kill.begin(self, world, node, rng)}

    def end(self, world, target):
        if node := self.recall(world, target):
            Kill.end(self, world, node)


@register
class FreezeLeader(OfLeader):
    name = "freeze_leader"
    hold = (1.0, 15.0)

    def begin(self, world, target, rng):
        node = self.leader(world, target, rng)
        return {"node": node, **Freeze.begin(self, world, node, rng)}

    def end(self, world, target):
        if node := self.recall(world, target):
            Freeze.end(self, world, node)


class Partition(Kind):
    needs, lone = ("cluster",), True
    hold = (2.0, 20.0)

    def touches(self, world, target):
        return {server.name for server in world.nats_servers}

    def cut(self, world, node):
        for name in route_links(world, node):
            world.link(name).refuse()

    def heal(self, world, node):
        for name in route_links(world, node):
            world.link(name).mend()


@register
class PartitionNode(Partition):
    """One server is alone; its clients stay with it."""

    name = "partition_node"

    def targets(self, world):
        return [server.name for server in world.nats_servers]

    def begin(self, world, target, rng):
        self.cut(world, target)
        return {}

    def end(self, world, target):
        self.heal(world, target)


@register
class PartitionLeader(Partition, OfLeader):
    """The leader of a stream is alone with its clients, and does not know yet that it leads nobody."""

    name = "partition_leader"

    def begin(self, world, target, rng):
        node = self.leader(world, target, rng)
        for name in route_links(world, node):
            for way in WAYS:
                world.link(name).lose(way)
        return {"node": node}

    def end(self, world, target):
        if node := self.recall(world, target):
            self.heal(world, node)


@register
class SlowReplica(Kind):
    """What is sent to one server comes late: reads there see the past."""

    name, needs = "slow_replica", ("cluster",)
    hold = (3.0, 20.0)

    def targets(self, world):
        return [server.name for server in world.nats_servers]

    def touches(self, world, target):
        return {target, *route_links(world, target)}

    def begin(self, world, target, rng):
        latency = rng.randrange(20, 600)
        for name in route_links(world, target):
            # Towards the target: up where the other connected, down where it did itself.
            way = "down" if name.startswith(target + "-") else "up"
            world.link(name).delay(way, latency, latency // 4)
        return {"latency_ms": latency}

    def end(self, world, target):
        for name in route_links(world, target):
            world.link(name).mend()
