"""The checker sees what is wrong: a run in which everything is right, and the same run broken in one place at a time.

The bugs that make such runs of a real system stand in mutants/; here each rule is tried by hand, without any service.
"""

import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "integration")]

import checker  # noqa: E402
import sample  # noqa: E402
import wire  # noqa: E402
from rules.domain import Domain  # noqa: E402
from sample import MEETING, ORG, PATH, TENANT, THREAD  # noqa: E402

POSTS = f"thr.{TENANT}.{PATH}.t1"


class Broken:
    """The run under repair: lines and snapshot, with what the cases need to take out and put in."""

    def __init__(self, **how):
        self.lines, self.snapshot = sample.make(**how)

    def find(self, kind, **fields):
        return [line for line in self.lines if line["kind"] == kind and all(line.get(k) == v for k, v in fields.items())]

    def first(self, kind, **fields):
        return self.find(kind, **fields)[0]

    def drop(self, line):
        self.lines[:] = [each for each in self.lines if each is not line]

    def behind(self, line, *added):
        at = next(n for n, each in enumerate(self.lines) if each is line)
        self.lines[at + 1 : at + 1] = added

    def document(self, collection, **fields):
        return next(d for d in self.snapshot["documents"][collection] if all(d.get(k) == v for k, v in fields.items()))

    def remove(self, collection, **fields):
        self.snapshot["documents"][collection].remove(self.document(collection, **fields))

    def stored(self, stream, **fields):
        return next(m for m in self.snapshot["streams"][stream]["messages"] if all(m.get(k) == v for k, v in fields.items()))

    def inbox(self, **fields):
        """The stored event.outcome of this kind."""
        return next(m for m in self.snapshot["streams"]["CHANNELS"]["messages"]
                    if all(m["push"]["payload"].get(k) == v for k, v in fields.items()))  # fmt: skip

    def unstore(self, message):
        for stream in self.snapshot["streams"].values():
            stream["messages"] = [m for m in stream["messages"] if m is not message]

    def check(self):
        return checker.check(self.lines, self.snapshot)


def test_a_run_in_which_everything_is_right_is_not_blamed():
    broken = Broken()
    assert checker.report(broken.check()) == ""


def test_a_run_with_a_closed_meeting_is_not_blamed():
    assert checker.report(Broken(closed=True).check()) == ""


def test_a_repeat_within_the_window_is_excused_only_by_a_fault_of_that_time():
    """A broker that was killed before the first copy, and was back, knows the second one."""
    for at, blamed in ((0.0, True), (1.0, False)):
        b = Broken()
        late = b.first("accepted", event="p3", duplicate=True)
        late["sequence"] += 1000
        for line in b.lines:
            line["t"] += 100
        middle = late["t"] - 0.001 if at else at
        b.lines[1:1] = [{"t": middle, "kind": "fault", "name": "kill_nats", "target": "nats0", "phase": phase, "detail": {}}
                        for phase in ("begin", "end")]  # fmt: skip
        assert blamed == any(v.rule == "h" and "within the duplicate window" in v.text for v in b.check())


def test_whose_token_was_revoked_may_be_sent_away():
    b = Broken()
    sent = b.first("emit", event="p-bad")
    sent.update(type="auth.revoked", payload={"orgPath": PATH, "memberId": "bob"})
    b.first("close", session="s2").update(code=3505, reason="token_revoked")
    assert not [v for v in b.check() if "to come back" in v.text]


def test_the_figures_of_a_run():
    broken = Broken()
    figures = checker.figures(broken.lines, broken.snapshot)
    assert figures["events"] == 14 and figures["applied"] == 11 and figures["refused"] == 1
    assert figures["conflicts offered"] == 1 and figures["duplicates offered"] == 1 and figures["temporary errors"] == 1
    assert figures["sessions"] == 3 and figures["reconnects"] == 1 and figures["resumes"] == 3 and figures["faults"] == 1


CASES = {}


def case(rule, said, **how):
    """The function breaks the run; the checker must name the rule and say this of it. how: which run."""

    def register(function):
        assert function.__name__ not in CASES
        CASES[function.__name__] = (rule, said, how, function)
        return function

    return register


# (a) one outcome, of the first acceptance; documents, pushes and values of what was applied, in order


@case("a", "has no outcome")
def an_outcome_is_missing(b):
    b.remove("outcomes", event_id="p2")


@case("a", "posts lacks")
def a_document_is_missing(b):
    b.remove("posts", message_id="x4")


@case("a", "was first accepted as")
def the_outcome_is_of_the_second_payload(b):
    b.document("outcomes", event_id="p2")["hash"] = sample.hash_of("thread.posted", sample.post(2, "another text"))


@case("a", "is of the later")
def the_outcome_is_of_a_later_copy(b):
    late = b.first("accepted", event="p3", duplicate=True)
    late["sequence"] += 900
    b.document("outcomes", event_id="p3")["sequence"] = late["sequence"]


@case("a", "text is 'changed'")
def a_document_has_another_payload(b):
    b.document("posts", message_id="x1")["text"] = "changed"


@case("a", "was due by the order of its aggregate")
def the_later_rival_won(b):
    b.document("outcomes", event_id="p1").update(status="refused", code="already_posted")


@case("a", "applied was due")
def a_refusal_without_a_reason(b):
    b.document("outcomes", event_id="c1").update(status="refused", code="not_on_roster")


@case("a", "present_count is 2")
def a_count_was_taken_twice(b):
    b.document("meetings", meeting_id="k1")["present_count"] = 2


@case("a", "the value t1/meeting")
def the_last_value_is_wrong(b):
    b.stored("STATE", subject=f"state.{TENANT}.{MEETING}.attendance")["push"]["payload"]["present"] = 2


@case("a", "was never stored")
def the_last_value_is_missing(b):
    b.unstore(b.stored("STATE", subject=f"state.{TENANT}.{MEETING}.attendance"))


@case("a", "lacks push")
def a_push_was_never_stored(b):
    message = b.stored("THREADS", subject=POSTS)
    b.unstore(message)
    for line in b.find("push", id=message["push"]["id"]):
        b.drop(line)


@case("a", "stands behind that of")
def pushes_stand_in_another_order(b):
    one, other = b.snapshot["streams"]["THREADS"]["messages"][3:5]
    one["push"], other["push"] = other["push"], one["push"]


@case("a", "and the member was told nothing")
def a_conflict_was_not_told(b):
    message = b.inbox(code="id_conflict")
    b.unstore(message)
    for line in b.find("push", id=message["push"]["id"]):
        b.drop(line)


@case("a", "due is event.outcome")
def a_refusal_was_told_with_another_code(b):
    message = b.inbox(code="already_posted")
    message["push"]["payload"]["code"] = "exists"


# (b) nothing that nobody sent


@case("b", "no applied event of the run makes it")
def a_document_out_of_nothing(b):
    ghost = dict(b.document("posts", message_id="x1"), _id=f"{TENANT}|{PATH}|t1|ann|x9", message_id="x9")
    b.snapshot["documents"]["posts"].append(ghost)


@case("b", "was never sent")
def an_outcome_out_of_nothing(b):
    ghost = dict(b.document("outcomes", event_id="p1"), event_id="ghost", _id=f"{TENANT}|ann|ghost")
    b.snapshot["documents"]["outcomes"].append(ghost)


@case("b", "refused by the gateway for good")
def a_refused_event_took_effect(b):
    for line in b.find("accepted", event="p5"):
        line.update(kind="error", code="forbidden", temporary=False, retry_ms=0)


@case("b", "no event of the run makes it")
def a_push_out_of_nothing(b):
    stream = b.snapshot["streams"]["THREADS"]
    ghost = dict(stream["messages"][0], seq=99, push={**stream["messages"][0]["push"], "id": "77-0"})
    stream["messages"].append(ghost)


@case("b", "lies under")
def an_outcome_of_another_tenant(b):
    b.document("outcomes", event_id="p1")["_id"] = "t2|ann|p1"


@case("b", "no applied event of the run makes it")
def tenants_mix(b):
    ghost = dict(b.document("notices", notice_id="n1"), tenant="t2", _id="t2|n1")
    b.snapshot["documents"]["notices"].append(ghost)


@case("b", "no applied event behind it")
def a_value_out_of_nothing(b):
    stored = b.stored("STATE", subject=f"state.{TENANT}.{MEETING}.attendance")
    b.snapshot["streams"]["STATE"]["messages"].append(dict(stored, subject=f"state.{TENANT}.meeting.{PATH}.k9.attendance"))


# (a) and (b) of what follows by itself, once the meeting is closed


@case("a", "which has no outcome", closed=True)
def an_event_of_a_row_was_lost(b):
    b.remove("outcomes", type="meeting.held")


@case("b", "no row of the outbox made it", closed=True)
def an_event_of_the_system_without_a_row(b):
    b.remove("outbox", type="meeting.held")


@case("a", "was refused", closed=True)
def the_system_refused_its_own_event(b):
    b.document("outcomes", type="study.credited").update(status="refused", code="exists")


@case("a", "0 s, due are 60 s", closed=True)
def hours_are_missing(b):
    b.remove("study_hours", member="ann")


@case("a", "120 s, due are 60 s", closed=True)
def hours_were_credited_twice(b):
    row = b.document("study_hours", member="ann")
    b.snapshot["documents"]["study_hours"].append(dict(row, _id=row["_id"] + "|2"))


@case("b", "60 s, due are 0 s", closed=True)
def hours_of_who_was_not_there(b):
    b.snapshot["documents"]["study_hours"].append(dict(b.document("study_hours", member="ann"), _id="x", member="bob"))


@case("b", "60 s, due are 0 s", closed=True)
def hours_of_a_meeting_that_nobody_closed(b):
    b.snapshot["documents"]["study_hours"].append(dict(b.document("study_hours", member="ann"), _id="x", source=f"{PATH}/k9"))


@case("b", "which nobody of the run did", closed=True)
def hours_of_a_lesson(b):
    ghost = dict(b.document("study_hours", member="ann"), _id="x", source_kind="STUDIED_LESSON")
    b.snapshot["documents"]["study_hours"].append(ghost)


@case("b", "no hours of the run were revised", closed=True)
def hours_were_revised(b):
    b.snapshot["documents"]["study_sources"].append({"_id": "x"})


@case("a", "was not told of its hours", closed=True)
def a_credit_was_not_told(b):
    message = b.inbox(sourceKind="ATTENDED_MEETING")
    b.unstore(message)
    for line in b.find("push", id=message["push"]["id"]):
        b.drop(line)


@case("a", "due is {'sourceKind'", closed=True)
def a_credit_was_told_wrongly(b):
    b.inbox(sourceKind="ATTENDED_MEETING")["push"]["payload"]["seconds"] = 120


@case("b", "that nobody was credited with", closed=True)
def a_credit_was_told_to_nobody(b):
    b.inbox(sourceKind="ATTENDED_MEETING")["push"]["id"] = "77-0"


@case("a", "the figures of the meeting", closed=True)
def the_figures_of_a_meeting_are_wrong(b):
    b.document("meeting_years", org_path=PATH)["meetings"][0]["p"] = 2


@case("a", "the figures of the meeting", closed=True)
def the_figures_of_a_meeting_stand_twice(b):
    entries = b.document("meeting_years", org_path=PATH)["meetings"]
    entries.append(dict(entries[0]))


@case("b", "which nobody of the run closed", closed=True)
def figures_of_a_meeting_out_of_nothing(b):
    entries = b.document("meeting_years", org_path=PATH)["meetings"]
    entries.append(dict(entries[0], m="k9"))


@case("a", "last held", closed=True)
def an_org_forgets_its_meeting(b):
    del b.document("meeting_orgs", org_path=PATH)["ASSEMBLY"]


@case("b", "last held", closed=True)
def an_org_remembers_a_meeting_that_was_none(b):
    b.snapshot["documents"]["meeting_orgs"].append({"_id": "x", "tenant": TENANT, "org_path": "g9", "ASSEMBLY": {"ms": 1}})


@case("b", "nobody knows the collection")
def a_collection_out_of_nothing(b):
    b.snapshot["documents"]["surprises"] = [{"_id": "x"}]


# (c) each session: once, in order, without a hole


@case("c", "did not see 1 pushes")
def a_hole_in_a_session(b):
    b.drop(b.find("push", session="s1", channel=THREAD)[2])


@case("c", "stayed to the end")
def the_last_push_never_came(b):
    b.drop(b.find("push", session="s3", channel=ORG)[-1])


@case("c", "when it stood at")
def a_push_came_twice(b):
    line = b.find("push", session="s1", channel=THREAD)[2]
    b.behind(line, dict(line))


@case("c", "when it stood at")
def pushes_came_out_of_order(b):
    one, other = b.find("push", session="s1", channel=THREAD)[1:3]
    for field in ("offset", "id", "payload"):
        one[field], other[field] = other[field], one[field]


@case("c", "has no such message")
def a_push_that_the_channel_does_not_hold(b):
    line = b.find("push", session="s1", channel=THREAD)[-1]
    b.behind(line, dict(line, offset=line["offset"] + 5, id="99-0"))


@case("c", "where")
def a_push_with_another_payload(b):
    line = b.find("push", session="s1", channel=THREAD)[0]
    line["payload"] = {**line["payload"], "text": "changed"}


@case("c", "which it does not hold")
def a_push_of_a_channel_that_was_left(b):
    line = b.find("push", session="s1", channel=THREAD)[0]
    b.behind(line, {"t": line["t"], "kind": "leave", "session": "s1", "channel": THREAD})


@case("c", "was promised")
def fewer_missed_than_promised(b):
    b.first("subscribe", session="s3", channel=THREAD)["missed"] += 1


@case("c", "is stored twice")
def a_push_is_stored_twice(b):
    stream = b.snapshot["streams"]["THREADS"]
    stream["messages"].append(dict(stream["messages"][1], seq=stream["last_seq"] + 1))


@case("c", "went back")
def a_value_goes_back(b):
    b.find("value", name="attendance")[-1]["version"] = 5


@case("c", "has the value attendance")
def the_last_value_never_came(b):
    b.drop(b.find("value", name="attendance")[-1])


@case("c", "stayed open in epoch")
def a_session_of_an_old_epoch_was_not_closed(b):
    b.snapshot["streams"]["THREADS"]["epoch"] = "2.b"


@case("c", "was closed with 1011")
def a_session_was_closed_without_a_reason(b):
    b.first("close", session="s2")["code"] = 1011


@case("c", "was closed with 1001")
def a_session_was_closed_without_being_told_to_come_back(b):
    b.first("close", session="s2")["code"] = 1001


@case("c", "was closed with 3500 token_expired")
def a_session_was_sent_away(b):
    b.first("close", session="s2").update(code=3500, reason="token_expired")


@case("c", "was closed with 3505")
def a_session_was_sent_away_as_if_revoked(b):
    b.first("close", session="s2").update(code=3505, reason="token_revoked")


# (d) each phone over its sessions


@case("d", "it never got")
def a_phone_resumed_beyond_what_it_had(b):
    b.first("subscribe", session="s3", channel=THREAD)["since"]["offset"] = 4
    b.drop(b.find("push", session="s3", channel=THREAD)[0])
    b.first("subscribe", session="s3", channel=THREAD)["missed"] -= 1


@case("d", "nothing behind it is gone")
def not_recovered_without_a_reason(b):
    b.first("subscribe", session="s3", channel=THREAD)["recovered"] = False


@case("d", "in epoch")
def recovered_from_another_epoch(b):
    b.first("subscribe", session="s3", channel=THREAD)["since"]["epoch"] = "0.z"


@case("d", "recovered without a position")
def recovered_without_a_position(b):
    b.first("subscribe", session="s2", channel=THREAD)["recovered"] = True


@case("d", "never the")
def posts_between_are_missing_though_the_stream_has_forgotten_them(b):
    first = b.find("push", session="s3", channel=THREAD)[:2]
    for line in b.find("push", channel=THREAD):
        if line["id"] in {gone["id"] for gone in first}:
            b.drop(line)
    for message in list(b.snapshot["streams"]["THREADS"]["messages"])[:5]:
        b.unstore(message)
    b.snapshot["streams"]["THREADS"]["max_per_subject"] = 1
    b.first("subscribe", session="s3", channel=THREAD)["missed"] -= 2


# (e) dead letters


@case("e", "is not in DEADLETTERS")
def poison_is_gone(b):
    b.snapshot["streams"]["DEADLETTERS"]["messages"].clear()


@case("e", "does not say why")
def a_letter_without_a_reason(b):
    b.stored("DEADLETTERS", seq=1)["headers"].pop("Yz-Dead-Reason")


@case("e", "which nobody poisoned")
def an_innocent_event_was_set_aside(b):
    b.first("fault", phase="begin")["detail"]["poison"].clear()


@case("e", "dead_lettered is due")
def poison_was_applied(b):
    b.document("outcomes", event_id="bad1").update(status="applied", code="")


@case("e", "was not told")
def poison_was_not_told(b):
    b.unstore(b.inbox(status="DEAD_LETTERED"))


@case("e", "no letter of sequence")
def an_outcome_without_its_letter(b):
    b.document("outcomes", event_id="p6").update(status="dead_lettered", code="bad_frame")


@case("e", "times")
def poison_stands_there_twice(b):
    b.snapshot["streams"]["DEADLETTERS"]["messages"].append(dict(b.stored("DEADLETTERS", seq=1), seq=2))


@case("e", "was set aside as forbidden, and it is bad_frame")
def poison_was_set_aside_for_another_reason(b):
    b.stored("DEADLETTERS", seq=1)["headers"]["Yz-Dead-Reason"] = "forbidden"


@case("e", "has another type or body than")
def a_letter_has_lost_its_body(b):
    b.stored("DEADLETTERS", seq=1)["hash"] = "2" * 32


@case("e", "is not the event t1/ann/p4", set_aside="p4")
def a_letter_is_of_another_event_than_its_outcome(b):
    b.stored("DEADLETTERS", seq=2)["hash"] = "2" * 32


@case("e", "which ends no worker any more")
def what_was_given_up_cannot_be_replayed(b):
    b.snapshot["replay"]["reason"] = "unprocessable"


@case("e", "was not settled")
def a_replay_was_not_settled(b):
    b.snapshot["replay"]["settled"] = False


@case("e", "is not back")
def a_replay_vanished(b):
    b.snapshot["replay"]["back"] = False


@case("e", "which has no actor")
def a_replay_without_an_actor_vanished(b):
    b.snapshot["replay"].update(actor="", status=None, code=None, back=False)


@case("e", "has the outcome None")
def a_replay_left_no_outcome(b):
    b.snapshot["replay"].update(status=None, code=None)


# (f) bounds


@case("f", "resident memory")
def memory_grew(b):
    b.first("sample")["rss"] = 2 << 30


@case("f", "when nothing waits any more")
def memory_was_never_given_back(b):
    b.first("sample")["rss"] = 90 << 20


@case("f", "uplink_pending")
def a_queue_grew(b):
    b.first("sample")["queues"]["yizhan_gateway_uplink_pending"] = 9000


@case("f", "queries_waiting")
def a_queue_of_a_worker_grew(b):
    b.first("sample").update(process="worker1", queues={"yizhan_worker_queries_waiting": 1025})


@case("f", "backlog_bytes")
def more_waits_for_sessions_than_each_may_have(b):
    b.first("sample")["queues"]["yizhan_gateway_backlog_bytes"] = 5 << 20


@case("f", "recent_bytes")
def more_pushes_are_kept_than_the_pool_holds(b):
    b.first("sample")["queues"]["yizhan_gateway_recent_bytes"] = 65 << 20


# (g) calm


@case("g", "EVENTS still holds")
def an_event_is_left(b):
    b.snapshot["streams"]["EVENTS"]["messages"].append(
        {"seq": 5, "ms": 0, "subject": "evt.1.t1.x.y", "msg_id": "", "headers": {}, "push": None})  # fmt: skip


@case("g", "lags")
def a_consumer_lags(b):
    b.snapshot["consumers"][3]["unacked"] = 1


@case("g", "no living owner")
def a_partition_has_no_owner(b):
    del b.snapshot["leases"]["9"]


@case("g", "no living owner")
def a_partition_is_a_dead_workers(b):
    b.snapshot["leases"]["9"]["worker"] = "w7"


@case("g", "has 2 consumers")
def a_partition_has_two_consumers(b):
    b.snapshot["consumers"].append({"name": "p9-99", "pending": 0, "unacked": 0, "redelivered": 0})


@case("g", "overdue")
def a_timer_did_not_fire(b):
    b.snapshot["documents"]["outbox"].append({"_id": "t1|1-0", "state": "due", "due_at": {"ms": 0}, "cause": sample.FIRST})


@case("g", "is not ready")
def a_process_is_not_ready(b):
    b.snapshot["processes"][1]["ready"] = False


@case("g", "has no end")
def the_run_never_ended(b):
    b.drop(b.first("end"))


# (h) answers


@case("h", "answered to different events")
def one_sequence_for_two_payloads(b):
    accepted = [line for line in b.find("accepted", event="p2")]
    accepted[1].update(sequence=accepted[0]["sequence"], duplicate=True)


@case("h", "within the duplicate window")
def two_sequences_for_one_payload(b):
    b.first("accepted", event="p3", duplicate=True)["sequence"] += 1000


@case("h", "times as new")
def the_same_sequence_is_new_twice(b):
    b.first("accepted", event="p3", duplicate=True)["duplicate"] = False


@case("h", "had not been sent before")
def a_first_copy_is_a_duplicate(b):
    b.first("accepted", event="p1")["duplicate"] = True


@case("h", "was told as refused")
def a_member_was_told_something_else(b):
    b.first("outcome", event="p1").update(status="REFUSED", code="exists")


@case("a", "is not in the model")
def an_event_is_sent_that_the_model_does_not_know(b):
    for line in b.find("emit", event="p4"):
        line["type"] = "auth.unheard_of"
    sent = b.first("emit", event="p4")
    b.document("outcomes", event_id="p4").update(type=sent["type"], hash=None)


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_reported(name):
    rule, said, how, damage = CASES[name]
    broken = Broken(**how)
    damage(broken)
    found = broken.check()
    matching = [v for v in found if v.rule == rule and said in v.text]
    assert matching, f"({rule}) with {said!r} is not among:\n{checker.report(found)}"
    assert all(v.text and isinstance(v.refs, list) for v in found)


def test_every_rule_has_its_cases():
    assert {rule for rule, *_ in CASES.values()} == set("abcdefgh")


def test_one_id_for_two_aggregates_may_go_either_way():
    """They have no common order: the later acceptance may be the one that stands, but the other one must be told."""
    broken = Broken()
    first, second = (line for line in broken.lines if line["kind"] == "emit" and line["event"] == "p2")
    second["payload"] = {**second["payload"], "threadId": "t2"}
    accepted = broken.find("accepted", event="p2")
    accepted[0]["sequence"], accepted[1]["sequence"] = accepted[1]["sequence"], accepted[0]["sequence"]
    first["payload"], second["payload"] = second["payload"], first["payload"]
    broken.document("outcomes", event_id="p2")["sequence"] = accepted[1]["sequence"]
    assert not [v for v in broken.check() if "is of the later" in v.text]


def test_a_second_copy_of_an_old_post_may_be_the_first_that_a_phone_sees():
    """Beyond the broker's memory of ids it comes twice; what was pushed between its copies is not due to who came since."""
    b = Broken()
    messages = b.snapshot["streams"]["THREADS"]["messages"]
    first, last = messages[0], messages[-1]
    at = last["seq"]
    copy = {**first, "seq": at, "ms": first["ms"] + int(b.snapshot["streams"]["THREADS"]["window_s"] * 1000) + 1}
    last["seq"] = at + 1
    messages.insert(len(messages) - 1, copy)
    b.snapshot["streams"]["THREADS"]["last_seq"] = at + 1
    line_of_first = b.first("push", channel=THREAD, id=first["push"]["id"])
    for line in b.find("push", channel=THREAD, offset=at):
        b.lines.insert(b.lines.index(line), {**line_of_first, "session": line["session"], "offset": at})
        line["offset"] = at + 1
    for line in b.find("push", session="s3", channel=THREAD):
        if line["offset"] < at:
            b.drop(line)
    b.first("subscribe", session="s3", channel=THREAD).update(since=None, offset=at - 1, recovered=False, missed=0)
    assert checker.report(b.check()) == ""


def test_a_copy_of_poison_that_the_broker_did_not_answer_for_may_be_there():
    for unsure in (True, False):
        b = Broken()
        b.first("fault", phase="begin")["detail"]["poison"][0]["unsure"] = unsure
        letter = b.stored("DEADLETTERS", seq=1)
        copy = {**letter, "seq": 2, "headers": {**letter["headers"], "Yz-Origin-Sequence": str(sample.FIRST + 900)}}
        b.snapshot["streams"]["DEADLETTERS"]["messages"].append(copy)
        assert unsure != any("which nobody poisoned" in v.text for v in b.check())


def test_a_replay_without_an_actor_comes_back_and_has_no_outcome():
    broken = Broken()
    broken.snapshot["replay"].update(actor="", status=None, code=None)
    assert checker.report(broken.check()) == ""


def test_what_was_set_aside_may_have_left_its_effects():
    """And those behind it went on before it was told."""
    assert checker.report(Broken(set_aside="p4").check()) == ""


def test_the_actor_is_told_of_what_was_set_aside_whatever_was_pushed_before():
    broken = Broken(set_aside="p4")
    broken.unstore(broken.inbox(eventId="p4"))
    for line in broken.find("push", type="event.outcome"):
        if line["payload"]["eventId"] == "p4":
            broken.drop(line)
    assert [v for v in broken.check() if v.rule == "a" and "lacks push" in v.text and "p4" in v.text]


def test_the_model_knows_every_event_that_a_run_sends():
    """Whoever lets the crowd send something new tells it to rules/domain.py, or the run cannot be judged."""
    folder = pathlib.Path(checker.__file__).parent
    senders = [*folder.glob("*.py"), *folder.glob("kinds/*.py"), *folder.glob("scenarios/*.py")]
    senders = [path for path in senders if not path.name.startswith("test_") and path.name != "sample.py"]
    text = "".join(path.read_text(encoding="utf-8") for path in senders)
    sent = {type_ for type_ in wire.EVENTS if f'"{type_}"' in text}
    assert len(sent) > 5 and not [type_ for type_ in sent if not Domain.knows(type_)]
