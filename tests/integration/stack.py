"""The real thing on free ports: nats-server, database, streams and indexes, workers, gateways.

Everything lives in one temporary folder with keys of its own, and only processes started here are ended here.
    YZ_NATS_SERVER      program nats-server, else the one on PATH
    YZ_DATABASE_SERVER  program secantusd-rs, secantusdb or mongod, else mongod on PATH
    YZ_BUILD_DIR        where yz-gateway, yz-worker and yzctl were built
"""

import contextlib
import fcntl
import functools
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

import pymongo
import pymongo.errors

import caretaker
import sanitizers
import wire
from bus import Bus
from documents import ROOT, DatabaseUsers
from people import Keys, Person, new_id
from phone import Phone
from rights import TESTER, Rights
from rule_packs import wide_rules
from waiting import until

START_S = 60
TAIL_LINES = 40


class Ports:
    """Ports below the ephemeral range, held by file locks against stacks that start at the same time."""

    def __init__(self):
        self._held = []
        # Not TMPDIR: whoever has another one takes from the same ports.
        self._folder = pathlib.Path("/tmp") / f"yizhan-ports-{os.getuid()}"
        self._folder.mkdir(exist_ok=True)

    def take(self, count=1):
        """The first of `count` free ports in a row."""
        while True:
            first = random.randrange(12000, 32000)
            locks = [self._lock(first + n) for n in range(count)]
            if all(locks) and all(_port_free(first + n) for n in range(count)):
                self._held += locks
                return first
            for lock in filter(None, locks):
                lock.close()

    def _lock(self, port):
        lock = open(self._folder / str(port), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            lock.close()
            return None

    def release(self):
        for lock in self._held:
            lock.close()


def _port_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process:
    """One program of the stack, its log file, and its pid: nothing else is ever signalled."""

    def __init__(self, name, argv, folder, env=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.env = env or {}
        self.settings = {}  # its own, over those of its stack
        self.count = 1  # of processes on its port, each with its own admin port in a row
        self.log = pathlib.Path(folder) / f"{name}.log"
        self.popen = None
        self.clear_after = None  # called with the pid of one that ended: what it could not take away itself

    def start(self, **env):
        if self.popen is not None:
            self.wait()  # the one before it, which may have ended by itself
        clean = {k: v for k, v in os.environ.items() if not k.startswith("YZ_")}
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**clean, **sanitizers.environment(self.log.parent), **self.env, **env},
            )  # fmt: skip
        caretaker.note_process(self.popen.pid)
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def terminate(self, timeout=30):
        """SIGTERM; its exit code."""
        if self.running:
            self.popen.terminate()
        return self.wait(timeout)

    def kill(self):
        if self.running:
            self.popen.kill()
        if self.popen is not None:
            self.wait(60)  # a broker that was writing ends when its disk has answered

    def wait(self, timeout=30):
        code = self.popen.wait(timeout)
        if self.clear_after:
            self.clear_after(self.pid)
        return code

    def stop_still(self):
        """SIGSTOP: there, but silent."""
        self.popen.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.popen.send_signal(signal.SIGCONT)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self):
        """The last lines, without the 64 lines that say the same of each partition."""
        lines = [line for line in self.text().splitlines() if " event=lease_" not in line]
        return "\n".join(lines[-TAIL_LINES:])

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has no memory figure")

    def check_memory(self, before, more_bytes):
        """Resident memory is at most more_bytes above before; a sanitizer keeps freed memory, so it is no judge."""
        program_bytes = pathlib.Path(self.argv[0]).read_bytes()
        if b"__asan_init" in program_bytes or b"__tsan_init" in program_bytes:
            return
        grown = self.rss_bytes() - before
        assert grown < more_bytes, f"{self.name} grew by {grown >> 10} KB"

    def cpu_s(self):
        """User and system time so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def program(variable, *names):
    """A service's program: named by the variable, else on PATH."""
    named = os.environ.get(variable)
    found = named or next(filter(None, map(shutil.which, names)), None)
    if not found or not os.access(found, os.X_OK):
        raise RuntimeError(f"{variable} names no program ({found}); scripts/test sets it")
    return pathlib.Path(found)


def built(name):
    for folder in ("gateway", "workers", ""):
        path = wire.BUILD / folder / name
        if path.exists():
            return path
    raise RuntimeError(f"{name} is not in {wire.BUILD}; build first, or set YZ_BUILD_DIR")


# Short times, so that what takes minutes in production takes seconds here; still far from any race.
SETTINGS = {
    "log_level": "debug",
    "hello_timeout_ms": 10000,
    "reconnect_spread_ms": 500,
    "drain_ms": 500,
    "lease_ttl_ms": 1500,
    "value_interval_ms": 100,
    "audit_interval_ms": 2000,
    "threads": 2,
    "public_address_burst": 100000,
    "public_tenant_burst": 100000,
}


class Stack:
    start_s = START_S

    def __init__(self, folder=None, workers=1, gateways=1, **settings):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="yizhan-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = Ports()
        self.keys = Keys(self.folder / "keys")
        secret = self.folder / "keys" / "checkin-code.secret"
        secret.write_bytes(secrets.token_bytes(32))
        member_key = self.folder / "keys" / "member.key"
        member_key.write_bytes(secrets.token_bytes(32))
        self.rights = Rights(self.folder / "keys")
        for key in secret.parent.iterdir():
            key.chmod(0o600)
        self.nats_port = self.ports.take()
        self.nats_monitor_port = self.ports.take()
        self.database_port = self.ports.take()
        self.database_users = DatabaseUsers(self.database_port)
        self.settings = {
            **SETTINGS,
            "keys_dir": self.folder / "keys",
            "code_secret_file": secret,
            "member_key_file": member_key,
            "rules_dir": wide_rules(self.folder / "rules"),
            "nats_url": f"nats://127.0.0.1:{self.nats_port}",
            "mongodb_database": "yizhan_test",
            **settings,
        }
        self.nats = self._nats()
        self.database = Process("database", self._database_argv(), self.folder)
        self.services = [self.nats, self.database]
        self.workers = [self._worker(n) for n in range(workers)]
        self.gateways = [self._gateway(n) for n in range(gateways)]
        self.phones = []
        self.denials_expected = False  # a test that oversteps on purpose says so

    def start(self):
        try:
            for service in self.services:
                service.start()
            self.wait_nats()
            self._find_database()
            self.apply()
            for process in self.workers + self.gateways:
                process.start(**self._env(**process.settings))
            for process in self.workers + self.gateways:
                self.wait_ready(process)
        except BaseException as failure:
            for line in self.logs():
                print(*line, sep="\n")
            self.stop()
            raise failure
        return self

    def stop(self):
        for phone in self.phones:
            phone.close()
        if sanitizers.built_in():
            self._end_well()
        for process in self.gateways + self.workers:
            process.kill()
        if "bus" in self.__dict__:
            self.bus.close()
        if "mongo" in self.__dict__:
            self.mongo.close()
        for service in self.services:
            service.kill()
        self.ports.release()

    def _end_well(self):
        """Leaks are told at an end in order."""
        for process in self.gateways + self.workers:
            if process.running:
                process.popen.send_signal(signal.SIGCONT)  # a test may have left it silent
                process.popen.terminate()
        for process in self.gateways + self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if process.popen is not None:
                    process.wait()

    def end(self):
        """Stop it, and look whether all is as it must be of every stack, whatever its test was about."""
        self.stop()
        self.check()

    def check(self):
        """Of a stack that was stopped."""
        sanitizers.check(self.folder)
        self.check_denials()
        self.check_secrets()

    def check_denials(self):
        """What our programs do lies within the rights that nats-users.conf gives them."""
        servers = [p for p in self.services if p.name.startswith("nats")]
        denied = [line for p in servers for line in p.text().splitlines() if "Permissions Violation" in line]
        assert not denied or self.denials_expected, "\n".join(denied[:10])

    def secrets(self):
        """What no log may hold: the passwords of bus and database, the secret of the check-in codes, the members' key."""
        files = [pathlib.Path(self.settings[name]).read_bytes() for name in ("code_secret_file", "member_key_file")]
        return [*self.rights.passwords.values(), *self.database_users.passwords.values(), *(f.hex() for f in files)]

    def check_secrets(self):
        """No log holds a token or a part of one, a secret, or (in our own programs') a text that is not ours: those of
        the tests are Chinese where that makes no difference to them."""
        for process in self.gateways + self.workers + self.services:
            text = process.text()
            words = set(re.findall(r"[A-Za-z0-9_-]{24,}", text))
            assert not {word for word in words if word.startswith("eyJ")}, f"{process.name} logs a token"
            assert not words & self.keys.signatures, f"{process.name} logs a signature"
            assert not [secret for secret in self.secrets() if secret in text], f"{process.name} logs a secret"
            if process not in self.services:
                assert text.isascii(), f"{process.name} logs a text: {next(w for w in text.split() if not w.isascii())}"

    def logs(self):
        """(name, last lines) of each process, the first to look at first."""
        everything = self.gateways + self.workers + self.services
        return [(f"{p.name}{'' if p.running else ' (not running)'}", p.tail()) for p in everything]

    # the two services

    def _nats(self):
        return self._nats_server("nats", self._nats_conf())

    def _nats_server(self, name, conf):
        """With the users that are shipped; conf is a file in the stack's folder."""
        with open(conf, "a") as file:
            file.write(f"include {self.rights.write(self.folder)}\n")
        return Process(name, [program("YZ_NATS_SERVER", "nats-server"), "-c", conf], self.folder, self.rights.environment())

    def _nats_conf(self):
        path = self.folder / "nats.conf"
        path.write_text(
            f'listen: "127.0.0.1:{self.nats_port}"\n'
            f'http: "127.0.0.1:{self.nats_monitor_port}"\n'
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}", sync_interval: always }}\n'
        )
        return path

    def _database_argv(self):
        server = program("YZ_DATABASE_SERVER", "mongod")
        data = self.folder / "documents"
        data.mkdir()
        port = str(self.database_port)
        if server.name.startswith("mongod"):
            key = self.folder / "keys" / "replica-set.key"
            key.write_text(secrets.token_hex(32))
            key.chmod(0o600)
            return [server, "--port", port, "--dbpath", data, "--replSet", "rs0",
                    "--bind_ip", "127.0.0.1", "--auth", "--keyFile", key]  # fmt: skip
        return [server, "--port", port, "--storage-path", data, "--sync-on-commit", "--auth"]

    def wait_nats(self):
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.nats_port)) == 0

        until(listens, START_S, what="nats-server listens")

    def _find_database(self):
        """Wait for a primary, and make one of a fresh mongod; then the replica set's name is known."""
        uri = f"mongodb://127.0.0.1:{self.database_port}/"
        client = pymongo.MongoClient(uri, directConnection=True, serverSelectionTimeoutMS=500)

        def primary():
            try:
                hello = client.admin.command("hello")
                if not hello.get("setName") and not hello.get("isWritablePrimary"):
                    client.admin.command("replSetInitiate", _replica_set(self.database_port))
                return hello.get("isWritablePrimary") and hello
            except pymongo.errors.PyMongoError:
                return None

        hello = until(primary, START_S, what="the database has a primary")
        client.close()
        users = self.database_users
        users.set_name = hello.get("setName")
        users.make(self.settings["mongodb_database"])
        self.settings["mongodb_uri"] = users.uri("operator")
        for worker in self.workers:
            worker.settings.setdefault("mongodb_uri", users.uri("worker"))

    # our own processes

    def _env(self, **changes):
        return {f"YZ_{k.upper()}": str(v) for k, v in {**self.settings, **changes}.items()}

    def _worker(self, number):
        port = self.ports.take()
        worker = Process(f"worker{number}", [built("yz-worker"), "--admin-port", port], self.folder)
        worker.settings.update(self.rights.of("worker"))
        worker.admin_port = port
        return worker

    def _gateway(self, number):
        count = int(self.settings.get("processes", 1))
        client, admin = self.ports.take(), self.ports.take(count)
        argv = [built("yz-gateway"), "--listen-port", client, "--admin-port", admin]
        gateway = Process(f"gateway{number}", argv, self.folder)
        gateway.settings.update(self.rights.of("gateway"))
        gateway.port, gateway.admin_port, gateway.count = client, admin, count
        return gateway

    def start_worker(self, worker, ready=True, fault=None, **settings):
        extra = {"YZ_FAULT": fault} if fault else {}
        worker.start(**self._env(**{**worker.settings, **settings}), **extra)
        if ready:
            self.wait_ready(worker)

    def start_gateway(self, gateway, ready=True, **settings):
        gateway.start(**self._env(**{**gateway.settings, **settings}))
        if ready:
            self.wait_ready(gateway)

    def wait_ready(self, process):
        def ready():
            assert process.running, f"{process.name} ended at start:\n{process.tail()}"
            return all(self.admin(process, "/readyz", n)[0] == 200 for n in range(process.count))

        until(ready, self.start_s, what=f"{process.name} is ready")

    def admin(self, process, path, number=0):
        """(status, text) of the admin port, or of that of its process of this number; status 0 when nothing listens."""
        try:
            return self.http("GET", path, port=process.admin_port + number)[::2]
        except OSError:
            return 0, ""

    def metric(self, process, name, number=0, **labels):
        """Sum of a metric's samples (those with these labels), of the process of this number."""
        total = None
        for line in self.admin(process, "/metrics", number)[1].splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name and all(f'{k}="{v}"' in head for k, v in labels.items()):
                total = (total or 0) + float(value)
        assert total is not None, f"{process.name} has no metric {name}"
        return total

    def bus_connections(self, name):
        """What nats-server says of the connections of this name: each the list of its subscriptions' subjects."""
        status, _, text = self.http("GET", "/connz?subs=1&limit=1000", port=self.nats_monitor_port)
        assert status == 200, text
        connections = text["connections"] if isinstance(text, dict) else json.loads(text)["connections"]
        return [c.get("subscriptions_list", []) for c in connections if c.get("name") == name]

    def ctl(self, *words, code=0, errors=False, timeout=120, **settings):
        """Run yzctl; its standard output (errors: its standard error instead). code None: whatever it says of itself."""
        done = subprocess.run(
            [str(built("yzctl")), *map(str, words)], capture_output=True, text=True, timeout=timeout,
            env={**os.environ, **sanitizers.environment(self.folder),
                 **self._env(**{**self.rights.of("operator"), **settings})},
        )  # fmt: skip
        assert code is None or done.returncode == code, f"yzctl {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert not [secret for secret in self.secrets() if secret in done.stdout + done.stderr], f"yzctl {words} tells a secret"
        return done.stderr if errors else done.stdout

    def apply(self, **settings):
        return self.ctl("apply", **settings)

    # clients

    @functools.cached_property
    def bus(self):
        return Bus(self.settings["nats_url"], TESTER, self.rights.passwords[TESTER])

    @functools.cached_property
    def mongo(self):
        return pymongo.MongoClient(self.database_users.uri(ROOT), serverSelectionTimeoutMS=10000)

    @property
    def documents(self):
        return self.mongo[self.settings["mongodb_database"]]

    def url(self, gateway=0):
        return f"ws://127.0.0.1:{self.gateways[gateway].port}/v1/ws"

    def connect(self, encoding="json", gateway=0, **options):
        """A phone that has not said hello."""
        phone = Phone(self.url(gateway), encoding, **options)
        self.phones.append(phone)
        return phone

    def phone(self, person, encoding="json", subscribe=(), gateway=0, **options):
        """A phone of this person, with its hello said."""
        phone = self.connect(encoding, gateway, **options)
        phone.hello(self.keys.token(person), subscribe)
        return phone

    def http(self, method, path, body=None, token=None, port=None, headers=None):
        """(status, headers, body): JSON as dict or list, else text."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.gateways[0].port}{path}", data=data, method=method
        )
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        if data is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            answer = opener.open(request, timeout=15)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
            if text and "json" in (answer.headers.get("Content-Type") or ""):
                return answer.status, answer.headers, json.loads(text)
            return answer.status, answer.headers, text


def _replica_set(port):
    return {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}


class Town:
    """One tenant with people in it; each test has its own, so that tests cannot see each other."""

    def __init__(self, stack, name=None):
        self.stack = stack
        self.name = name or new_id("t")[:12]
        self.branch = "g1/c1/b1"
        self.secretary = self.person("sec", roles=("member", "secretary@g1/c1/b1"))

    def person(self, member, path="g1/c1/b1", roles=("member",)):
        return Person(self.name, member, path, tuple(roles))

    def members(self, count):
        return [self.person(f"m{n}") for n in range(1, count + 1)]

    def phone(self, person, **options):
        return self.stack.phone(person, **options)

    def find(self, collection, **filter):
        """Documents of this tenant."""
        rows = self.stack.documents[collection].find({"tenant": self.name, **filter})
        return list(rows)
