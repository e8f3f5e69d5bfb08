"""Each row of k8s/RUNBOOK.md: the fault is caused on a running system under traffic, and what the row says can be seen is
seen; after its end the trouble is said to be over and doctor finds nothing."""

import contextlib
import http.client
import json
import os
import random
import re
import subprocess
import threading
import time

import pytest

import runbook
import scenes
from kinds import KINDS
from people import Person, new_id
from runbook import Either, Line, Metric
from stack import built
from waiting import TooLate, until
from world import World

SEEN_S = 60
WELL_S = 60
PROBE_S = 2
LINES_MAX = 60  # warnings and errors of one process in one fault; hundreds of messages are under way in each
BUSY = {"bus_slow", "database_slow", "answers_late"}  # may be true of the machine that runs the tests
LEVELS = re.compile(r" level=(?:warn|error) ")
SETTINGS = {"watch_interval_ms": 400, "events_stale_ms": 3000, "database_timeout_ms": 2000, "lease_ttl_ms": 2000}
# Those that need the workers as they were at their start come first: a spaced line is written once in ten seconds.
FAULTS = list(dict.fromkeys(fault for row in runbook.rows() for fault in row.faults))


def test_every_kind_of_fault_has_a_row():
    assert not set(KINDS) - set(FAULTS), "kinds of faults without a row in k8s/RUNBOOK.md"


def test_every_row_can_be_checked():
    assert not set(FAULTS) - set(scenes.SCENES), "rows that no scene checks"
    assert all(row.faults for row in runbook.rows())


def test_every_trouble_stands_in_a_row():
    text = (runbook.FILE.parents[1] / "common" / "trouble.def").read_text()
    troubles = set(re.findall(r"^TROUBLE\((\w+),", text, re.M))
    assert len(troubles) > 10
    named = {code for row in runbook.rows() for code in row.codes}
    named |= {metric.code for row in runbook.rows() for metric in row.metrics}
    assert troubles - named == set()


def test_every_trouble_and_code_is_a_finding():
    root = runbook.FILE.parents[1]
    findings = set(re.findall(r"^FINDING\((\w+),", (root / "workers/ctl/finding.def").read_text(), re.M))
    troubles = set(re.findall(r"^TROUBLE\((\w+),", (root / "common/trouble.def").read_text(), re.M))
    assert not troubles - findings
    assert not {code for row in runbook.rows() for code in row.codes} - findings


class Traffic(threading.Thread):
    """Posts over HTTP to one gateway, one after the other, whatever is answered."""

    def __init__(self, world, gateway):
        super().__init__(daemon=True)
        self.over, self.paused = threading.Event(), threading.Event()
        self.gateway = gateway
        self.token = world.keys.token(Person("runbook", "writer", "g1/c1/b1", ("member",)))

    def run(self):
        number = 0
        while not self.over.wait(0.05):
            if self.paused.is_set():
                continue
            number += 1
            body = {"eventId": new_id("e"), "type": "thread.posted",
                    "payload": {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": f"x{number}", "text": "text"}}  # fmt: skip
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=PROBE_S)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/v1/events", json.dumps(body), head)
                connection.getresponse().read()
            connection.close()


def run_world(folder, cluster):
    made = World(folder, random.Random(1), cluster=cluster, **SETTINGS)
    made.start()
    made.traffic = traffic = [Traffic(made, gateway) for gateway in made.gateways]
    for one in traffic:
        one.start()
    yield made
    for one in traffic:
        one.over.set()
    for one in traffic:
        one.join()
    made.end()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    yield from run_world(tmp_path_factory.mktemp("world"), False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    yield from run_world(tmp_path_factory.mktemp("cluster"), True)


def scrape(process):
    """{metric with its labels: value}; None when the admin port does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", process.admin_port, timeout=PROBE_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def doctor(world, **settings):
    """What doctor finds that is not well: {code: text}, and its exit code."""
    words = [str(built("yzctl")), "doctor", "--json", "--gateways", "2", "--workers", "2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120,
                          env={**os.environ, **world._env(**{**world.rights.of("operator"), **settings})})  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report["fail"] else 0), done.stdout
    amiss = [found for found in report["findings"] if found["level"] != "ok"]
    assert all(found["code"] and found["advice"] for found in amiss)
    return {found["code"]: found["text"] for found in amiss}


class Observer:
    """What could be seen since it was made."""

    def __init__(self, world, settings):
        self.world, self.settings = world, settings
        self.processes = {"gateway": world.gateways, "worker": world.workers}
        self.marks = {p.name: len(p.text()) for group in self.processes.values() for p in group}
        self.before = {p.name: scrape(p) or {} for group in self.processes.values() for p in group}

    def new_lines(self, process):
        return process.text()[self.marks[process.name] :].splitlines()

    def look(self):
        self.pages = {p.name: scrape(p) for group in self.processes.values() for p in group}
        self.codes = doctor(self.world, **self.settings)

    def sees(self, signal):
        if isinstance(signal, Either):
            return any(map(self.sees, signal.options))
        if isinstance(signal, Metric):
            return any(self._shows(signal, process) for process in self.processes[signal.program])
        if isinstance(signal, Line):
            return any(signal.matches(line) for p in self.processes[signal.program] for line in self.new_lines(p))
        return signal.removeprefix("doctor ") in self.codes

    def _shows(self, metric, process):
        page = self.pages[process.name]
        if metric.name == "up":
            return (page is not None) == bool(metric.value)
        name = metric.name + (f'{{code="{metric.code}"}}' if metric.code else "")
        if page is None:
            return False
        assert name in page, f"{process.name} has no metric {name}"
        if metric.op == "rises":
            return page[name] > self.before[process.name].get(name, 0)
        return page[name] > metric.value if metric.op == ">" else page[name] == metric.value


def wait_seen(observer, signals):
    """Each signal is seen at some moment."""
    left = list(signals)

    def seen():
        observer.look()
        left[:] = [signal for signal in left if not observer.sees(signal)]
        return not left

    try:
        until(seen, SEEN_S, every=0.1)
    except TooLate:
        raise AssertionError(f"not seen: {'; '.join(map(str, left))}; doctor: {observer.codes}") from None


def wait_well(world):
    """Nothing is left: the system is calm, and doctor agrees. Given up when it does not get on any more, and not by the
    clock: the machine may be slow."""
    began = time.monotonic()
    last, since = None, began
    while True:
        scenes.clear(world)
        found = {code: text for code, text in doctor(world).items() if code not in BUSY}
        if not found:
            return
        now = sorted(found), world.settled_upto()
        if now != last:
            last, since = now, time.monotonic()
        waited_s = time.monotonic() - since
        assert waited_s < WELL_S, f"doctor still finds {found}, and nothing moved for {WELL_S} s"
        assert time.monotonic() - began < 4 * WELL_S, f"doctor still finds {found}"
        time.sleep(0.3)


def check_over(observer, signals):
    """Who said that it was wrong says that it is over, unless it was started anew since."""
    for line in (each for signal in signals for each in getattr(signal, "options", (signal,))):
        if not isinstance(line, Line) or line.event != "trouble":
            continue
        for process in observer.processes[line.program]:
            over = Line(line.program, "trouble_over", line.words)
            until(lambda line=line, process=process, over=over: _is_over(observer.new_lines(process), line, over), WELL_S,
                  what=f"{process.name} says {over}")  # fmt: skip


def _is_over(text, line, over):
    began = [n for n, new in enumerate(text) if line.matches(new)]
    behind = text[began[-1] :] if began else []
    anew = any(f" event={word} " in new for new in behind for word in ("started", "ready"))
    return not began or anew or any(map(over.matches, behind))


def check_bounded(observer):
    for group in observer.processes.values():
        for process in group:
            loud = [line for line in observer.new_lines(process) if LEVELS.search(line)]
            assert len(loud) <= LINES_MAX, f"{process.name} wrote {len(loud)} lines:\n" + "\n".join(loud[:20])


def hush(world, quiet):
    """No traffic, and nothing left of it; or traffic again."""
    for one in world.traffic:
        if quiet:
            one.paused.set()
        else:
            one.paused.clear()
    if quiet:
        until(lambda: world.lag() == 0, WELL_S, what="EVENTS is settled")


def check_fault(world, fault):
    scene = scenes.SCENES[fault]
    if reason := scene.why_not(world):
        pytest.skip(f"{fault} {reason}")
    world.denials_expected = True
    signals = [signal for row in runbook.of(fault) for signal in row.signals()]
    hush(world, scene.quiet)
    observer = Observer(world, {})
    late = [signal for signal in signals if isinstance(signal, Line) and signal.words == () and signal.event == "ready"]
    try:
        scene.begin(world)
        observer.settings = scene.settings if hasattr(scene, "settings") else {}
        wait_seen(observer, [signal for signal in signals if signal not in late])
    finally:
        scene.end(world)
        hush(world, False)
    wait_well(world)
    assert all(observer.sees(signal) for signal in late)
    check_over(observer, signals)
    check_bounded(observer)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not scenes.SCENES[fault].cluster])
def test_fault_of_one_server(world, fault):
    check_fault(world, fault)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if scenes.SCENES[fault].cluster])
def test_fault_of_a_cluster(cluster, fault):
    check_fault(cluster, fault)
