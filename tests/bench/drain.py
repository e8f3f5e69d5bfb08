"""What the scenarios settle and backlog share: EVENTS filled beforehand, workers that empty it, and the database's own
bulk insert of the documents they leave.

The data lie on a disk, not in memory: fsync is part of what is measured. All processes share all cores, in our samples and
in the baseline's; the readings are those of a Python process that asks the broker a few times a second.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import time

from bench import Failure, Stack, integration

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOOK_S = 0.02
WAIT_S = 600
MEMBERS = 1000  # of a branch; see load/fill_events.c
BATCH = 256
SETTINGS = {"events_max_bytes": 8 << 30}

# What one event leaves besides its outcome, and whether it has a durable push of its own.
DOCUMENTS = {"checkins": ["checkins"], "posts": ["posts", "post_states"], "reads": []}
PUSHES = {"checkins": True, "posts": True, "reads": False}


@dataclasses.dataclass
class Drained:
    events: int
    seconds: float
    cpu_s: dict  # of each process
    rss: list  # (events left, bytes) of the worker


def on_disk(bench):
    """A folder whose files survive a power cut; a smoke run does not wait for a disk."""
    if bench.smoke:
        return None
    for place in (bench.out, ROOT / "var", pathlib.Path(tempfile.gettempdir())):
        if place is None:
            continue
        place.mkdir(parents=True, exist_ok=True)
        kind = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True, check=True).stdout.strip()
        if kind not in ("tmpfs", "ramfs"):
            return place
    raise Failure("no folder on a disk: give one with --out")


class Town(Stack):
    """A stack whose nats-server is restarted into the durability mode that is measured: filling need not wait for it."""

    def mode(self, sync):
        if sync == self._sync:
            return
        self._sync = sync
        self.nats.terminate()
        with open(self._nats_conf(), "a") as file:
            file.write(f"include {self.rights.write(self.folder)}\n")
        self.nats.start()
        integration.until(lambda: self.nats.running and self.answers(), 60, what="nats-server is back")

    def answers(self):
        with contextlib.suppress(Exception):
            return self.waiting() is not None
        return False

    def waiting(self):
        return self.bus.stream("EVENTS")["state"]["messages"]

    def tool(self, bench, name, *words, timeout=300):
        """A program of the benchmark with a worker's settings, as the tests' own user; its JSON."""
        env = {**os.environ, **self._env(**self.rights.of("worker"))}
        env["YZ_NATS_USER"] = integration.TESTER
        env["YZ_NATS_PASSWORD_FILE"] = str(self.folder / "keys" / f"nats-{integration.TESTER}.password")
        done = subprocess.run([str(bench.program(name)), *map(str, words)], env=env, capture_output=True, text=True,
                              check=False, timeout=timeout)  # fmt: skip
        if done.returncode != 0:
            raise Failure(f"{name}: exit code {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def town(bench, **settings):
    with tempfile.TemporaryDirectory(prefix="yizhan-bench-", dir=on_disk(bench), ignore_cleanup_errors=True) as folder:
        stack = Town(folder, cores={}, workers=1, gateways=0, **{**SETTINGS, **settings})
        try:
            yield stack.start()
            stack.check_denials()
        except BaseException:
            for name, text in stack.logs():
                print(f"--- {name}\n{text}")
            raise
        finally:
            stack.stop()


def cpu_s(process):
    """Also of threads that have ended."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fill(bench, stack, kind, events, units, sync="default", run=1):
    """EVENTS holds `events` of this kind that no worker has seen; the worker is down."""
    worker = stack.workers[0]
    stack.mode("default")
    if not worker.running:
        stack.start_worker(worker)
    stack.tool(bench, "fill_events", kind, events, units, MEMBERS, run, "setup")
    integration.until(lambda: stack.waiting() == 0, 120, what="what must be there before is settled")
    worker.terminate()
    stack.tool(bench, "fill_events", kind, events, units, MEMBERS, run, "fill")
    stack.mode(sync)
    if stack.waiting() != events:
        raise Failure(f"EVENTS holds {stack.waiting()} of {events}")


def drain(stack, events):
    """Start the worker and wait until EVENTS is empty; from the first event that was settled, so without its start."""
    worker = stack.workers[0]
    processes = {"worker": worker, "nats": stack.nats, "database": stack.database}
    stack.start_worker(worker, ready=False)
    deadline = time.monotonic() + WAIT_S
    while (left := stack.waiting()) == events:
        time.sleep(LOOK_S)
    began, first = time.monotonic(), left
    before = {name: cpu_s(process) for name, process in processes.items()}
    rss = []
    while left > 0:
        if time.monotonic() > deadline or not worker.running:
            raise Failure(f"{left} events are left")
        if not rss or rss[-1][0] - left >= events // 100:
            rss.append((left, worker.rss_bytes()))
        time.sleep(LOOK_S)
        left = stack.waiting()
    seconds = time.monotonic() - began
    used = {name: cpu_s(process) - before[name] for name, process in processes.items()}
    settled_all(stack, worker, events)
    return Drained(first, seconds, used, rss)


def settled_all(stack, worker, events):
    def figure(name):
        return stack.metric(worker, f"yizhan_worker_events_{name}_total")

    if figure("applied") != events or figure("refused") or figure("dead_lettered"):
        raise Failure(f"{figure('applied'):.0f} of {events} applied, {figure('refused'):.0f} refused")


def count_documents(stack, kind, outcomes, documents):
    """What all drains of this stack left so far."""
    found = {name: stack.documents[name].estimated_document_count() for name in ["outcomes", *DOCUMENTS[kind]]}
    wanted = {"outcomes": outcomes, **dict.fromkeys(DOCUMENTS[kind], documents)}
    if found != wanted:
        raise Failure(f"documents: {found}, expected {wanted}")


def bulk_insert(bench, stack, kind, events, clients, name):
    """Events a second at which the database takes the documents of `events` events into the new database `name`."""
    into = stack.mongo[name]
    for collection in DOCUMENTS[kind]:
        for index in stack.documents[collection].list_indexes():
            if index["name"] != "_id_":
                into[collection].create_index(list(index["key"].items()), name=index["name"])
    uri = stack.database_users.uri(integration.ROOT)
    done = stack.tool(bench, "bulk_insert", uri, stack.settings["mongodb_database"], name, BATCH, clients, events,
                      "outcomes", *DOCUMENTS[kind])  # fmt: skip
    for collection in ["outcomes", *DOCUMENTS[kind]]:
        if into[collection].estimated_document_count() != events:
            raise Failure(f"{name}.{collection} does not hold {events}")
    stack.mongo.drop_database(name)
    return done["events"] / done["seconds"]


def puback_rate(bench, stack, kind, events, units, run):
    """Durable pushes a second that the broker takes from one asynchronous publisher, the workers' own messages."""
    done = stack.tool(bench, "fill_events", f"pushes-of-{kind}", events, units, MEMBERS, run, "fill")
    return done["events"] / done["seconds"]

