"""Connections that break, fall silent in one direction, slow down or come in pieces."""

from kinds.kind import Kind, register

WAYS = ("up", "down")


class OnLink(Kind):
    """On any of the links, but for those between NATS servers."""

    def targets(self, world):
        return [name for name in world.proxies.links if not name.startswith("nats")]

    def end(self, world, target):
        world.link(target).mend()


@register
class Reset(OnLink):
    """RST to both ends, and to who tries again meanwhile."""

    name = "reset"
    hold = (0.2, 4.0)

    def begin(self, world, target, rng):
        world.link(target).reset()
        return {}


@register
class Refuse(OnLink):
    """An orderly close, and nobody listens for a while."""

    name = "refuse"
    hold = (0.2, 6.0)

    def begin(self, world, target, rng):
        world.link(target).refuse()
        return {}


class OneWay(OnLink):
    hold = (1.0, 20.0)

    def begin(self, world, target, rng):
        way = rng.choice(WAYS)
        self.silence(world.link(target), way)
        return {"way": way}


@register
class Lose(OneWay):
    """Half open: what one side sends is lost, the other way works; in the end the connection breaks."""

    name = "lose_one_way"

    def silence(self, link, way):
        link.lose(way)


@register
class Hold(OneWay):
    """What one side sends arrives seconds late, all of it, when others have acted already."""

    name = "hold_one_way"

    def silence(self, link, way):
        link.hold(way)


@register
class Delay(OnLink):
    name = "delay"
    hold = (2.0, 15.0)

    def begin(self, world, target, rng):
        latency, jitter = rng.randrange(5, 400), rng.randrange(0, 200)
        for way in WAYS:
            world.link(target).delay(way, latency, jitter)
        return {"latency_ms": latency, "jitter_ms": jitter}


@register
class Slice(OnLink):
    """Bytes in pieces of a few, so that every header and frame is cut somewhere."""

    name = "slice"
    hold = (2.0, 10.0)

    def begin(self, world, target, rng):
        size, pause = rng.randrange(2, 64), rng.randrange(10, 200)
        for way in WAYS:
            world.link(target).slice(way, size, pause)
        return {"bytes": size, "pause_us": pause}


@register
class Narrow(OnLink):
    name = "narrow"
    hold = (2.0, 15.0)

    def begin(self, world, target, rng):
        rate = rng.randrange(8, 64)
        for way in WAYS:
            world.link(target).narrow(way, rate)
        return {"kb_per_s": rate}


@register
class DatabaseAway(Kind):
    """No worker reaches the database, for seconds or for longer than every time-out."""

    name = "database_away"
    hold = (5.0, 75.0)

    def targets(self, world):
        return ["database"]

    def touches(self, world, target):
        return {"database", *self._links(world)}

    def _links(self, world):
        return [name for name in world.proxies.links if name.endswith("-database")]

    def begin(self, world, target, rng):
        for name in self._links(world):
            world.link(name).refuse()
        return {}

    def end(self, world, target):
        for name in self._links(world):
            world.link(name).mend()
