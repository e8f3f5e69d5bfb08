"""What a scenario of the benchmark is written with. tests/bench/README.md shows one.

A scenario is a module tests/bench/scenarios/NAME.py with

    NAME = "fanout"                      as in --only fanout
    GOALS = ["CPU per delivery <= 1.15 of the bare loop", ...]   in words, for the report
    NEEDS = ("memory",)                  optional: scenarios whose figures it reads (bench.figure)
    def run(bench): -> list of Row

It starts real processes (bench.stack), drives load programs in C (bench.load), takes each sample of ours and of the
baseline in the same run, alternating (bench.alternate), and gives raw samples back; medians, spread, ratio and verdict
are run.py's. With bench.smoke it does the same in seconds with tiny sizes. Whatever was sent must have arrived: a wrong
count raises, at any size.
"""

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "integration"))

import stack as integration  # noqa: E402
import wire  # noqa: E402
from people import Person  # noqa: E402

TENANT = "bench"
ANSWER_S = 60


class Failure(Exception):
    """Something does not work: told with the scenario's name, exit code 1."""


@dataclasses.dataclass
class Row:
    """One measured case: samples of ours, and of the baseline in the same rounds.

    goal      "<= 1.15" or ">= 0.6" or None
    goal_of   "ratio": median of the rounds' ratios ours/baseline; "value": median of ours
    better    "less" or "more": which direction is good (for plots and readers)
    """

    case: str
    unit: str
    ours: list
    baseline: str | None = None
    base: list | None = None
    goal: str | None = None
    goal_of: str = "ratio"
    better: str = "less"
    note: str = ""
    extra: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        assert self.ours, f"{self.case}: no sample"
        assert (self.baseline is None) == (self.base is None), self.case
        assert self.base is None or len(self.base) == len(self.ours), f"{self.case}: rounds do not match"
        assert self.goal is None or re.fullmatch(r"(<=|>=) [\d.]+", self.goal), self.goal
        assert self.goal_of in ("ratio", "value") and self.better in ("less", "more"), self.case


class Load:
    """A load program (load/control.h): ask() writes a line and waits for the answer's JSON."""

    def __init__(self, name, argv, folder, core):
        self.name, self._log = name, pathlib.Path(folder) / f"{name}.log"
        with open(self._log, "ab") as log:
            self.popen = subprocess.Popen(pinned(argv, core), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=log, text=True)  # fmt: skip

    @property
    def pid(self):
        return self.popen.pid

    def ask(self, word, **pairs):
        """{"key": value} of the answer; an error, or an end of the program, raises Failure."""
        self.tell(word, **pairs)
        return self.answer()

    def tell(self, word, **pairs):
        """Ask without waiting: several programs work at the same time, answer() fetches."""
        line = " ".join([word, *(f"{key}={value}" for key, value in pairs.items() if value is not None)])
        try:
            self.popen.stdin.write(line + "\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"{self.name} ended: {self.tail()}") from None

    def answer(self):
        line = self.popen.stdout.readline()
        if not line:
            raise Failure(f"{self.name} ended: {self.tail()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"{self.name}: {answer['error']} {self.tail()}")
        return answer

    def tail(self):
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])

    def close(self):
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(10)


def pinned(argv, core):
    """The command on this core only; core None: anywhere."""
    words = [str(word) for word in argv]
    return words if core is None else ["taskset", "-c", str(core), *words]


# One machine stands for many phones: what protects against one address must not be what is measured.
ROOMY = {
    "log_level": "info",
    "address_connections_max": 100000,
    "address_unauthenticated_max": 100000,
    "address_connections_per_s": 1000000,
    "address_connections_burst": 1000000,
    "accepts_per_s": 1000000,
}


class Stack(integration.Stack):
    """The integration tests' stack with the defaults of production instead of a test's short times, pinned to cores.

    cores   {"gateway": core, "worker": core, "nats": core, "database": core}; absent: anywhere
    sync    nats-server's sync_interval: "default" (2 minutes; the PubAck is no fsync) or "always"
    """

    def __init__(self, folder, cores=None, sync="default", **settings):
        self._cores, self._sync = cores or {}, sync
        workers, gateways = settings.pop("workers", 1), settings.pop("gateways", 1)
        super().__init__(folder, workers=workers, gateways=gateways)
        for name in integration.SETTINGS:
            del self.settings[name]
        self.settings.update({**ROOMY, **settings})
        for process in self.services + self.workers + self.gateways:
            process.argv = pinned(process.argv, self._cores.get(process.name.rstrip("0123456789")))

    def _nats_conf(self):
        self.monitor_port = self.ports.take()
        path = self.folder / "nats.conf"
        path.write_text(
            f'listen: "127.0.0.1:{self.nats_port}"\nhttp: "127.0.0.1:{self.monitor_port}"\n'
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}"'
            f'{", sync_interval: always" if self._sync == "always" else ""} }}\n'
        )
        return path

    def nats_figures(self):
        """nats-server's own (its monitoring page /varz): subscriptions, connections, mem, cpu ..."""
        return self.http("GET", "/varz", port=self.monitor_port)[2]

    def worker_rights(self):
        """url, user and password_file with which a load program publishes as a worker does."""
        rights = self.rights.of("worker")
        return {"url": self.settings["nats_url"], "user": rights["nats_user"], "password_file": rights["nats_password_file"]}

    def members(self, count, channels, topics=None, path="g1/c1/b1", first=0, lifetime_s=3600):
        """A file for the load programs: "token<TAB>channels<TAB>topics" of each member m<first>...

        channels, topics, path: one for all, or a function of the member's number that gives it.
        """
        def of(what, number):
            return what(number) if callable(what) else what or []

        people = ((number, Person(TENANT, f"m{number}", of(path, number))) for number in range(first, first + count))
        out = self.folder / f"members-{first}-{count}-{time.monotonic_ns()}"
        with open(out, "w") as file:
            for number, person in people:
                token = self.keys.token(person, lifetime_s=lifetime_s)
                file.write("\t".join([token, ",".join(of(channels, number)), ",".join(map(str, of(topics, number)))]) + "\n")
        return out


def push(kind, payload_bytes, fields, text="text"):
    """A worker's message for CHANNELS or THREADS (the protobuf Push) whose payload, the message `kind` of wire.PUSHES, has
    exactly payload_bytes; its field `text` begins with the marker that load/marker.h numbers."""
    marker = "#000000.0000000000#"
    name = wire.PUSHES[kind]
    filled = {**fields, text: marker}
    for _ in range(3):  # a length of one byte more may need a longer length before it
        missing = payload_bytes - len(wire.pack(name, filled))
        filled[text] = filled[text] + "x" * missing if missing >= 0 else filled[text][:missing]
    packed = wire.pack(name, filled)
    if len(packed) != payload_bytes:
        raise Failure(f"a {kind} of {payload_bytes} bytes cannot be made: {len(packed)}")
    body = wire.message("Push")(id="1099511627776-0", type=kind, payload=packed)
    body.time.seconds = 1767225600
    return body.SerializeToString()


def thread_post(payload_bytes, org_path="g1/c1/b1", thread="t0"):
    """push() of a thread.post."""
    return push("thread.post", payload_bytes, {
        "orgPath": org_path, "threadId": thread, "messageId": "m-1", "author": "m1",
        "sequence": "1099511627776", "postedAt": "2026-01-01T00:00:00Z"})  # fmt: skip


class Bench:
    def __init__(self, smoke=False, rounds=3, out=None, only_cases=None):
        self.smoke, self.rounds = smoke, 1 if smoke else rounds
        self.only_cases = re.compile(only_cases) if only_cases else None
        self.figures = collections.defaultdict(dict)  # {scenario: {name: number}} of this run
        self.out = pathlib.Path(out) if out else None
        self.scenario = None
        self.backlog = 1000000  # --backlog
        cores = sorted(os.sched_getaffinity(0))
        # The server has a core of its own; load and what serves both share the next.
        self.server_core, self.load_core = cores[0], cores[min(1, len(cores) - 1)]

    # sizes and rounds

    def size(self, full, smoke):
        return smoke if self.smoke else full

    def wanted(self, case):
        """Whether --case lets this one in."""
        return self.only_cases is None or self.only_cases.search(case) is not None

    def alternate(self, rounds=None, **measures):
        """Each measure once a round, in turn, every other round the other way round; {name: [sample, ...]}."""
        samples = {name: [] for name in measures}
        for number in range(rounds or self.rounds):
            for name in list(measures)[:: 1 if number % 2 == 0 else -1]:
                samples[name].append(measures[name]())
        return samples

    def say(self, text):
        print(f"    {text}", file=sys.stderr, flush=True)

    # figures that other scenarios of the same run read

    def keep(self, name, number):
        self.figures[self.scenario][name] = number

    def figure(self, scenario, name):
        try:
            return self.figures[scenario][name]
        except KeyError:
            raise Failure(f"needs {name} of scenario {scenario} in the same run") from None

    # processes

    def program(self, name):
        """A program of load/ or baseline/."""
        path = wire.BUILD / "bench" / f"bench_{name}"
        if not path.exists():
            raise Failure(f"{path.name} is not built in {wire.BUILD}: configure with YZ_BENCH=ON (scripts/bench does)")
        return path

    @contextlib.contextmanager
    def folder(self, disk=False):
        """A temporary folder; disk: in the repository, since the system's own may be memory, where an fsync costs nothing."""
        place = ROOT / "var" if disk else None
        if place:
            place.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="yizhan-bench-", dir=place, ignore_cleanup_errors=True) as folder:
            yield pathlib.Path(folder)

    @contextlib.contextmanager
    def stack(self, **options):
        """A running Stack in a folder (disk: see folder) that is removed afterwards. cores defaults to: gateways on the
        server's core, the others on the load's. Phones ping only where a scenario lets them: none is closed as idle."""
        options.setdefault("idle_timeout_ms", 3600000)
        options.setdefault("cores", {"gateway": self.server_core, "worker": self.load_core,
                                     "nats": self.load_core, "database": self.load_core})  # fmt: skip
        with self.folder(options.pop("disk", False)) as folder:
            stack = Stack(folder, **options)
            try:
                yield stack.start()
                stack.check_denials()
            except BaseException:
                for name, text in stack.logs():
                    print(f"--- {name}\n{text}", file=sys.stderr)
                raise
            finally:
                stack.stop()

    @contextlib.contextmanager
    def load(self, name, *words, folder=None, core="load"):
        """A load program under control, on the load's core (core=None: anywhere)."""
        with contextlib.ExitStack() as ending:
            folder = folder or ending.enter_context(self.folder())
            core = self.load_core if core == "load" else core
            load = Load(f"{name}-{time.monotonic_ns()}", [self.program(name), *words], folder, core)
            ending.callback(load.close)
            yield load

    def once(self, name, *words, core="load", timeout=120):
        """Run a program of load/ or baseline/ to its end; the JSON of its last line."""
        core = self.load_core if core == "load" else core
        done = subprocess.run(pinned([self.program(name), *words], core), capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0 or not done.stdout.strip():
            raise Failure(f"{name}: exit code {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    @contextlib.contextmanager
    def server(self, name, argv, folder, core="server", env=None):
        """A program that is neither ours nor a load program (a baseline): a Process with its log in folder."""
        process = integration.Process(name, pinned(argv, self.server_core if core == "server" else core), folder, env)
        process.start()
        try:
            yield process
        finally:
            process.kill()

    def wait_idle(self, pid, most_s=20):
        """Until the process has used less than 2 % of a core for half a second: what follows a crowd's arrival is over."""
        until = time.monotonic() + self.size(most_s, 0)
        while time.monotonic() < until:
            before = self.cpu_ns(pid)
            time.sleep(0.5)
            if self.cpu_ns(pid) - before < 0.5e9 * 0.02:
                return

    # readings of /proc; load/usage.h reads the same inside a load program

    def cpu_ns(self, pid):
        """CPU time of all threads of the process."""
        total = 0
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((thread / "schedstat").read_text().split()[0])
        return total

    def pss_bytes(self, pid):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) * 1024

    def socket_bytes(self):
        """Kernel buffers of all TCP sockets of the machine."""
        text = pathlib.Path("/proc/net/sockstat").read_text()
        return int(re.search(r"^TCP:.* mem (\d+)", text, re.M)[1]) * os.sysconf("SC_PAGE_SIZE")
