"""Rule (f): memory and queues of our own processes stayed under their stated bounds, and nothing is held for good.

What nats-server and the database take is theirs to bound; it is printed with the figures of a run.
"""

import collections

from .story import Violation

MIB = 1 << 20
# metric: setting that bounds it, and its default; or the bound itself, which stands in the header named behind it
QUEUES = {
    "yizhan_gateway_uplink_pending": ("uplink_window", 8192),
    "yizhan_gateway_queries_pending": ("query_window", 1024),
    "yizhan_gateway_bus_queued": ("bus_queue_max", 32768),
    "yizhan_gateway_inbound_queued": ("inbound_queue_max", 65536),
    "yizhan_gateway_sessions": ("sessions_max", 18000),
    "yizhan_gateway_recent_bytes": (None, 64 * MIB),  # gateway/recent.h
    "yizhan_worker_queries_waiting": (None, 1024),  # workers/query.h
    "yizhan_worker_queries_parked": (None, 1024),  # workers/query.h
    "yizhan_worker_events_bytes": ("events_max_bytes", 1 << 30),
}
BACKLOG = "yizhan_gateway_backlog_bytes"
RECENT = "yizhan_gateway_recent_bytes"
AT_REST = 64 * MIB  # three times what any run needed


def check(story):
    found, worst, last = [], {}, {}
    crowd = most_at_once(story)
    for number, sample in story.samples:
        process, queues = sample["process"], sample.get("queues") or {}
        for metric, value in queues.items():
            if metric in QUEUES:
                name, default = QUEUES[metric]
                _note(worst, (process, metric), value, story.setting(name, default) if name else default, number)
        if BACKLOG in queues:
            bound = crowd[process] * story.setting("session_backlog_max_bytes", MIB)
            _note(worst, (process, BACKLOG), queues[BACKLOG], bound, number)
        bound = memory_bound(story, process, crowd[process])
        if sample.get("rss") and bound:
            _note(worst, (process, "resident memory"), sample["rss"], bound, number)
            last[process] = number, sample
    for (process, what), (value, bound, number) in worst.items():
        if value > bound:
            found.append(Violation("f", f"{process}: {what} reached {value:.0f}, and its bound is {bound}", [f"line {number}"]))
    return found + _at_rest(story, last)


def _note(worst, key, value, bound, number):
    if value is not None and value > worst.get(key, (-1,))[0]:
        worst[key] = value, bound, number


def most_at_once(story):
    """process: the most phones that were connected to it at a time, as they saw it. One that broke may count on for a
    while with the gateway, which has not heard of it: the next session of that phone stands for it here."""
    now, most, where = collections.Counter(), collections.Counter(), {}
    for line in story.lines:
        if line["kind"] == "open":
            process = where[line["session"]] = f"gateway{line['gateway']}"
            now[process] += 1
            most[process] = max(most[process], 2 * now[process])
        elif line["kind"] == "close" and line["session"] in where:
            now[where.pop(line["session"])] -= 1
    return most


def memory_bound(story, process, sessions):
    """Bytes that a process of ours may hold while all that it may keep is there; None: it is not ours.

    A gateway: 64 MiB for itself and its libraries, 64 MiB of recent pushes (recent.h), for each session its backlog twice
    (while a frame is built from it), and 4 KiB for each message that may wait for the loop.
    A worker: 96 MiB for itself and its pool, and for each thread two batches of 4 MiB with what is decoded from them, and
    the replies of queries, 16 MiB each (query.c).
    """
    name = process.rstrip("0123456789")
    if name == "gateway":
        return (128 * MIB + sessions * 2 * story.setting("session_backlog_max_bytes", MIB)
                + 4096 * min(story.setting("inbound_queue_max", 65536), 65536))  # fmt: skip
    if name == "worker":
        return 96 * MIB + 64 * MIB * story.setting("threads", 2) + 16 * MIB * story.setting("query_threads", 2)
    return None


def _at_rest(story, last):
    """Nothing waits any more: what a process still holds beyond its recent pushes, it has kept for nothing."""
    found = []
    if story.sanitized or story.end > len(story.lines):
        return found
    for process, (number, sample) in last.items():
        recent = (sample.get("queues") or {}).get(RECENT, 0)
        bound = AT_REST + 2 * int(recent)
        if sample["rss"] > bound:
            found.append(Violation("f", f"{process} holds {sample['rss']} when nothing waits any more, and {bound} is its bound",
                                   [f"line {number}"]))  # fmt: skip
    return found
