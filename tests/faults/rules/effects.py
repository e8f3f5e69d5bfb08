"""Rules (a) and (b): what is in the database and in the streams is exactly what the outcomes say, of events that were sent.

The deeds of the run are told to a second, plain model of the domains (domain.py) in the order of their sequences. Each
outcome must be the one that the model gives, and documents, pushes and values those that it leaves.
"""

import collections
import json
import pathlib

from . import following
from .domain import Deed, Domain
from .story import Violation, channel_of, line_refs, value_of

WITHOUT_COMPARING = {"occurred_at"}  # the phone's clock: kept as evidence
DOMAIN = ("notices", "notice_receipts", "meetings", "meeting_rosters", "checkins", "posts", "post_states",
          "threads", "thread_writers", "revocations")  # fmt: skip
FRAME = ("outcomes", "outbox", "attempts", "generations")


def check(story):
    found, deeds = _deeds(story)
    domain = tell(story, deeds, found)
    _documents(story, domain, found)
    _following(story, domain, found)
    _pushes(story, domain, found)
    _values(story, domain, found)
    return found


def _deeds(story):
    """Outcomes and the payloads they were given for, in the order in which they took effect."""
    found, deeds = [], []
    for key, outcome in story.outcomes.items():
        name = "/".join(key)
        if key[2].startswith(following.OWN):
            continue
        if outcome["_id"] != "|".join(key):
            found.append(Violation("b", f"the outcome of {name} lies under {outcome['_id']}", [outcome["_id"]]))
        emits = [e for e in story.by_key.get(key, []) if e.hash == outcome["hash"]]
        if not emits and key in story.poison_keys:
            continue
        if not emits:
            if key not in story.by_key:
                found.append(Violation("b", f"{name} has the outcome {outcome['status']} and was never sent", [name]))
            continue
        deeds.append(_deed(emits[0], outcome))
    return found, sorted(deeds, key=lambda deed: deed.sequence)


def _deed(emit, outcome):
    return Deed(emit.tenant, emit.member, emit.path, emit.event, emit.type, emit.payload, outcome["evt_seq"],
                outcome["sequence"], outcome["received_at"]["ms"], outcome["status"], outcome["code"], outcome["text"],
                outcome["field"], emit.line,
                unsure=outcome["status"] == "dead_lettered" and outcome["code"] == "unprocessable")  # fmt: skip


def tell(story, deeds, found):
    """The model, with all deeds told to it; outcomes that it would not have given are added to `found`."""
    domain = Domain({
        "code_secret": bytes.fromhex(story.snapshot["code_secret"]),
        "code_grace_ms": story.setting("code_grace_ms", 10000),
        "offline_max_ms": offline_max_ms()})  # fmt: skip
    domain.learn_notices(deeds)
    domain.seen_notice = _first_seen(story)
    for deed in deeds:
        if not domain.knows(deed.type):
            found.append(Violation("a", f"{deed.type} {deed.tenant}/{deed.member}/{deed.event} is not in the model: nobody can "
                                        f"say what it had to leave", [f"line {deed.emitted}"]))  # fmt: skip
            continue
        if deed.unsure:
            domain.unsure.add(deed.aggregate)
            domain.told_before.add(((deed.tenant, deed.member, deed.event), deed.sequence))
        elif deed.status != "dead_lettered":
            expected = domain.judge(deed)
            if expected and expected != (deed.status, deed.code) and deed.aggregate not in domain.unsure:
                found.append(Violation("a", f"{deed.type} {deed.tenant}/{deed.member}/{deed.event}, sequence {deed.sequence}: "
                                            f"{' '.join(expected).strip()} was due by the order of its aggregate, and it is "
                                            f"{deed.status} {deed.code}".rstrip(),
                                       [f"line {deed.emitted}", deed.sequence]))  # fmt: skip
        if deed.status != "applied":
            domain.tell(deed)
        elif _can_apply(domain, deed):
            domain.apply(deed)
    return domain


def offline_max_ms():
    """By the rule pack as it is built in: its first version holds on every day of a run."""
    pack = json.loads((pathlib.Path(__file__).resolve().parents[3] / "schemas" / "rules" / "meeting.json").read_text())
    return pack["versions"][0]["rules"]["offline_max_hours"] * 3600_000


def _can_apply(domain, deed):
    """What was wrongly applied need not fit: the violation is noted already."""
    try:
        expected = domain.judge(deed)
    except KeyError:
        return False
    return expected is None or expected[1] not in ("not_found", "not_on_roster", "code_malformed")


def _first_seen(story):
    """(tenant, notice): the first line in which somebody saw it pushed."""
    seen = {}
    for number, line in enumerate(story.lines, 1):
        if line["kind"] == "push" and line["type"] == "notice.posted":
            key = story.sessions[line["session"]]["tenant"], line["payload"].get("noticeId")
            seen.setdefault(key, number)
    return seen


# documents


def _documents(story, domain, found):
    stored = story.snapshot["documents"]
    for collection in sorted(set(stored) - set(DOMAIN) - set(FRAME) - set(following.COLLECTIONS)):
        if stored[collection]:  # an empty one is of a domain that the run did not touch
            found.append(Violation("b", f"nobody knows the collection {collection} of {len(stored[collection])} documents", []))
    for collection in DOMAIN:
        have = {d["_id"]: d for d in stored.get(collection, [])}
        want = domain.documents[collection]
        for id_ in sorted(set(have) | set(want)):
            if not _is_unsure(domain, collection, have.get(id_) or want[id_]):
                _document(collection, id_, have.get(id_), want.get(id_), found)
    for row in stored.get("outbox", []):
        if row.get("cause") not in {o["evt_seq"] for o in story.outcomes.values() if o["status"] == "applied"}:
            found.append(Violation("b", f"row {row['_id']} of the outbox has no applied event behind it", [row["_id"]]))


def _following(story, domain, found):
    """What followed by itself from the meetings, of those of which something exact can be said."""
    unsure = {(tenant, "/".join(names)) for tenant, kind, *names in domain.unsure if kind == "meeting"}
    closed = [m for m in domain.documents["meetings"].values()
              if m["state"] == "CLOSED" and following.named(m) not in unsure]  # fmt: skip
    limit = story.snapshot["streams"]["CHANNELS"]["max_per_subject"]
    found += following.check(following.Closed(closed, unsure, domain.present), story, stored_pushes(story), _seen_ids(story),
                             limit)  # fmt: skip


def _document(collection, id_, have, want, found):
    if have is None:
        found.append(Violation("a", f"{collection} lacks {id_}, due by the event {want['evt_seq']}", [want["evt_seq"]]))
    elif want is None:
        found.append(Violation("b", f"{collection} holds {id_}, and no applied event of the run makes it",
                               [have.get("evt_first"), have.get("evt_seq")]))  # fmt: skip
    else:
        fields = [f for f in sorted(set(have) | set(want)) if f not in WITHOUT_COMPARING and have.get(f) != want.get(f)]
        if fields:
            said = "; ".join(f"{f} is {have.get(f)!r}, due is {want.get(f)!r}" for f in fields)
            found.append(Violation("a", f"{collection} {id_}: {said}"[:600], [have.get("evt_seq"), want["evt_seq"]]))


def _is_unsure(domain, collection, document):
    tenant = document["tenant"]
    aggregate = {
        "notices": ("notice", document.get("notice_id")),
        "notice_receipts": ("receipts", document.get("org_path")),
        **dict.fromkeys(("posts", "post_states", "threads", "thread_writers"),
                        ("thread", document.get("org_path"), document.get("thread_id"))),
        "revocations": ("auth", document.get("member_id")),
    }.get(collection, ("meeting", document.get("org_path"), document.get("meeting_id")))
    return (tenant, *aggregate) in domain.unsure


# pushes


def conflicts(story):
    """(tenant, channel, push id): the copy of another payload that must have been told so."""
    due, may = {}, set()
    for key, emits in story.by_key.items():
        outcome = story.outcomes.get(key)
        if outcome is None:
            continue
        for emit in emits:
            if emit.hash == outcome["hash"]:
                continue
            if emit.sequence:
                due[emit.tenant, f"member.{emit.member}", f"{emit.sequence}-0"] = emit
            elif emit.maybe_stored:
                may.add(key)
    return due, may


def stored_pushes(story):
    """(tenant, channel): messages of CHANNELS and THREADS in order."""
    by_channel = collections.defaultdict(list)
    for name in ("CHANNELS", "THREADS"):
        for message in story.snapshot["streams"][name]["messages"]:
            by_channel[channel_of(message["subject"])].append(message)
    return by_channel


def limit_of(story, channel):
    name = "THREADS" if channel.startswith("thread.") else "CHANNELS"
    return story.snapshot["streams"][name]["max_per_subject"]


def _pushes(story, domain, found):
    stored = stored_pushes(story)
    due_conflicts, may_conflict = conflicts(story)
    seen = _seen_ids(story)
    for channel in sorted(set(stored) | set(domain.pushes)):
        want = {push.id: push for push in domain.pushes.get(channel, [])}
        have = {m["push"]["id"]: m for m in stored.get(channel, [])}
        _copies(story, channel, stored.get(channel, []), found)
        limit = limit_of(story, channel[1])
        full = 0 < limit <= len(stored.get(channel, []))
        for id_, push in want.items():
            # What an outcome tells is known also of what was set aside; what was made of an aggregate is not.
            exact = push.type == "event.outcome" or push.deed.aggregate not in domain.unsure
            if id_ in have and exact:
                _same(channel, have[id_]["push"], push, found)
            elif id_ not in have and not full and (*channel, id_) not in seen and exact:
                found.append(Violation("a", f"{'/'.join(channel)} lacks push {id_} ({push.type}) of the {push.deed.status} event "
                                            f"{push.deed.event}", [f"line {push.deed.emitted}", id_]))  # fmt: skip
        for id_ in have:
            if id_ not in want and (*channel, id_) not in due_conflicts:
                _foreign(story, domain, channel, have[id_]["push"], may_conflict, found)
        _in_order(channel, stored.get(channel, []), want, found)
    _conflicts_told(story, stored, due_conflicts, seen, found)


def _seen_ids(story):
    """(tenant, channel, push id) of all that was delivered to anybody."""
    return {(story.sessions[line["session"]]["tenant"], line["channel"], line["id"])
            for line in story.lines if line["kind"] == "push"}  # fmt: skip


def _copies(story, channel, messages, found):
    """A push stands in its channel once, at least within the time in which the broker knows it again."""
    name = "THREADS" if channel[1].startswith("thread.") else "CHANNELS"
    window_ms = story.snapshot["streams"][name]["window_s"] * 1000
    first = {}
    for message in messages:
        id_ = message["push"]["id"]
        before = first.setdefault(id_, message)
        if before is not message and message["ms"] - before["ms"] < window_ms:
            found.append(Violation("c", f"{'/'.join(channel)}: push {id_} is stored twice, as {before['seq']} and "
                                        f"{message['seq']}", [before["seq"], message["seq"]]))  # fmt: skip


def _same(channel, have, want, found):
    if have["type"] != want.type or have["payload"] != want.payload:
        found.append(Violation("a", f"{'/'.join(channel)}: push {want.id} is {have['type']} {have['payload']}, and due is "
                                    f"{want.type} {want.payload}"[:700], [f"line {want.deed.emitted}", want.id]))  # fmt: skip


def _foreign(story, domain, channel, push, may_conflict, found):
    """A push that no deed makes: of a copy whose answer was lost, of poison, or of nothing."""
    sequence = int(push["id"].split("-")[0])
    payload = push["payload"] or {}
    if push["type"] == following.CREDITED:
        return  # held against the ledger of hours
    if push["type"] == "event.outcome":
        key = channel[0], channel[1].partition(".")[2], payload.get("eventId")
        if sequence in story.poison or key in story.poison_keys:
            return
        if payload.get("code") == "id_conflict" and (
                key in may_conflict or sequence in story.by_hand or key in story.by_hand_unsure):  # fmt: skip
            return
        if (key, sequence) in domain.told_before:
            return
    if _of_unsure(domain, channel, payload):
        return
    found.append(Violation("b", f"{'/'.join(channel)} holds push {push['id']} ({push['type']}), and no event of the run makes it",
                           [push["id"], payload.get("eventId", "")]))  # fmt: skip


def _of_unsure(domain, channel, payload):
    return any(aggregate[0] == channel[0] and str(aggregate[-1]) in str(payload) for aggregate in domain.unsure)


def _in_order(channel, messages, want, found):
    """What happened to one aggregate stands in the order of its events. What was set aside has no place in it: it is told
    when its attempts are used up, and those behind it may have gone on in between."""
    last, first_place = {}, {}
    for message in messages:
        id_ = message["push"]["id"]
        if id_ not in want or id_ in first_place or want[id_].deed.unsure:
            continue
        first_place[id_] = message["seq"]
        deed = want[id_].deed
        before = last.get(deed.aggregate)
        if before and before.sequence > deed.sequence:
            found.append(Violation("a", f"{'/'.join(channel)}: the push of event {deed.sequence} stands behind that of "
                                        f"{before.sequence} of the same {deed.aggregate[1]}",
                                   [f"line {deed.emitted}", id_]))  # fmt: skip
        last[deed.aggregate] = deed


def _conflicts_told(story, stored, due, seen, found):
    for (tenant, channel, id_), emit in due.items():
        messages = stored.get((tenant, channel), [])
        told = next((m["push"] for m in messages if m["push"]["id"] == id_), None)
        if told is None and ((tenant, channel, id_) in seen or 0 < limit_of(story, channel) <= len(messages)):
            continue
        payload = (told or {}).get("payload") or {}
        if payload.get("code") != "id_conflict" or payload.get("eventId") != emit.event:
            found.append(Violation("a", f"{'/'.join(emit.key)} was accepted as {emit.sequence} with another payload than its "
                                        f"first, and the member was told {payload.get('code', 'nothing')}",
                                   line_refs([emit])))  # fmt: skip


# values


def _values(story, domain, found):
    stored = {value_of(m["subject"]): m["push"] for m in story.snapshot["streams"]["STATE"]["messages"]}
    for key in sorted(set(stored) | set(domain.values)):
        have, want = stored.get(key), domain.values.get(key)
        if _of_unsure(domain, key, key):
            continue
        name = "/".join(key)
        if want is None:
            found.append(Violation("b", f"the value {name} has no applied event behind it", [have["id"]]))
        elif have is None:
            found.append(Violation("a", f"the value {name} was never stored, due is {want[2]} of {want[0]}", [want[0]]))
        elif (have["version"], have["type"], have["payload"]) != want:
            found.append(Violation("a", f"the value {name} is {have['payload']} of {have['version']}, and the last event "
                                        f"{want[0]} makes it {want[2]}", [have["version"], want[0]]))  # fmt: skip


