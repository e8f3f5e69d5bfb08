"""Workers: events settled a second, beside the database's own bulk insert of the documents they leave.

EVENTS is filled while the worker is down; then one worker with its default settings empties it. Baselines: `bulk insert`,
one client that inserts the same documents (outcome and domain document, with their indexes) in the workers' batches of 256,
majority and journaled, with nothing else running; `... by 2`, two clients. A check-in and a post each have one durable push,
whose PubAck must be there before the event is acknowledged: the rate of those PubAcks alone is a row beside them. Our
samples share both cores with nats-server and the database, a baseline's are the database's and its client's alone.
"""

import drain
from bench import Row

NAME = "settle"
GOALS = [">= 0.8 of the events/s at which the database inserts the same documents"]
UNITS = 128
MODES = {"default": "broker's default", "always": "fsync on each message"}
CASES = (("checkins", "default"), ("posts", "default"), ("reads", "default"), ("checkins", "always"), ("posts", "always"))
CLIENTS = (1, 2)


def run(bench):
    rows = []
    cases = [case for case in bench.size(CASES, CASES[:1] + CASES[-1:]) if bench.wanted(case_of(*case))]
    with drain.town(bench) as stack:
        for number, (kind, sync) in enumerate(cases):
            rows += measure(bench, stack, kind, sync, number * 1000 + 1)
    return rows


def case_of(kind, sync):
    return f"{kind}, {MODES[sync]}"


def measure(bench, stack, kind, sync, first_run):
    events = bench.size(25000 if sync == "default" else 4000, 600)
    runs = iter(range(first_run, first_run + 1000))
    drained = []

    def ours():
        drain.fill(bench, stack, kind, events, UNITS, sync, next(runs))
        drained.append(drain.drain(stack, events))
        return drained[-1].events / drained[-1].seconds

    def insert(clients):
        return drain.bulk_insert(bench, stack, kind, bench.size(20000, 300), clients, f"bulk{next(runs)}")

    def pubacks():
        return drain.puback_rate(bench, stack, kind, bench.size(20000 if sync == "default" else 5000, 300), UNITS, next(runs))

    measures = {"ours": ours, **{f"insert{n}": lambda n=n: insert(n) for n in CLIENTS}}
    if drain.PUSHES[kind]:
        measures["pubacks"] = pubacks
    samples = bench.alternate(**measures)
    bench.keep(f"{kind} {sync} events/s", sorted(samples["ours"])[len(samples["ours"]) // 2])
    return rows_of(kind, sync, samples, drained)


def rows_of(kind, sync, samples, drained):
    case, unit = case_of(kind, sync), "events/s"
    cpu = {f"{name} cpu us/event": [d.cpu_s[name] / d.events * 1e6 for d in drained] for name in drained[0].cpu_s}
    note = "CPU/event: " + ", ".join(
        f"{name.split()[0]} {sorted(values)[len(values) // 2]:.0f} µs" for name, values in cpu.items()
    )
    rows = [
        Row(case, unit, samples["ours"], "bulk insert", samples["insert1"], ">= 0.8", better="more", note=note, extra=cpu),
        Row(case, unit, samples["ours"], "bulk insert by 2", samples["insert2"], better="more"),
    ]
    if "pubacks" in samples:
        rows.append(Row(case, unit, samples["ours"], "PubAcks alone", samples["pubacks"], better="more"))
    return rows
