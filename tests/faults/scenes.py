"""How each fault of the runbook is brought about so that it shows: kinds of faults on a chosen target with chosen draws,
and troubles made by hand that are no kind. A scene begins and ends; what it leaves is cleared away by its end.
"""

import contextlib
import datetime
import pathlib
import random
import re
import signal

import nats.errors

from certificates import Authority
from kinds import KINDS

SCENES = {}
PAST_S = 120
BUS_ERRORS = (nats.errors.Error,)


class Draws(random.Random):
    """Says what was wanted, then goes on by chance."""

    def __init__(self, *ranges):
        super().__init__(7)
        self.ranges = list(ranges)

    def randrange(self, *bounds):
        return self.ranges.pop(0) if self.ranges else super().randrange(*bounds)

    def random(self):
        return 0.9

    def choice(self, things):
        return "up" if "up" in things else things[-1]


class OfKind:
    """A kind of fault, and what else must be wrong for it to show."""

    def __init__(self, name, target=None, draws=(), with_=None):
        self.name, self.target, self.draws, self.with_ = name, target, draws, with_
        self.kind = KINDS[name]
        self.quiet = False
        self.cluster = "cluster" in self.kind.needs

    def why_not(self, world):
        return self.kind.why_not(world)

    def begin(self, world):
        if self.with_:
            self.with_.begin(world)
        self.on = self.target or self.kind.targets(world)[0]
        self.kind.begin(world, self.on, Draws(*self.draws))

    def end(self, world):
        self.kind.end(world, self.on)
        if self.with_:
            self.with_.end(world)


class ByHand:
    cluster = False
    quiet = False  # without traffic
    settings = {}  # doctor's own, while it lasts

    def why_not(self, world):
        return None

    def begin(self, world):
        pass

    def end(self, world):
        pass


def by_hand(name):
    def keep(scene):
        SCENES[name] = scene()
        return scene

    return keep


WORKER_LINK, GATEWAY_LINK, DATABASE_LINK = "worker0-nats0", "gateway0-nats0", "worker0-database"
CHOSEN = {
    "reset": (WORKER_LINK,),
    "refuse": (WORKER_LINK,),
    "lose_one_way": (WORKER_LINK,),
    "hold_one_way": (WORKER_LINK,),
    "delay": (WORKER_LINK, (399, 50)),  # each way
    "slice": (WORKER_LINK, (2, 199)),
    "narrow": (WORKER_LINK, (8, 8)),  # kB/s; the partitions' leases alone are more
}
for name in KINDS:
    SCENES[name] = OfKind(name, *CHOSEN.get(name, ()))
SCENES["gateway_cut_off"] = OfKind("refuse", GATEWAY_LINK)
SCENES["gateway_half_open"] = OfKind("lose_one_way", GATEWAY_LINK)
SCENES["database_delayed"] = OfKind("delay", DATABASE_LINK, (399, 50))
SCENES["files_exhausted"] = OfKind("files_exhausted", "gateway0")
# Workers that settle leave nothing in EVENTS: it fills up when they cannot.
SCENES["events_full"] = OfKind("events_full", with_=OfKind("database_away"))


@by_hand("single_copies")
class SingleCopies(ByHand):
    cluster = True

    def begin(self, world):
        world.bus.update_stream("DEADLETTERS", num_replicas=1)

    def end(self, world):
        world.apply()


@by_hand("event_overdue")
class EventOverdue(ByHand):
    """A row of a partition that there is not: nobody takes it."""

    ROW = "_|overdue"

    def begin(self, world):
        due = {"_id": self.ROW, "tenant": "_", "state": "due", "partition": 99, "due_at": past(), "evt_seq": 1}
        world.documents["outbox"].insert_one(due)

    def end(self, world):
        world.documents["outbox"].delete_one({"_id": self.ROW})


def past():
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=PAST_S)


@by_hand("events_restored")
class EventsRestored(ByHand):
    """As after a restore: EVENTS ends below what was reached."""

    REACHED = {"_id": "_|EVENTS.reached"}
    quiet = True

    def begin(self, world):
        self.mark = world.bus.stream("EVENTS")["state"]["last_seq"] + 20
        world.documents["generations"].update_one(self.REACHED, {"$set": {"reached": self.mark}})

    def end(self, world):
        """As `yzctl epoch raise`: it counts on above the mark."""
        world.bus.purge("EVENTS", seq=self.mark + 1)


@by_hand("generation_unknown")
class GenerationUnknown(ByHand):
    GENERATION = {"_id": "_|EVENTS"}

    def begin(self, world):
        world.documents["generations"].update_one(self.GENERATION, {"$inc": {"generation": 1}})

    def end(self, world):
        world.documents["generations"].update_one(self.GENERATION, {"$inc": {"generation": -1}})


@by_hand("epoch_removed")
class EpochRemoved(ByHand):
    def begin(self, world):
        world.bus.update_stream("STATE", metadata={})

    def end(self, world):
        world.apply()


@by_hand("stream_changed")
class StreamChanged(ByHand):
    def begin(self, world):
        world.bus.update_stream("CHANNELS", max_msgs_per_subject=10)

    def end(self, world):
        world.apply()


@by_hand("subject_denied")
class SubjectDenied(ByHand):
    """A gateway's user may not ask for STATE any more."""

    WORDS = '"$JS.API.STREAM.INFO.STATE"'

    def begin(self, world):
        self.file = pathlib.Path(world.folder) / "nats-users.conf"
        self.before = self.file.read_text()
        assert self.before.count(self.WORDS) == 1
        self._reload(world, self.before.replace(self.WORDS, ""))

    def end(self, world):
        """Who was denied something does not ask again: it is restarted."""
        self._reload(world, self.before)
        for gateway in world.gateways:
            gateway.terminate()
            world.restart(gateway.name)

    def _reload(self, world, text):
        self.file.write_text(text)
        for server in world.nats_servers:
            server.popen.send_signal(signal.SIGHUP)


@by_hand("consumer_paused")
class ConsumerPaused(ByHand):
    """Those of all partitions, so that there is one with an event."""

    def begin(self, world):
        self._pause(world, {"pause_until": "2099-01-01T00:00:00Z"})

    def end(self, world):
        self._pause(world, {})

    def _pause(self, world, until):
        for name in world.bus.api("CONSUMER.NAMES.EVENTS")["consumers"]:
            world.bus.api(f"CONSUMER.PAUSE.EVENTS.{name}", until)


@by_hand("consumers_gone")
class ConsumersGone(ByHand):
    def begin(self, world):
        for worker in world.workers:
            worker.kill()
        for name in world.bus.api("CONSUMER.NAMES.EVENTS")["consumers"]:
            world.bus.api(f"CONSUMER.DELETE.EVENTS.{name}")

    def end(self, world):
        for worker in world.workers:
            world.restart(worker.name)


@by_hand("certificate_short")
class CertificateShort(ByHand):
    """A gateway with a certificate of three days."""

    def begin(self, world):
        folder = pathlib.Path(world.folder)
        certificate, key, _ = Authority(folder / "authority").pair(days=3)
        (folder / "short.crt").write_bytes(certificate)
        (folder / "short.key").write_bytes(key)
        (folder / "short.key").chmod(0o600)
        self._restart(world, YZ_TLS_CERT_FILE=str(folder / "short.crt"), YZ_TLS_KEY_FILE=str(folder / "short.key"))

    def end(self, world):
        self._restart(world)

    def _restart(self, world, **env):
        world.gateways[1].terminate()
        world.restart(world.gateways[1].name, **env)


@by_hand("wrong_nats_user")
class WrongNatsUser(ByHand):
    settings = {"nats_user": "nobody"}


@by_hand("wrong_replica_set")
class WrongReplicaSet(ByHand):
    def begin(self, world):
        uri = re.sub(r"\?.*", "", world.settings["mongodb_uri"])
        self.settings = {"mongodb_uri": f"{uri}?replicaSet=another"}

    def end(self, world):
        self.settings = {}


@by_hand("no_keys")
class NoKeys(ByHand):
    def begin(self, world):
        empty = pathlib.Path(world.folder) / "nothing"
        self.settings = {"keys_dir": empty / "keys", "code_secret_file": empty / "secret"}

    def end(self, world):
        self.settings = {}


def clear(world):
    """What a fault rightly leaves behind is what an operator clears away: dead letters. Not while JetStream is away."""
    with contextlib.suppress(AssertionError, TimeoutError, *BUS_ERRORS):
        world.bus.purge("DEADLETTERS")
