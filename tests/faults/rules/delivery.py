"""Rules (c) and (d): what each session and each phone saw of its channels, against what the channels hold.

The truth of a channel is what the stream holds at the end and what anybody was delivered of it: a push that has been
evicted since must have reached whoever was entitled to it all the same, when somebody else has it.
"""

import bisect
import collections
import dataclasses

from . import effects
from .domain import normal
from .story import Violation, value_of

RECONNECT = range(3000, 3500)
REVOKED = 3505
BROKEN = 1006


@dataclasses.dataclass
class Segment:
    """One subscription of one session, from its answer to its end."""

    line: int
    session: str
    tenant: str
    device: str
    channel: str
    since: dict
    epoch: str
    offset: int
    recovered: bool
    missed: int
    pushes: list  # (line number, offset, id, type, payload)
    values: list  # (line number, name, version, payload)
    open: bool = True  # to the end of the run

    @property
    def lo(self):
        """Everything behind this offset is due. A history that is not whole begins where it begins."""
        if self.since is None:
            return self.offset
        if self.recovered:
            return self.since["offset"]
        return self.pushes[0][1] - 1 if self.pushes and self.missed else self.offset

    @property
    def name(self):
        return f"session {self.session} ({self.tenant}/{self.device}) on {self.channel}"


class Truth:
    """One channel in one epoch: offsets in order, what stands at each, and which of them the stream still holds."""

    def __init__(self):
        self.at = {}
        self.kept = []

    def add(self, offset, id_, type_, payload):
        return self.at.setdefault(offset, (id_, type_, payload))

    def finish(self):
        self.offsets = sorted(self.at)
        self.kept.sort()
        return self

    def between(self, behind, upto):
        """Offsets behind the one and up to the other."""
        return self.offsets[bisect.bisect_right(self.offsets, behind) : bisect.bisect_right(self.offsets, upto)]


def check(story):
    found = []
    parts = segments(story, found)
    truths = _truths(story, parts, found)
    for part in parts:
        truth = truths[part.tenant, part.channel, part.epoch]
        _once_and_in_order(part, truth, found)
        _complete(story, part, truth, found)
        _recovered(story, part, truth, found)
        _values(story, part, found)
    _phones(story, parts, truths, found)
    _closes(story, found)
    return found


def epoch_of(story, channel):
    name = "THREADS" if channel.startswith("thread.") else "CHANNELS"
    return story.snapshot["streams"][name]["epoch"]


def segments(story, found):
    parts, current = [], {}
    for number, line in enumerate(story.lines, 1):
        key = line.get("session"), line.get("channel")
        kind = line["kind"]
        if kind == "subscribe":
            if key in current:
                current[key].open = False
            session = story.sessions[line["session"]]
            current[key] = Segment(number, line["session"], session["tenant"], session["device"], line["channel"],
                                   line["since"], line["epoch"], line["offset"], bool(line["recovered"]),
                                   line["missed"], [], [])  # fmt: skip
            parts.append(current[key])
        elif kind in ("push", "value") and key not in current:
            found.append(Violation("c", f"session {key[0]} was sent a {kind} of {key[1]}, which it does not hold",
                                   [f"line {number}"]))  # fmt: skip
        elif kind == "push":
            current[key].pushes.append((number, line["offset"], line["id"], line["type"], line["payload"]))
        elif kind == "value":
            current[key].values.append((number, line["name"], line["version"], line["payload"]))
        elif kind == "leave" and key in current:
            current.pop(key).open = False
        elif kind == "refused" and key in current:
            # What was held was left first; only an answer that is still due may bring it back (busy).
            current[key].open = False
            if line["code"] != "busy":
                current.pop(key)
        elif kind == "close" and number < story.end:
            for held in [held for held in current if held[0] == key[0]]:
                current.pop(held).open = False
    return parts


def _truths(story, parts, found):
    truths = collections.defaultdict(Truth)
    for channel, messages in effects.stored_pushes(story).items():
        truth = truths[(*channel, epoch_of(story, channel[1]))]
        for m in messages:
            truth.add(m["seq"], m["push"]["id"], m["push"]["type"], m["push"]["payload"])
            truth.kept.append(m["seq"])
    for part in parts:
        truth = truths[part.tenant, part.channel, part.epoch]
        for number, offset, *what in part.pushes:
            _check_same(story, part, number, offset, tuple(what), truth, found)
    for truth in truths.values():
        truth.finish()
    return truths


def _check_same(story, part, number, offset, what, truth, found):
    is_new = offset not in truth.at
    kept = truth.add(offset, *what)
    last = truth.kept[-1] if truth.kept else 0
    if is_new and part.epoch == epoch_of(story, part.channel) and truth.kept and truth.kept[0] < offset:
        found.append(Violation("c", f"{part.name} was sent offset {offset} (push {what[0]}), and the channel, which reaches from "
                                    f"{truth.kept[0]} to {last}, has no such message", [f"line {number}"]))  # fmt: skip
    elif kept[:2] != what[:2] or (kept[2] != what[2] and normal(what[1], kept[2]) != normal(what[1], what[2])):
        found.append(Violation("c", f"{part.name} was sent push {what[0]} at offset {offset}, where {kept[0]} stands: "
                                    f"{what[2]} for {kept[2]}"[:600], [f"line {number}"]))  # fmt: skip


def _once_and_in_order(part, truth, found):
    before = part.since["offset"] if part.since and part.recovered else part.offset if part.since is None else 0
    for number, offset, *_ in part.pushes:
        if offset <= before:
            found.append(Violation("c", f"{part.name} was sent offset {offset} when it stood at {before} already",
                                   [f"line {part.line}", f"line {number}"]))  # fmt: skip
        before = max(before, offset)


def _complete(story, part, truth, found):
    """No hole between its first and its last push; and whoever stayed to the end has all to the end."""
    current = part.epoch == epoch_of(story, part.channel)
    if part.open and not current:
        found.append(Violation("c", f"{part.name} stayed open in epoch {part.epoch}, and the channel is in "
                                    f"{epoch_of(story, part.channel)}", [f"line {part.line}"]))  # fmt: skip
    seen = {push[1] for push in part.pushes}
    last = max(seen, default=0)
    if part.open and current and truth.offsets:
        last = max(last, truth.offsets[-1])
    missing = [o for o in truth.between(part.lo, last) if o not in seen]
    if part.since is not None and not part.recovered and part.open and current:
        at_least = part.since["offset"] if part.since["epoch"] == part.epoch else 0
        missing += [o for o in truth.kept if at_least < o <= min(part.lo, part.offset) and o not in seen]
    if missing:
        what = ", ".join(f"{o} (push {truth.at[o][0]})" for o in missing[:5])
        found.append(Violation("c", f"{part.name}, since {part.since}, did not see {len(missing)} pushes: offsets {what}; it saw "
                                    f"{len(seen)}, the last at {max(seen, default=0)}"
                                    + (", and stayed to the end" if part.open else ""), [f"line {part.line}"]))  # fmt: skip
    history = sum(1 for push in part.pushes if push[1] <= part.offset)
    through = part.open or any(push[1] > part.offset for push in part.pushes)
    if through and part.since is not None and history != part.missed and not missing:
        found.append(Violation("c", f"{part.name} was promised {part.missed} missed pushes up to {part.offset} and got {history}",
                               [f"line {part.line}"]))  # fmt: skip


def _recovered(story, part, truth, found):
    """recovered is the truth, in both directions."""
    if part.since is None or not part.since["epoch"]:
        if part.recovered:
            found.append(Violation("d", f"{part.name} was told recovered without a position", [f"line {part.line}"]))
        return
    same = part.since["epoch"] == part.epoch
    if part.recovered and not same:
        found.append(Violation("d", f"{part.name} was told recovered in epoch {part.epoch} from a position of "
                                    f"{part.since['epoch']}", [f"line {part.line}"]))  # fmt: skip
    if part.recovered or not same or part.epoch != epoch_of(story, part.channel):
        return
    name = "THREADS" if part.channel.startswith("thread.") else "CHANNELS"
    stream = story.snapshot["streams"][name]
    offset, limit = part.since["offset"], stream["max_per_subject"]
    survives = bool(truth.kept) and truth.kept[0] <= offset
    never_full = (limit < 0 or len(truth.kept) < limit) and stream["first_seq"] <= offset + 1
    if (survives or never_full) and offset <= part.offset:
        found.append(Violation("d", f"{part.name} was told recovered: false from {offset}, and nothing behind it is gone: the "
                                    f"channel holds {len(truth.kept)} from {truth.kept[:1]}, the stream begins at "
                                    f"{stream['first_seq']}", [f"line {part.line}"]))  # fmt: skip


def _values(story, part, found):
    last = {}
    for number, name, version, payload in part.values:
        if name in last and version < last[name][0]:
            found.append(Violation("c", f"{part.name}: the value {name} went back from {last[name][0]} to {version}",
                                   [f"line {number}"]))  # fmt: skip
        last[name] = version, payload
    if not part.open:
        return
    for message in story.snapshot["streams"]["STATE"]["messages"]:
        tenant, channel, name = value_of(message["subject"])
        push = message["push"]
        if (tenant, channel) != (part.tenant, part.channel):
            continue
        version, payload = last.get(name, (0, None))
        if version != push["version"] or normal(push["type"], payload) != push["payload"]:
            found.append(Violation("c", f"{part.name} stayed to the end and has the value {name} {payload} of {version}; the "
                                        f"last is {push['payload']} of {push['version']}", [f"line {part.line}"]))  # fmt: skip


# phones: over their sessions


def _phones(story, parts, truths, found):
    by_phone = collections.defaultdict(list)
    for part in parts:
        by_phone[part.tenant, part.device, part.channel].append(part)
    posts = _posts(story)
    for (tenant, device, channel), held in by_phone.items():
        _phone(f"phone {tenant}/{device} on {channel}", held, truths, found)
        if channel in posts.get(tenant, {}):
            _thread(f"phone {tenant}/{device} on {channel}", held, posts[tenant][channel], truths, found)


def _phone(name, held, truths, found):
    """A position stands for all before it: what a session resumes from was delivered to the sessions before."""
    have, base, epoch = set(), None, None
    for part in held:
        truth = truths[part.tenant, part.channel, part.epoch]
        resumed = part.since is not None and part.recovered and part.since["epoch"] == part.epoch == epoch
        if resumed and base is not None:
            missing = [o for o in truth.between(base, part.since["offset"]) if o not in have]
            if missing:
                found.append(Violation("d", f"{name} resumed from {part.since['offset']}, and of what is behind {base} it never "
                                            f"got {len(missing)} pushes: offsets {missing[:5]}",
                                       [f"line {part.line}"]))  # fmt: skip
        if not resumed:
            have, base, epoch = set(), part.lo, part.epoch
        elif base is None or part.since["offset"] < base:
            base = part.since["offset"]
        have |= {push[1] for push in part.pushes}


def _posts(story):
    """tenant: channel: sequences of the posts that were applied, in order, whether the stream still holds them or not."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for post in story.snapshot["documents"].get("posts", []):
        found[post["tenant"]][f"thread.{post['org_path']}.{post['thread_id']}"].append(post["sequence"])
    for channels in found.values():
        for sequences in channels.values():
            sequences.sort()
    return found


def _thread(name, held, posts, truths, found):
    """End to end, over the heads of the streams: between two posts that a phone saw in one go, it saw all that there are.
    Not those that were pushed before it came: a second copy of an old post may be the first that it sees."""
    last = epoch = before = None
    for part in held:
        resumed = part.since is not None and part.recovered and part.since["epoch"] == part.epoch == epoch
        if not resumed:
            last, before = None, _pushed_upto(truths[part.tenant, part.channel, part.epoch], part.lo)
        epoch = part.epoch
        for number, _, id_, type_, _ in part.pushes:
            if type_ != "thread.post":
                continue
            sequence = int(id_.split("-")[0])
            if last is not None and sequence > last:
                between = posts[bisect.bisect_right(posts, last) : bisect.bisect_left(posts, sequence)]
                between = [post for post in between if post not in before]
                if between:
                    found.append(Violation("d", f"{name} saw the post of event {sequence} behind that of {last}, and never the "
                                                f"{len(between)} between: {between[:5]}", [f"line {number}"]))  # fmt: skip
            last = max(last or 0, sequence)


def _pushed_upto(truth, offset):
    """Sequences of the events of which a push stands up to there."""
    return {int(truth.at[at][0].split("-")[0]) for at in truth.between(0, offset)}


def _closes(story, found):
    """The connection broke, or the gateway said that the phone shall come back: no token of a run ends before the run, so
    only whose tokens were revoked is sent away."""
    revoked = {(emit.tenant, emit.payload.get("memberId")) for emit in story.emits if emit.type == "auth.revoked"}
    for session, (number, line) in story.closes.items():
        code, open_ = line["code"], story.sessions[session]
        told_off = code == REVOKED and (open_["tenant"], open_["member"]) in revoked
        if not line["asked"] and code not in RECONNECT and code != BROKEN and not told_off:
            found.append(Violation("c", f"session {session} was closed with {code} {line['reason']}, which does not tell its "
                                        "phone to come back", [f"line {number}"]))  # fmt: skip
