"""What only a real MongoDB can show: the relay's run on a replica set of three while its primary steps down, is killed,
freezes and comes back stale, and while the majority is away. scripts/prove-mongodb runs it."""

import contextlib
import os
import pathlib
import secrets
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import pymongo  # noqa: E402
import pymongo.errors  # noqa: E402
from documents import ROOT  # noqa: E402
from relay_load import SETTINGS, Run  # noqa: E402
from stack import Process, Stack, program  # noqa: E402
from waiting import until  # noqa: E402

MEMBERS = 3
ELECTION_S = 60
PATIENCE_S = 600


class SetStack(Stack):
    """A stack whose database is a set of three mongods with authentication."""

    def __init__(self, folder=None, **settings):
        self.database_ports = []
        super().__init__(folder, **settings)
        self.database_ports = [self.database_port] + [self.ports.take() for _ in range(MEMBERS - 1)]
        self.members = [Process(f"database{n}", self._member_argv(n), self.folder) for n in range(MEMBERS)]
        self.services = [self.nats, *self.members]
        self.database = self.members[0]

    def _database_argv(self):
        """Of the one database that Stack would have; never started."""
        return [program("YZ_MONGOD", "mongod")]

    def _member_argv(self, number):
        key = self.folder / "keys" / "replica-set.key"
        if not key.exists():
            key.write_text(secrets.token_hex(64))
            key.chmod(0o600)
        data = self.folder / f"documents{number}"
        data.mkdir()
        return [program("YZ_MONGOD", "mongod"), "--port", self.database_ports[number], "--dbpath", data,
                "--bind_ip", "127.0.0.1", "--replSet", "rs0", "--auth", "--keyFile", key]  # fmt: skip

    def _find_database(self):
        """Makes the set; its users are made on whichever member became the primary."""
        members = [{"_id": n, "host": f"127.0.0.1:{port}"} for n, port in enumerate(self.database_ports)]
        with self.alone(0) as client:
            until(lambda: _answers(client), ELECTION_S, what="mongod answers")
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": members,
                                                     "settings": {"electionTimeoutMillis": 2000}})  # fmt: skip
        users = self.database_users
        users.port = self.database_ports[until(self.primary, ELECTION_S, what="a primary") - 1]
        users.make(self.settings["mongodb_database"])
        users.set_name = "rs0"
        users.port = ",127.0.0.1:".join(map(str, self.database_ports))
        self.settings["mongodb_uri"] = users.uri("operator")
        for worker in self.workers:
            worker.settings["mongodb_uri"] = users.uri("worker")

    def alone(self, number):
        """A client of this member only, without a user: hello needs none."""
        return pymongo.MongoClient("127.0.0.1", self.database_ports[number], directConnection=True,
                                   serverSelectionTimeoutMS=500, socketTimeoutMS=1000)  # fmt: skip

    def primary(self):
        """1 + the number of the member that takes writes now; None: there is none."""
        for number in range(MEMBERS):
            with contextlib.suppress(pymongo.errors.PyMongoError), self.alone(number) as client:
                if self.members[number].running and client.admin.command("hello").get("isWritablePrimary"):
                    return number + 1
        return None

    def wait_primary(self, besides=None):
        return until(lambda: self.primary() not in (None, besides) and self.primary(), ELECTION_S, every=0.2,
                     what="a primary")  # fmt: skip


def _answers(client):
    with contextlib.suppress(pymongo.errors.PyMongoError):
        return client.admin.command("hello")
    return None


class Proof(Run):
    """The relay's run; other things go wrong meanwhile."""

    def trouble(self):
        for share, what in enumerate((self.step_down, self.kill_primary, self.freeze_primary, self.lose_majority), 1):
            until(lambda s=share: self.tally.accepted >= self.emits * 0.18 * s, PATIENCE_S, what="progress")
            what()
            print(f"done: {what.__name__}", flush=True)

    def step_down(self):
        before = self.stack.wait_primary()
        with contextlib.suppress(pymongo.errors.AutoReconnect):
            self.stack.mongo.admin.command("replSetStepDown", 20)
        self.stack.wait_primary(besides=before)

    def kill_primary(self):
        before = self.stack.wait_primary()
        self.stack.members[before - 1].kill()
        self.kills += 1
        self.stack.wait_primary(besides=before)
        self.stack.members[before - 1].start()

    def freeze_primary(self):
        """It wakes as a primary that was voted out: what it had not replicated is rolled back."""
        before = self.stack.wait_primary()
        self.stack.members[before - 1].stop_still()
        try:
            self.stack.wait_primary(besides=before)
        finally:
            self.stack.members[before - 1].go_on()

    def lose_majority(self):
        """No event may be settled meanwhile, and none is lost."""
        before = self.stack.wait_primary()
        others = [m for n, m in enumerate(self.stack.members, 1) if n != before]
        for member in others:
            member.kill()
        self.kills += len(others)
        until(lambda: self.stack.primary() is None, ELECTION_S, what="the primary steps down by itself")
        for member in others:
            member.start()
        self.stack.wait_primary()


def main(folder=None):
    with contextlib.ExitStack() as ending:
        stack = SetStack(folder, **SETTINGS)
        ending.callback(stack.stop)
        stack.start()
        run = Proof(stack, float(os.environ.get("YZ_LOAD_SCALE", "0.3")))
        try:
            run.go()
            run.check()
            version = stack.mongo.server_info()["version"]
            assert stack.mongo.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"][0]["user"] == ROOT
            print(f"proven on MongoDB {version}")
        finally:
            if hasattr(run, "over"):
                run.over.set()
            print(run.report())


if __name__ == "__main__":
    main()
