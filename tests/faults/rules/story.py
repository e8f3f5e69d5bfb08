"""The ledger and the snapshot of one run, indexed for the rules: who sent what, was answered what and saw what."""

import collections
import dataclasses
import functools
import hashlib

import wire


RECOVERY_S = 10


@dataclasses.dataclass
class Violation:
    """A promise that was broken: which rule, what was expected and seen, and where to look."""

    rule: str
    text: str
    refs: list  # of ledger lines ("line 12"), ids and sequences

    def __str__(self):
        return f"({self.rule}) {self.text}" + (f"  [{', '.join(map(str, self.refs[:8]))}]" if self.refs else "")


@dataclasses.dataclass
class Emit:
    """One copy of an event as it was sent, and how it was answered."""

    line: int
    t: float
    tenant: str
    member: str
    path: str
    event: str
    type: str
    payload: dict
    hash: str  # of type and payload, as the outcome document holds it; None: no message of ours
    sequence: int = 0  # once accepted
    duplicate: bool = False
    answered: int = 0  # line of the answer
    answered_t: float = 0.0
    error: str = ""
    temporary: bool = False

    @property
    def key(self):
        return self.tenant, self.member, self.event

    @property
    def maybe_stored(self):
        """Accepted, or nobody can say: no answer, or one that says that it may be tried again."""
        return bool(self.sequence) or not self.answered or self.temporary


def hash_of(type_, payload):
    """The first half of SHA-256 over type and encoded payload, each with its length before it."""
    try:
        body = wire.pack(wire.EVENTS[type_], payload)
    except Exception:  # noqa: BLE001  (whatever protobuf thinks of it: no gateway can have encoded it)
        return None
    return hash_bytes(type_, body)


def hash_bytes(type_, body):
    digest = hashlib.sha256()
    for part in (type_.encode(), body):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]


class Story:
    def __init__(self, lines, snapshot):
        self.lines, self.snapshot = lines, snapshot
        self.sessions = {}  # session: its open line
        self.closes = {}  # session: (number of its close line, line)
        self.emits = []
        self.by_key = collections.defaultdict(list)  # (tenant, member, event): emits
        self.faults, self.samples = [], []
        self.end = len(lines) + 1  # number of the end line
        self.sanitized = False  # the programs keep freed memory
        self._sent = {}
        for number, line in enumerate(lines, 1):
            getattr(self, f"_on_{line['kind']}", self._skip)(number, line)

    def _skip(self, number, line):
        pass

    def _on_run(self, number, line):
        self.sanitized = line.get("sanitized", False)

    def _on_open(self, number, line):
        self.sessions[line["session"]] = line

    def _on_close(self, number, line):
        self.closes.setdefault(line["session"], (number, line))

    def _on_end(self, number, line):
        self.end = number

    def _on_fault(self, number, line):
        self.faults.append((number, line))

    def _on_sample(self, number, line):
        self.samples.append((number, line))

    def _on_emit(self, number, line):
        open_ = self.sessions.get(line["session"], {})
        emit = Emit(number, line["t"], line.get("tenant") or open_["tenant"], line["member"],
                    line.get("path") or open_["path"], line["event"], line["type"], line["payload"],
                    hash_of(line["type"], line["payload"]))  # fmt: skip
        self.emits.append(emit)
        self.by_key[emit.key].append(emit)
        self._sent[line["session"], line["frame"]] = emit

    def _on_accepted(self, number, line):
        emit = self._sent[line["session"], line["frame"]]
        emit.answered, emit.answered_t = number, line["t"]
        emit.sequence, emit.duplicate = line["sequence"], bool(line["duplicate"])

    def _on_error(self, number, line):
        emit = self._sent.get((line["session"], line["frame"]))
        if emit:
            emit.answered, emit.answered_t = number, line["t"]
            emit.error, emit.temporary = line["code"], bool(line["temporary"])

    @functools.cached_property
    def outcomes(self):
        """(tenant, actor, event id): document."""
        return {(o["tenant"], o["actor"], o["event_id"]): o for o in self.snapshot["documents"].get("outcomes", [])}

    @functools.cached_property
    def poison(self):
        """sequence: what was injected under it."""
        found = {}
        for _, fault in self.faults:
            detail = fault.get("detail")
            for each in detail.get("poison", []) if isinstance(detail, dict) else []:
                found[each["sequence"]] = each
        return found

    @functools.cached_property
    def by_hand(self):
        """Sequences under which a fault stored an event of the run once more."""
        details = [fault.get("detail") for _, fault in self.faults]
        return {each["sequence"] for detail in details if isinstance(detail, dict) for each in detail.get("again", [])}

    @functools.cached_property
    def by_hand_unsure(self):
        """Keys of those of which another copy may be there."""
        details = [fault.get("detail") for _, fault in self.faults]
        return {(each["tenant"], each["actor"], each["event"]) for detail in details if isinstance(detail, dict)
                for each in detail.get("again", []) if each.get("unsure")}  # fmt: skip

    @functools.cached_property
    def poison_unsure(self):
        """Hashes of poison of which another copy may be there."""
        return {each["hash"] for each in self.poison.values() if each.get("unsure")}

    @functools.cached_property
    def poison_keys(self):
        return {(p["tenant"], p["actor"], p["event"]) for p in self.poison.values() if p.get("event") and p.get("actor")}

    def setting(self, name, default):
        """A numeric setting of the run."""
        return int(self.snapshot["settings"].get(name, default))

    def bus_fault_between(self, from_t, to_t):
        """A fault may have made the broker forget which messages it knew: whatever is done to a nats-server or to all, from
        its begin until a while after its end, since who ends it does not wait until the server has read its store."""
        return any(begin <= to_t and end + RECOVERY_S >= from_t for begin, end in self._bus_faults)

    @functools.cached_property
    def _bus_faults(self):
        """(begin, end) of each in seconds."""
        begun, spans = {}, []
        for _, fault in self.faults:
            key = fault["name"], fault.get("target")
            words = f"{key[0]} {key[1]}".lower()
            if not any(word in words for word in ("nats", "all", "leader", "disk", "jetstream")):
                continue
            if fault.get("phase") == "begin":
                begun[key] = fault["t"]
            elif key in begun:
                spans.append((begun.pop(key), fault["t"]))
        return spans + [(begin, float("inf")) for begin in begun.values()]


def channel_of(subject):
    """(tenant, channel) of a subject of CHANNELS or THREADS."""
    kind, tenant, rest = subject.split(".", 2)
    return tenant, rest if kind == "chan" else f"thread.{rest}"


def value_of(subject):
    """(tenant, channel, name) of a subject of STATE."""
    parts = subject.split(".")
    length = {"auth": 3, "org": 4, "member": 4}.get(parts[2], 5)
    return parts[1], ".".join(parts[2:length]), ".".join(parts[length:])


def line_refs(emits):
    return [f"line {emit.line}" for emit in emits]
