"""Backlog: a million check-ins wait in EVENTS; time to drain them, and the worker's memory meanwhile.

A million by default, fewer with `--backlog N`. Nothing else runs; the baseline inserts the documents of 20,000 of them.
"""

import drain
from bench import Failure, Row

NAME = "backlog"
GOALS = ["1,000,000 events drained with flat memory"]
UNITS = 128
KIND = "checkins"


def run(bench):
    events = bench.size(bench.backlog, 1200)
    with drain.town(bench) as stack:
        drain.fill(bench, stack, KIND, events, UNITS)
        bench.say(f"{events} events wait")
        drained = drain.drain(stack, events)
        outcomes = stack.documents["outcomes"].estimated_document_count()
        documents = stack.documents["checkins"].estimated_document_count()
        if documents != events or outcomes < events:
            raise Failure(f"{documents} check-ins and {outcomes} outcomes of {events} events")
        base = drain.bulk_insert(bench, stack, KIND, bench.size(20000, 300), 1, "bulk")
    return rows(events, drained, base)


def rows(events, drained, base):
    case = f"{events:,} check-ins"
    later = [rss for left, rss in drained.rss if left <= 0.9 * events] or [drained.rss[-1][1]]
    extra = {"rss": drained.rss, **{f"{name} cpu us/event": [s / drained.events * 1e6] for name, s in drained.cpu_s.items()}}
    return [
        Row(case, "s to drain", [drained.seconds * events / drained.events], extra=extra),
        Row(case, "events/s", [drained.events / drained.seconds], "bulk insert", [base], better="more"),
        Row(case, "MB worker RSS at a tenth", [later[0] / 2**20]),
        Row(case, "MB worker RSS, most after a tenth", [max(later) / 2**20], note="flat: no more than at a tenth, within noise"),
    ]
