"""The whole system behind proxies, made to be disturbed: two gateways, two workers, NATS (one server, or three with R3)
and the database, and a toxiproxy link on every connection between them.

    phones-gateway<n>   gateway<n>-nats<m>   worker<n>-nats<m>   worker<n>-database   nats<a>-nats<b> (cluster only)

The world's own eyes (`bus`, `mongo`, `ctl`, `admin`) take the direct way, so that what disturbs the parts does not blind
the run. Whoever disturbs it mends what he broke and nothing else; `wait_calm` then proves that all is well again.

    YZ_TOXIPROXY   program toxiproxy-server, else the one on PATH; the rest as in stack.py
"""

import contextlib
import itertools
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

import caretaker  # noqa: E402
import snapshot  # noqa: E402
from wallclock import Clock, clear_after, why_not_faked  # noqa: E402
from stack import Stack  # noqa: E402
from toxiproxy import Toxiproxy  # noqa: E402
from waiting import until  # noqa: E402

CALM_S = 120
BY_HAND_S = 90
STREAMS = ("EVENTS", "CHANNELS", "THREADS", "STATE", "DEADLETTERS")
BUCKETS = ("KV_WORKERS", "KV_PARTITIONS")
STORE_BYTES = 512 << 20
PARTITIONS = 64

# Shorter than in production, so that a run of minutes sees many time-outs; each still above its neighbour's.
SETTINGS = {
    "log_level": "info",
    "events_max_bytes": 64 << 20,
    "lease_ttl_ms": 2000,
    "ack_wait_ms": 8000,
    "database_timeout_ms": 4000,
    "uplink_timeout_ms": 2000,
    "query_timeout_ms": 3000,
    "hello_timeout_ms": 5000,
    "drain_ms": 500,
    "reconnect_spread_ms": 500,
}


def of_nats(error):
    """nats-py's own errors have no root of their own."""
    return isinstance(error, (TimeoutError, OSError)) or type(error).__module__.startswith("nats")


def _behind(infos):
    """infos: {stream: what STREAM.INFO answered}."""
    peers = [(name, peer) for name, info in infos.items() for peer in info.get("cluster", {}).get("replicas") or []]
    return [f"{name} is behind on {peer.get('name')}" for name, peer in peers if not peer.get("current") or peer.get("offline")]


class World(Stack):
    """`rng` decides whatever is drawn by chance. `store_on_tmpfs`: NATS keeps its files on a small tmpfs, which can be
    filled; None: when this user may mount one."""

    start_s = CALM_S

    def __init__(self, folder, rng, cluster=False, store_on_tmpfs=None, **settings):
        self.rng, self.cluster = rng, cluster
        self.tenants = ["poisoned"]  # in whose name events are made by hand
        self._starting = threading.Lock()
        self.nurses = []  # of workers that an event kills
        self.fault_points = set()  # of such events: every worker that is started has them
        self.memory = {}  # what a kind of fault must know at its end, by (kind, target)
        self._mounts = []
        self._tmpfs_wanted = store_on_tmpfs
        replicas = {"replicas": 3} if cluster else {}
        super().__init__(folder, workers=2, gateways=2, **{**SETTINGS, **replicas, **settings})
        self.services = [*self.nats_servers, self.database]
        self.proxies = Toxiproxy(self.folder, self.ports)
        self.clocks_missing = why_not_faked(self.workers[0].argv[0])
        self.has_fault_points = b"crash_on_event" in pathlib.Path(self.workers[0].argv[0]).read_bytes()
        self.clocks = {}
        self._connect_parts()
        self.processes = {p.name: p for p in self.services + self.workers + self.gateways}

    # how it is put together

    def _nats(self):
        """Called by Stack.__init__: the first of the servers, for what needs just one."""
        count = 3 if self.cluster else 1
        self.nats_ports = [self.nats_port] + [self.ports.take() for _ in range(count - 1)]
        self.monitor_ports = [self.ports.take() for _ in range(count)]
        self.route_ports = [self.ports.take() for _ in range(count)] if self.cluster else []
        self.route_links = {pair: self.ports.take() for pair in itertools.permutations(range(count), 2)}
        self.stores = [self._store(n) for n in range(count)]
        self.nats_servers = [
            self._nats_server(f"nats{n}", self._server_conf(n)) for n in range(count)
        ]
        self.settings["nats_url"] = ",".join(f"nats://127.0.0.1:{port}" for port in self.nats_ports)
        return self.nats_servers[0]

    def _store(self, number):
        """The folder of a server's streams, on a tmpfs of its own where that is possible."""
        folder = self.folder / f"jetstream{number}"
        folder.mkdir()
        if self._tmpfs_wanted is False:
            return folder
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STORE_BYTES}", "yizhan-faults", folder],
                              capture_output=True, text=True)  # fmt: skip
        if done.returncode == 0:
            self._mounts.append(folder)
            caretaker.note_mount(folder)
        elif self._tmpfs_wanted:
            raise RuntimeError(f"no tmpfs for NATS: {done.stderr}")
        return folder

    @property
    def store_can_fill(self):
        return bool(self._mounts)

    def _server_conf(self, number):
        """The limit is above what the disk holds: what a full disk does is to be seen."""
        path = self.folder / f"nats{number}.conf"
        text = (
            f'server_name: "n{number}"\nlisten: "127.0.0.1:{self.nats_ports[number]}"\n'
            f'http: "127.0.0.1:{self.monitor_ports[number]}"\n'
            f'jetstream {{ store_dir: "{self.stores[number]}", sync_interval: always, max_file_store: 64GB }}\n'
        )
        path.write_text(text + (self._cluster_conf(number) if self.cluster else ""))
        return path

    def _cluster_conf(self, number):
        """Routes go through the proxies only: what gossip tells of this server leads nowhere, and clients are told
        nothing."""
        routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for (a, _), port in self.route_links.items()
                           if a == number)  # fmt: skip
        return (
            f'cluster {{ name: "faults", listen: "127.0.0.1:{self.route_ports[number]}", no_advertise: true\n'
            f'  advertise: "127.0.0.1:1"\n  routes: [{routes}] }}\n'
        )

    def _connect_parts(self):
        for (a, b), port in self.route_links.items():
            self.proxies.link(f"nats{a}-nats{b}", port, self.route_ports[b])
        for gateway in self.gateways:
            self.proxies.link(f"phones-{gateway.name}", self.ports.take(), gateway.port)
        for process in self.gateways + self.workers:
            self._connect_to_nats(process)
            if not self.clocks_missing:
                self.clocks[process.name] = Clock(self.folder / f"clock-{process.name}")
                process.env.update(self.clocks[process.name].env())
                process.clear_after = clear_after
        for worker in self.workers:
            link = self.proxies.link(f"{worker.name}-database", self.ports.take(), self.database_port)
            # Told of the set's name, a driver would go on to the host that the set names: past the proxy.
            worker.settings["mongodb_uri"] = self.database_users.uri("worker", link.listen, directConnection="true")

    def _connect_to_nats(self, process):
        """Each starts its list with another server."""
        ports = [self.proxies.link(f"{process.name}-nats{n}", self.ports.take(), port).listen
                 for n, port in enumerate(self.nats_ports)]  # fmt: skip
        first = self.rng.randrange(len(ports))
        process.settings["nats_url"] = ",".join(f"nats://127.0.0.1:{p}" for p in ports[first:] + ports[:first])

    # life

    def start(self):
        self.proxies.start()
        return super().start()

    def apply(self, **settings):
        """A new cluster takes a while until it places a stream."""
        return self.by_hand(lambda: super(World, self).apply(**settings))

    def stop(self):
        for nurse in list(self.nurses):
            nurse.over.set()
            nurse.join()
        super().stop()
        self.proxies.stop()
        for folder in self._mounts:
            subprocess.run(["umount", "-l", folder], check=True)
            caretaker.forget_mount(folder)
        self._mounts = []

    def wait_nats(self):
        until(self.bus_answers, CALM_S, every=0.1, what="JetStream answers")

    def bus_answers(self):
        """Each server is healthy, and in a cluster the leader of JetStream knows that the others are there."""
        try:
            return all(self._monitor(n, "healthz").get("status") == "ok" for n in range(len(self.nats_servers))) and (
                not self.cluster or any(self._knows_all(n) for n in range(len(self.nats_servers)))
            )
        except OSError:
            return False

    def _monitor(self, number, page):
        """A page of a server's monitoring port, as a dict."""
        return self.http("GET", f"/{page}", port=self.monitor_ports[number])[2]

    def _knows_all(self, number):
        meta = self._monitor(number, "jsz").get("meta_cluster", {})
        others = meta.get("replicas") or []
        return (meta.get("leader") == f"n{number}" and len(others) == len(self.nats_servers) - 1
                and all(peer.get("current") and not peer.get("offline") for peer in others))  # fmt: skip

    def restart(self, name, **env):
        """Bring a process back that is gone; does not wait until it is ready, since another fault may be in its way."""
        process = self.processes[name]
        ours = self._env(**process.settings) if process in self.gateways + self.workers else {}
        with self._starting:
            if process in self.workers and self.fault_points:
                ours["YZ_FAULT"] = ",".join(sorted(self.fault_points))
            if not process.running:
                process.start(**ours, **env)

    def by_hand(self, call):
        """The result of a call that needs JetStream, made again until it answers: a cluster may still be choosing leaders
        when the fault before this one is over."""
        result = []

        def done():
            try:
                result[:] = [call()]
                return True
            except AssertionError:
                return False
            except Exception as error:
                if not of_nats(error):
                    raise
                return False

        until(done, BY_HAND_S, every=0.2, what="JetStream answers")
        return result[0]

    def way_to_nats(self):
        """All that stands between the world's own eyes and a stream: for kinds that must reach it."""
        return {server.name for server in self.nats_servers} | {f"nats{a}-nats{b}" for a, b in self.route_links}

    def link(self, name):
        return self.proxies.links[name]

    def url(self, gateway=0):
        """Where phones connect: through the proxy."""
        return f"ws://127.0.0.1:{self.link(f'phones-gateway{gateway}').listen}/v1/ws"

    # all is well

    def wait_calm(self, timeout=CALM_S):
        """Every process runs and is ready, no link is disturbed, replicas are level, each partition has its owner, and
        nothing is left to settle."""
        trouble = []

        def calm():
            trouble[:] = self.troubles()
            return not trouble

        try:
            until(calm, timeout, every=0.2)
        except AssertionError:
            raise AssertionError(f"not calm within {timeout} s: {'; '.join(trouble)}") from None

    def troubles(self):
        """What is not well, as texts; empty when all is."""
        if self.nurses:
            return ["an event that kills workers is not set aside yet"]
        dead = [f"{p.name} is not running" for p in self.processes.values() if not p.running]
        if dead:
            return dead
        unready = [f"{p.name} is not ready: {text}" for p in self.gateways + self.workers
                   for status, text in [self.admin(p, "/readyz")] if status != 200]  # fmt: skip
        if unready:
            return unready
        links = [] if self.proxies.clean() else ["a link is disturbed"]
        owned = sum(self.metric(worker, "yizhan_worker_partitions") for worker in self.workers)
        if owned != PARTITIONS:
            links.append(f"{owned:.0f} of {PARTITIONS} partitions have an owner")
        try:
            return links + ([] if self.bus_answers() else ["NATS is not healthy"]) + self._stream_troubles()
        except AssertionError as error:
            return links + [str(error)]
        except Exception as error:
            if not of_nats(error):
                raise
            return links + [f"NATS does not answer: {error!r}"]

    def _stream_troubles(self):
        due = snapshot.due_rows(self)  # before EVENTS: a row that is taken meanwhile is an event by then
        infos = {name: self.bus.stream(name) for name in STREAMS + BUCKETS}
        left = infos["EVENTS"]["state"]["messages"]
        troubles = [f"{left} events are not settled"] if left else []
        return _behind(infos) + troubles + ([f"{due} rows of the outbox are due"] if due else [])

    def replicas_behind(self):
        """Replicas of streams that are not level with their leader, as texts."""
        try:
            return _behind({name: self.bus.stream(name) for name in STREAMS + BUCKETS})
        except Exception as error:
            if not of_nats(error):
                raise
            return [f"NATS does not answer: {error!r}"]

    def lag(self):
        """Events that are stored and not settled; None when NATS cannot say."""
        with contextlib.suppress(Exception):
            return self.bus.stream("EVENTS")["state"]["messages"]
        return None

    def settled_upto(self):
        """First sequence of EVENTS that is not settled; None when NATS cannot say."""
        with contextlib.suppress(Exception):
            return self.bus.stream("EVENTS")["state"]["first_seq"]
        return None

    def has_quorum(self, stream):
        """Its leader leads somebody."""
        cluster = self.bus.stream(stream).get("cluster", {})
        level = [peer for peer in cluster.get("replicas") or [] if peer.get("current") and not peer.get("offline")]
        return not self.cluster or bool(cluster.get("leader") and level)

    def leader(self, stream):
        """Name of the process that leads the stream, None while there is none."""
        name = self.by_hand(lambda: self.bus.stream(stream)).get("cluster", {}).get("leader")
        return f"nats{name[1:]}" if name else None
