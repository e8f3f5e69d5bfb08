"""Stores that are full."""

import contextlib

from kinds.kind import Kind, register

ROOM_BYTES = 4096
CHUNK = bytes(1 << 20)


@register
class DiskFull(Kind):
    """No byte is left where a NATS server keeps its streams. JetStream gives up there until the server is started again:
    what an operator does, once there is room."""

    name, needs = "disk_full", ("tmpfs",)
    hold = (3.0, 15.0)
    loud = "storage_full or bus_unavailable to the phones; nats-server: JetStream out of resources"

    def targets(self, world):
        return [server.name for server in world.nats_servers]

    def ballast(self, world, target):
        return world.stores[int(target.removeprefix("nats"))] / "ballast"

    def begin(self, world, target, rng):
        with open(self.ballast(world, target), "wb", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(CHUNK[:size]) == size:
                        pass
            return {"ballast_bytes": ballast.tell()}

    def end(self, world, target):
        self.ballast(world, target).unlink(missing_ok=True)
        world.processes[target].kill()
        world.restart(target)


class FullStream(Kind):
    """A stream's limit is lowered to what it holds."""

    hold = (2.0, 12.0)

    def targets(self, world):
        return [self.stream]

    def touches(self, world, target):
        return world.way_to_nats()

    def begin(self, world, target, rng):
        info = world.by_hand(lambda: world.bus.stream(self.stream))
        self.remember(world, target, info["config"]["max_bytes"])
        limit = info["state"]["bytes"] + ROOM_BYTES
        world.by_hand(lambda: world.bus.update_stream(self.stream, max_bytes=limit))
        return {"max_bytes": limit}

    def end(self, world, target):
        if limit := self.recall(world, target):
            world.by_hand(lambda: world.bus.update_stream(self.stream, max_bytes=limit))


@register
class EventsFull(FullStream):
    """What the workers have not settled fills it: while they are slow, nothing more is accepted."""

    name, stream = "events_full", "EVENTS"
    loud = "storage_full to the phones; doctor: the stream's fill"
