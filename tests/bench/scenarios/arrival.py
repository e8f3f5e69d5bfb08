"""Arrival: server CPU of a phone that comes back: handshake, token, three channels, 20 missed pushes on each.

An open loop of phones, each with a token of its own that the gateway has not seen: its inbox, its branch (1,000 phones
have the same) and the company above it, all with a position behind which 20 pushes of 128 bytes were missed. A phone has
arrived when the Welcome said recovered for all three and the 60 pushes have come, each once and in order. CPU is the whole
gateway process's, its NATS threads included, and includes the second look at each new channel a second later.

134 µs is Centrifugo 6.9.1's published figure for a connection alone, without a token (design.md, section 9). The bare
handshake stands beside an epoll loop that answers 101 by hand. The storm is 15,000 phones in 3 s.
"""

import contextlib

from bench import TENANT, Failure, Person, Row, push
from certificates import Authority
from waiting import until

NAME = "arrival"
GOALS = [
    "CPU per arrival <= 134 µs, all in: >= 7,400 sessions/s per core",
    "15,000 phones in 3 s without an error",
    "1,000 phones that missed the same pushes of a branch cost one read",
]
CENTRIFUGO_US = 134  # published: CPU of a connection, no token to verify
MISSED = 20
BRANCH_PHONES = 1000
COMPANY = "g1/c1"
ALGORITHMS = {"HS256": "hs", "RS256": "rs", "ES256": "es"}
LOOKS_S = 1.3  # each new channel is looked at again a second after it was joined: that belongs to the arrival
LINGER_S = 20  # a channel without sessions is gone after 5


class Crowd:
    """The load program, with pushes to be missed and phones that missed them."""

    def __init__(self, bench, stack, load, count):
        self.bench, self.stack, self.load, self.count = bench, stack, load, count
        self.branches = max(1, count // BRANCH_PHONES)
        self.tickets = set()
        self._fill()

    def _subjects(self):
        """The shared ones first: their topics are 0 (the company) and 1 + number of the branch."""
        orgs = [COMPANY] + [f"{COMPANY}/b{n}" for n in range(self.branches)]
        return [f"chan.{TENANT}.org.{org}" for org in orgs] + [f"chan.{TENANT}.member.m{n}" for n in range(self.count)]

    def _fill(self):
        subjects, template = self.stack.folder / "subjects", self.stack.folder / "notice"
        subjects.write_text("\n".join(self._subjects()) + "\n")
        template.write_bytes(push("notice.posted", 128, {"noticeId": "n1", "orgPath": COMPANY}, text="title"))
        before = self.stack.bus.stream("CHANNELS")["state"]["last_seq"]
        self.load.ask("publisher", **self.stack.worker_rights())
        done = self.load.ask("fill", subjects=subjects, count=MISSED + 1, template=template)
        after = self.stack.bus.stream("CHANNELS")["state"]["last_seq"]
        if done["failed"] or after - before != done["topics"] * (MISSED + 1):
            raise Failure(f"not all were stored: {done} {before} {after}")
        self.base = before

    def sign(self, algorithm):
        """The phones come with tokens of this algorithm from now on."""
        config = self.stack.bus.stream("CHANNELS")["config"]
        file = self.stack.folder / f"phones-{algorithm}"
        with open(file, "w") as out:
            for n in range(self.count):
                branch = n % self.branches
                path = f"{COMPANY}/b{branch}"
                token = self.stack.keys.token(Person(TENANT, f"m{n}", path), ALGORITHMS[algorithm], lifetime_s=3600)
                channels = f"member.m{n},org.{path},org.{COMPANY}"
                out.write(f"{token}\t{channels}\t{1 + self.branches + n},{1 + branch},0\n")
        self.load.ask("phones", file=file, epoch=config["metadata"]["yizhan-epoch"], base=self.base, count=MISSED + 1)

    def arrive(self, gateway, port=None, tls=False, **options):
        """What the load program counted of these arrivals; they are gone again afterwards."""
        if tls and gateway.pid not in self.tickets:
            self.load.ask("ticket", port=gateway.port)
            self.tickets.add(gateway.pid)
        reads = self.reads(gateway) if hasattr(gateway, "admin_port") else 0
        done = self.load.ask("arrive", port=port or gateway.port, pid=gateway.pid, tls=int(tls), **options)
        done["reads"] = self.reads(gateway) - reads if hasattr(gateway, "admin_port") else 0
        self.load.ask("hang_up")
        if done["failed"] or done["wrong"] or done["arrived"] != options["phones"]:
            raise Failure(f"not all arrived as they should: {done}")
        if tls and done["resumed"] != done["arrived"]:
            raise Failure(f"not all resumed their TLS session: {done}")
        return done

    def reads(self, gateway):
        return self.stack.metric(gateway, "yizhan_gateway_history_reads_total")

    def leave(self, gateway):
        """Until the gateway holds no channel any more."""
        until(lambda: self.stack.metric(gateway, "yizhan_gateway_channels") == 0, LINGER_S, what="the channels are given up")


def cost(samples):
    return [s["cpu_after_ns"] / s["arrived"] / 1000 for s in samples]


def milliseconds(samples, name):
    return [s[name] / 1e6 for s in samples]


@contextlib.contextmanager
def bare_loop(bench, stack):
    port, control = stack.ports.take(), stack.ports.take()
    with bench.load("bare_loop", port, control, folder=stack.folder, core=bench.server_core) as bare:
        if bare.popen.stdout.readline() != "ready\n":
            raise Failure(f"the bare loop does not start: {bare.tail()}")
        bare.port = port
        yield bare


def handshakes(bench, stack, crowd, tls_gateway):
    """Rows of the handshake alone."""
    phones, rate, plain = bench.size(3000, 40), bench.size(2000, 200), stack.gateways[0]
    with bare_loop(bench, stack) as bare:
        samples = bench.alternate(
            plain=lambda: crowd.arrive(plain, kind="shake", phones=phones, rate=rate),
            bare=lambda: crowd.arrive(bare, kind="bare", phones=phones, rate=rate),
            tls=lambda: crowd.arrive(tls_gateway, kind="shake", phones=phones // 2, rate=rate / 2, tls=True),
        )
    return [
        Row("bare handshake", "µs CPU/arrival", cost(samples["plain"]), "bare epoll loop", cost(samples["bare"])),
        Row("bare handshake, TLS resumed", "µs CPU/arrival", cost(samples["tls"]), "without TLS", cost(samples["plain"])),
    ]


def full(bench, crowd, gateway, algorithm, phones, first, tls=False):
    """Samples of whole arrivals, a round each, of phones that this gateway has not met."""
    rate = bench.size(1500, 200)
    crowd.sign(algorithm)
    samples = []
    for number in range(bench.rounds):
        done = crowd.arrive(gateway, kind="session", first=first + number * phones, phones=phones, rate=rate,
                            after=bench.size(LOOKS_S, 0), tls=tls)  # fmt: skip
        shared = done["reads"] - phones
        if shared > crowd.branches + 1:
            raise Failure(f"{shared} reads of {crowd.branches + 1} shared channels: {done}")
        samples.append(done)
    return samples


def arrival_rows(bench, crowd, stack, tls_gateway):
    rows, plain, first = [], stack.gateways[0], 0
    for algorithm in ALGORITHMS:
        phones = bench.size(9000 if algorithm == "HS256" else 3000, 50) // bench.rounds
        samples = full(bench, crowd, plain, algorithm, phones, first)
        first += phones * bench.rounds
        case = f"arrival, {algorithm}"
        goal = {"goal": f"<= {CENTRIFUGO_US}", "goal_of": "value"} if algorithm == "HS256" else {}
        extra = {"p50_ms": milliseconds(samples, "p50_ns"), "p99_ms": milliseconds(samples, "p99_ns"),
                 "reads": [s["reads"] for s in samples]}  # fmt: skip
        rows.append(Row(case, "µs CPU/arrival", cost(samples), "Centrifugo, published", [CENTRIFUGO_US] * len(samples),
                        note="token, 3 channels, 60 missed pushes", extra=extra, **goal))  # fmt: skip
        if algorithm == "HS256":
            bench.keep("us", sorted(cost(samples))[len(samples) // 2])
            rows.append(Row(case, "sessions/s per core", [1e6 / c for c in cost(samples)], better="more",
                            goal=">= 7400", goal_of="value"))  # fmt: skip
            shared = [(s["reads"] - s["arrived"]) / (crowd.branches + 1) for s in samples]
            rows.append(Row("reads of a shared channel", "reads/arrivals of a round", shared, goal="<= 1", goal_of="value"))
    tls = full(bench, crowd, tls_gateway, "HS256", bench.size(9000, 50) // bench.rounds, 0, tls=True)
    rows.append(Row("arrival, HS256, TLS resumed", "µs CPU/arrival", cost(tls)))
    return rows


def storm(bench, crowd, gateway):
    """All that there are come back together."""
    count = bench.size(crowd.count, 50)
    if not bench.smoke:
        crowd.leave(gateway)
    crowd.sign("HS256")
    done = crowd.arrive(gateway, kind="session", first=crowd.count - count, phones=count, rate=count / bench.size(3, 0.5),
                        after=bench.size(LOOKS_S, 0))  # fmt: skip
    case = f"storm of {count} in 3 s"
    return [
        Row(case, "errors", [done["failed"] + done["wrong"]], goal="<= 0", goal_of="value"),
        Row(case, "s until the last has arrived", [done["seconds"]],
            extra={"p50_ms": done["p50_ns"] / 1e6, "p99_ms": done["p99_ns"] / 1e6}),
        Row(case, "µs CPU/arrival", cost([done])),
    ]  # fmt: skip


def run(bench):
    with bench.stack(workers=0, gateways=2) as stack, bench.load("arrival", folder=stack.folder) as load:
        tls_gateway = stack.gateways[1]
        authority = Authority(stack.folder)
        cert, key, _ = authority.pair()
        (stack.folder / "tls.crt").write_bytes(cert)
        (stack.folder / "tls.key").write_bytes(key)
        tls_gateway.terminate()
        stack.start_gateway(tls_gateway, tls_cert_file=stack.folder / "tls.crt", tls_key_file=stack.folder / "tls.key")
        crowd = Crowd(bench, stack, load, bench.size(15000, 200))
        bench.say(f"{crowd.count} phones have missed {crowd.count * 3 * MISSED} pushes")
        crowd.sign("HS256")
        rows = handshakes(bench, stack, crowd, tls_gateway)
        rows += arrival_rows(bench, crowd, stack, tls_gateway)
        return rows + storm(bench, crowd, stack.gateways[0])
