"""Rule (f): memory and queues stayed under their stated bounds."""

from .story import Violation

MIB = 1 << 20
# metric: setting that bounds it, and its default
QUEUES = {
    "yizhan_gateway_uplink_pending": ("uplink_window", 8192),
    "yizhan_gateway_queries_pending": ("query_window", 1024),
    "yizhan_gateway_inbound_queued": ("inbound_queue_max", 65536),
    "yizhan_gateway_sessions": ("sessions_max", 18000),
}


def check(story):
    found, worst = [], {}
    for number, sample in story.samples:
        for metric, value in (sample.get("queues") or {}).items():
            if metric in QUEUES:
                bound = story.setting(*QUEUES[metric])
                _note(worst, (sample["process"], metric), value, bound, number)
        if sample.get("rss"):
            bound = memory_bound(story, sample["process"])
            if bound:
                _note(worst, (sample["process"], "resident memory"), sample["rss"], bound, number)
    for (process, what), (value, bound, number) in worst.items():
        if value > bound:
            found.append(Violation("f", f"{process}: {what} reached {value}, and its bound is {bound}", [f"line {number}"]))
    return found


def _note(worst, key, value, bound, number):
    if value is not None and value > worst.get(key, (-1,))[0]:
        worst[key] = value, bound, number


def memory_bound(story, process):
    """Bytes that a process of ours may hold; None: it is not ours.

    A gateway: 64 MiB for itself and its libraries, 64 MiB of recent pushes (recent.h), for each session of the run its
    backlog twice (while a frame is built from it), and 4 KiB for each message that may wait for the loop.
    A worker: 96 MiB for itself and its pool, and for each thread two batches of 4 MiB with what is decoded from them, and
    the replies of queries, 16 MiB each (query.c).
    """
    name = process.rstrip("0123456789")
    if name == "gateway":
        sessions = len(story.sessions)
        return (128 * MIB + sessions * 2 * story.setting("session_backlog_max_bytes", MIB)
                + 4096 * min(story.setting("inbound_queue_max", 65536), 65536))  # fmt: skip
    if name == "worker":
        return 96 * MIB + 64 * MIB * story.setting("threads", 2) + 16 * MIB * story.setting("query_threads", 2)
    return None
