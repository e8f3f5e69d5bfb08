"""The day, played once while workers are killed, and the checker itself: it must see each thing that is put wrong."""

import copy
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from check import check  # noqa: E402
from complaints import DISCREET  # noqa: E402
from run import play  # noqa: E402
from transcript import Transcript  # noqa: E402


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    documents, transcript, kills = play(1, kill=True, folder=tmp_path_factory.mktemp("day"))
    assert kills > 0
    return documents, transcript


def test_every_rule_and_count_holds(day):
    assert check(*day) == []


def drop_one(name):
    return lambda documents: documents[name].pop()


def change_one(name, field, change):
    def alter(documents):
        row = next(row for row in documents[name] if row.get(field))
        row[field] = change(row[field])

    return alter


def drop_hours(documents, again=False):
    """The entry that takes hours back, or the one that gives them again."""
    documents["study_hours"].remove(next(
        row for row in documents["study_hours"] if row.get("reason") and (row["seconds"] > 0) == again))


def twice(name):
    return lambda documents: documents[name].append(dict(documents[name][0]))


def emitted(documents):
    """The outcome of a client's own event: of the system's the transcripts say nothing."""
    return next(row for row in documents["outcomes"] if row.get("event_id", "").startswith("e"))


def another_box(entries):
    box = bytearray(entries[0]["c"])
    box[-1] ^= 1
    return [{**entries[0], "c": bytes(box)}, *entries[1:]]


WRONGS = {
    "an outcome is lost": lambda documents: documents["outcomes"].remove(emitted(documents)),
    "an outcome is there twice": lambda documents: documents["outcomes"].append(dict(emitted(documents))),
    "a check-in is lost": drop_one("checkins"),
    "a check-in is there twice": twice("checkins"),
    "a ballot is changed": change_one("meeting_ballots", "choice", lambda c: "VOTE_NO" if c != "VOTE_NO" else "VOTE_YES"),
    "the vote's result is turned": change_one("meeting_votes", "result", lambda _: "VOTE_NOT_QUITE"),
    "hours are credited twice": twice("study_hours"),
    "hours are not taken back": drop_hours,
    "hours are not given again": lambda documents: drop_hours(documents, again=True),
    "hours are taken back for no reason": lambda documents: next(
        row for row in documents["study_hours"] if row["seconds"] < 0).update(reason=""),
    "progress moved backwards": change_one("study_progress", "covered_ms", lambda ms: ms - 1),
    "a receipt is lost": change_one("notice_receipts", "read", lambda bits: bytes(len(bits))),
    "a post is lost": drop_one("posts"),
    "posts changed places": change_one("posts", "sequence", lambda n: n + 10**6),
    "a reaction is counted twice": change_one("post_states", "reactions", lambda r: {k: v + 1 for k, v in r.items()}),
    "a member lost its place": change_one("branches", "members", lambda members: members[1:]),
    "a complaint is lost": drop_one("complaints"),
    "a complaint is there twice": twice("complaints"),
    "a complaint's result is lost": change_one("complaints", "result", lambda _: ""),
    "a complaint's state is turned": change_one("complaints", "state", lambda _: "EXTENDED"),
    "a rating is changed": change_one("complaints", "rating", lambda n: n - 1),
    "a complaint is another handler's": change_one("complaints", "handlers", lambda h: [*h, "bystander"]),
    "a complaint's minute is known": change_one("complaints", "filed_at", lambda at: at.replace(minute=7)),
    "a sentence of a dialogue is lost": change_one("complaint_messages", "entries", lambda entries: entries[:-1]),
    "a sentence is there twice": change_one("complaint_messages", "entries", lambda entries: [*entries, entries[-1]]),
    "a box is another one": change_one("complaint_messages", "entries", another_box),
    "the meeting is open": change_one("meetings", "state", lambda _: "OPEN"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONGS)
def test_the_checker_sees_that(day, wrong):
    documents, transcript = day
    altered = copy.deepcopy(documents)
    WRONGS[wrong](altered)
    assert check(altered, transcript) != []


def discreet(documents):
    return next(row for row in documents["outcomes"] if row["type"] in DISCREET)


def anonymous(transcript):
    return next(note for note in transcript.notes("complaint") if not note["named"])


def plant(documents, collection, text):
    documents[collection][0]["planted"] = text


def told(transcript):
    return transcript.pushes(type_="complaint.updated")[0]


# Of documents and transcript: what complaints must not hold, and what was told of them.
LEAKS = {
    "a complaint holds its reporter": lambda d, t: plant(d, "complaints", anonymous(t)["reporter"]),
    "a dialogue holds its reporter": lambda d, t: plant(d, "complaint_messages", anonymous(t)["reporter"]),
    "an outcome says whose it is": lambda d, t: discreet(d).update(actor=anonymous(t)["reporter"]),
    "an outcome says its nonce": lambda d, t: discreet(d).update(hash=next(iter(anonymous(t)["texts"]))),
    "a nonce has two outcomes": lambda d, t: d["outcomes"].append(dict(discreet(d))),
    "a nonce has no outcome": lambda d, t: d["outcomes"].remove(discreet(d)),
    "a receipt is stored": lambda d, t: plant(d, "notices", anonymous(t)["receipt"]),
    "a text is stored": lambda d, t: plant(d, "accesses", next(iter(anonymous(t)["texts"].values()))),
    "a text is stored as bytes": lambda d, t: plant(d, "complaints", next(iter(anonymous(t)["texts"].values())).encode()),
    "the handler was not told": lambda d, t: t.entries.remove(told(t)),
    "a bystander was told": lambda d, t: t.entries.append({**told(t), "member": "bystander"}),
    "a guess opened something": lambda d, t: t.entries.append({**t.answers("complaint.read")[0], "request": {"receipt": "1"}}),
    "a bystander read it": lambda d, t: t.entries.append({**t.answers("complaint.get")[-1], "member": "bystander"}),
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_the_checker_sees_of_complaints_that(day, leak):
    documents, transcript = copy.deepcopy(day[0]), Transcript()
    transcript.entries = copy.deepcopy(day[1].entries)
    LEAKS[leak](documents, transcript)
    assert check(documents, transcript) != []
