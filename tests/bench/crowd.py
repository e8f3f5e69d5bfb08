"""load/crowd.c as scenarios use it: thousands of subscribers, and bursts to them."""

from bench import Failure


class Side:
    """A server with its crowd of subscribers: what one side of a comparison is."""

    def __init__(self, crowd, pid):
        self.crowd, self.pid = crowd, pid

    def burst(self, seconds, inflight, template, **options):
        """Bursts for so long (at least one); what they came to, every delivery of it checked."""
        done = self.crowd.ask("burst", seconds=seconds, inflight=inflight, template=template, pid=self.pid, **options)
        if done["wrong"] or done["failed"] or done["lost"]:
            raise Failure(f"wrong deliveries: {done}")
        return done


def connected(crowd, count, **options):
    """All of them connected, with every channel joined; the answer."""
    answer = crowd.ask("connect", count=count, **options)
    if answer["connected"] != count:
        raise Failure(f"{answer['connected']} of {count} connected: {answer}")
    return answer


def cost_us(samples):
    """µs of the server's CPU for a delivery, of each round."""
    return [s["cpu_ns"] / s["deliveries"] / 1000 for s in samples]


def per_write(samples):
    """Messages in one WebSocket message, of each round."""
    return [s["deliveries"] / s["frames"] for s in samples]
