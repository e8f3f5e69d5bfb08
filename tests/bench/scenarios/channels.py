"""Many channels: 10,000 channels of 10 subscribers with Zipf rates beside one channel, server CPU per delivery.

10,000 sessions hold 10 channels each. A burst publishes 100 messages to channels drawn by 1/rank, 1,000 deliveries: as many
as one message to the single channel's 1,000 subscribers. Popular channels come several times in a burst, so that a write carries
more than one message; the single channel is measured at 1 and at 8 in flight in the same rounds, and compared at the same
number of messages per write: a write costs about a + b * messages, so its cost is taken from the line through the two.
"""

import contextlib

from bench import TENANT, Row, thread_post
from crowd import Side, connected, cost_us, per_write

NAME = "channels"
GOALS = ["CPU per delivery over 10,000 channels of 10 subscribers, Zipf rates, <= 1.5 of the single channel's"]
EACH = 10  # channels of a session, and subscribers of a channel
PATH = "g1/c1/b1"


def channels_of(member, count):
    """Each channel gets EACH different members, whatever the count."""
    return [(member + k * count // EACH) % count for k in range(EACH)]


@contextlib.contextmanager
def side(bench, stack, number, threads, **members):
    """Gateway `number` with a crowd of its own; threads: the topics' names."""
    with bench.load("crowd", folder=stack.folder) as crowd:
        topics = stack.folder / f"topics-{number}"
        topics.write_text("".join(f"thr.{TENANT}.{PATH}.{thread}\n" for thread in threads))
        crowd.ask("topics", file=topics)
        crowd.ask("publisher", kind="jetstream", **stack.worker_rights())
        file = stack.members(**members)
        gateway = stack.gateways[number]
        connected(crowd, members["count"], kind="yizhan", port=gateway.port, encoding="protobuf", members=file)
        bench.wait_idle(gateway.pid)
        yield Side(crowd, gateway.pid)


def at_same_coalescing(one, eight, messages):
    """The single channel's CPU per delivery at so many messages per write, from its rounds at 1 and at 8 in flight."""
    (low, cost_low), (high, cost_high) = ((m, cost * m) for m, cost in (one, eight))
    if high <= low:
        return cost_low / low
    return (cost_low + (cost_high - cost_low) * (messages - low) / (high - low)) / messages


def run(bench):
    count, one, inflight = bench.size((10000, 1000, 100), (50, 20, 20))
    seconds = bench.size(0.4, 0.05)
    with bench.stack(workers=0, gateways=2) as stack, contextlib.ExitStack() as ending:
        template = stack.folder / "post"
        template.write_bytes(thread_post(128))
        many = ending.enter_context(side(
            bench, stack, 0, [f"t{n}" for n in range(count)], count=count,
            channels=lambda m: [f"thread.{PATH}.t{n}" for n in channels_of(m, count)], topics=lambda m: channels_of(m, count)))
        single = ending.enter_context(side(
            bench, stack, 1, ["one"], count=one, channels=[f"thread.{PATH}.one"], topics=[0], first=count))
        seeds = iter(range(1, 1000))
        samples = bench.alternate(
            many=lambda: many.burst(seconds, inflight, template, zipf=1, seed=next(seeds)),
            one=lambda: single.burst(seconds, 1, template),
            eight=lambda: single.burst(seconds, 8, template))
        held = stack.metric(stack.gateways[0], "yizhan_gateway_channels")
    ours, messages = cost_us(samples["many"]), per_write(samples["many"])
    singles = [list(zip(per_write(samples[name]), cost_us(samples[name]), strict=True)) for name in ("one", "eight")]
    base = [at_same_coalescing(*points) for points in zip(*singles, messages, strict=True)]
    case = f"{count} channels of {EACH}, 128 B, {inflight} in flight"
    note = (f"{held:.0f} channels held by one process; {sum(messages) / len(messages):.2f} messages per write; "
            "a message enters once for 10 deliveries, in the single channel once for 1,000")  # fmt: skip
    return [
        Row(case, "µs CPU/delivery", ours, "one channel at as many messages per write", base, "<= 1.5", note=note),
        Row(case, "messages/write", messages, "one channel, 1 in flight", per_write(samples["one"]), better="more"),
    ]
