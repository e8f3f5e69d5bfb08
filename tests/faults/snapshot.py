"""The snapshot: all that the system holds once a run is over: documents, streams, consumers, leases, processes.

It is read by other people's clients (pymongo, nats-py), over no code of ours, and is one JSON object:

    at_ms         the wall clock when it was taken
    settings      of the stack, as text
    code_secret   hex; from it the key of each meeting's code
    documents     collection: list of documents; a date is {"ms"}, binary is {"hex"}, int64 an int
    streams       name: {epoch, max_per_subject, max_age_s, window_s, first_seq, last_seq, messages}
                  a message: {seq, ms, subject, msg_id, headers, push, hash}; push is decoded, null outside the push
                  streams; hash is that of type and body, as an outcome holds it, of dead letters only
    consumers     of EVENTS: [{name, pending, unacked, redelivered}]
    leases        partition: {worker, state}; those of the bucket PARTITIONS
    workers       ids that beat, as in the bucket WORKERS
    processes     [{name, running, ready}]; ready is null for the services
    replay        what became of one dead letter that was replayed afterwards, see `replay_one`; null: there was none
"""

import base64
import datetime
import json
import pathlib
import sys
import time

import bson

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import wire  # noqa: E402
from rules.story import hash_bytes  # noqa: E402
from waiting import TooLate, until  # noqa: E402

PUSH_STREAMS = ("CHANNELS", "THREADS", "STATE")
STREAMS = ("EVENTS", *PUSH_STREAMS, "DEADLETTERS")
EPOCH_KEY = "yizhan-epoch"
NS = 1_000_000_000


def take(world, replay=True):
    """Read everything of a Stack, or of a World (whose `stack` is one); nothing may be going on any more."""
    stack = getattr(world, "stack", world)
    snapshot = {
        "at_ms": int(time.time() * 1000),
        "settings": {name: str(value) for name, value in stack.settings.items()},
        "code_secret": pathlib.Path(stack.settings["code_secret_file"]).read_bytes().hex(),
        "documents": documents(stack),
        "streams": {name: stream(stack.bus, name) for name in STREAMS},
        "consumers": consumers(stack.bus),
        **leases(stack.bus),
        "processes": [process(stack, one) for one in processes(world)],
        "replay": None,
    }
    if replay:
        snapshot["replay"] = replay_one(stack, snapshot["streams"]["DEADLETTERS"]["messages"])
    return snapshot


def write(snapshot, path):
    pathlib.Path(path).write_text(json.dumps(snapshot, ensure_ascii=False))


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def plain(value):
    """A document's value as JSON."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, datetime.datetime):
        since = value - datetime.datetime(1970, 1, 1)
        return {"ms": since // datetime.timedelta(milliseconds=1)}
    if isinstance(value, (bytes, bson.Binary)):
        return {"hex": bytes(value).hex()}
    return value


def due_rows(stack):
    """How many rows of the outbox are due now: events that are about to be."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return stack.documents["outbox"].count_documents({"state": "due", "due_at": {"$lte": now}})


def documents(stack):
    found = {}
    for name in stack.documents.list_collection_names():
        if not name.startswith("system."):
            found[name] = [plain(document) for document in stack.documents[name].find({})]
    return found


def stream(bus, name):
    info = bus.stream(name)
    config, state = info["config"], info["state"]
    return {
        "epoch": config.get("metadata", {}).get(EPOCH_KEY, ""),
        "max_per_subject": config.get("max_msgs_per_subject", -1),
        "max_age_s": config.get("max_age", 0) / NS,
        "window_s": config.get("duplicate_window", 0) / NS,
        "first_seq": state["first_seq"],
        "last_seq": state["last_seq"],
        "messages": [message(name, each) for each in bus.everything(name)],
    }


def message(stream_name, stored):
    headers = stored["headers"]
    push = None
    if stream_name in PUSH_STREAMS:
        push = wire.unpack("Push", stored["data"])
        name = wire.PUSHES.get(push.get("type"))
        push["payload"] = wire.unpack(name, base64.b64decode(push.get("payload", ""))) if name else None
        push["version"] = int(push.get("version", 0))
    content = hash_bytes(headers.get("ce-type", ""), stored["data"]) if stream_name == "DEADLETTERS" else None
    return {"seq": stored["seq"], "ms": stored["ms"], "subject": stored["subject"],
            "msg_id": headers.pop("Nats-Msg-Id", ""), "headers": headers, "push": push, "hash": content}  # fmt: skip


def consumers(bus):
    found = []
    while True:
        page = bus.api("CONSUMER.LIST.EVENTS", {"offset": len(found)})
        assert "error" not in page, page
        found += page["consumers"] or []
        if not page["consumers"] or len(found) >= page["total"]:
            return [{"name": c["name"], "pending": c["num_pending"], "unacked": c["num_ack_pending"],
                     "redelivered": c["num_redelivered"]} for c in found]  # fmt: skip


def leases(bus):
    held, beating = {}, []
    for each in bus.everything("KV_PARTITIONS"):
        lease = json.loads(each["data"])
        held[each["subject"].rpartition(".p")[2]] = {"worker": lease["worker"], "state": lease["state"]}
    for each in bus.everything("KV_WORKERS"):
        if "KV-Operation" not in each["headers"]:
            beating.append(each["subject"].partition("$KV.WORKERS.")[2])
    return {"leases": held, "workers": beating}


def processes(world):
    """Every Process: a World names them, of a Stack they are gathered."""
    named = getattr(world, "processes", None)
    if named is not None:
        return list(named.values()) if isinstance(named, dict) else list(named)
    return [*world.gateways, *world.workers, world.nats, world.database]


def process(stack, one):
    ready = None
    if hasattr(one, "admin_port"):
        ready = stack.admin(one, "/readyz")[0] == 200
    return {"name": one.name, "running": one.running, "ready": ready}


def replay_one(stack, letters):
    """Give one letter back to the workers: it is applied, or refused, or comes back as a letter. All three are told.

    One that was given up after it had ended its workers is chosen before others: nothing is wrong with it any more.

    {"letter", "reason", "actor": "" when it names none, "origin", "event": sequence of the replay, "settled", "status" and
    "code" of the outcome or null, "back"}
    """
    whole = [each for each in letters if "ce-id" in each["headers"] and "Yz-Origin-Subject" in each["headers"]]
    if not whole:
        return None
    given_up = [each for each in whole if each["headers"].get("Yz-Dead-Reason") == "unprocessable"]
    letter = (given_up or whole)[-1]
    headers = letter["headers"]
    printed = stack.ctl("dlq", "replay", letter["seq"]).split()
    event = int(printed[-1])
    try:
        until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 20, every=0.1, what="the replay is settled")
        settled = True
    except TooLate:
        settled = False
    key = "|".join((headers.get("ce-tenant", ""), headers.get("ce-actor", ""), headers["ce-id"]))
    outcome = stack.documents["outcomes"].find_one({"_id": key}) or {}
    back = [each for each in stack.bus.everything("DEADLETTERS") if each["headers"].get("Nats-Msg-Id") == f"d-{event}"]
    return {"letter": letter["seq"], "reason": headers.get("Yz-Dead-Reason"), "actor": headers.get("ce-actor", ""),
            "origin": int(headers["Yz-Origin-Sequence"]), "event": event, "settled": settled,
            "status": outcome.get("status"), "code": outcome.get("code"), "back": bool(back)}  # fmt: skip
