"""The day, played once while workers are killed, and the checker itself: it must see each thing that is put wrong."""

import copy
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from check import check  # noqa: E402
from run import play  # noqa: E402


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


def twice(name):
    return lambda documents: documents[name].append(dict(documents[name][0]))


WRONGS = {
    "an outcome is lost": drop_one("outcomes"),
    "an outcome is there twice": twice("outcomes"),
    "a check-in is lost": drop_one("checkins"),
    "a check-in is there twice": twice("checkins"),
    "a ballot is changed": change_one("meeting_ballots", "choice", lambda c: "VOTE_NO" if c != "VOTE_NO" else "VOTE_YES"),
    "the vote's result is turned": change_one("meeting_votes", "result", lambda _: "VOTE_NOT_QUITE"),
    "hours are credited twice": twice("study_hours"),
    "progress moved backwards": change_one("study_progress", "covered_ms", lambda ms: ms - 1),
    "a receipt is lost": change_one("notice_receipts", "read", lambda bits: bytes(len(bits))),
    "a post is lost": drop_one("posts"),
    "posts changed places": change_one("posts", "sequence", lambda n: n + 10**6),
    "a reaction is counted twice": change_one("post_states", "reactions", lambda r: {k: v + 1 for k, v in r.items()}),
    "a member lost its place": change_one("branches", "members", lambda members: members[1:]),
    "the meeting is open": change_one("meetings", "state", lambda _: "OPEN"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONGS)
def test_the_checker_sees_that(day, wrong):
    documents, transcript = day
    altered = copy.deepcopy(documents)
    WRONGS[wrong](altered)
    assert check(altered, transcript) != []
