"""What the tests of query plans ask, of which documents: for each collection a row of number n, for each query its
requests.

Two tenants with the same ids; a tenant has 100 branches under 10 companies. A row holds what finds filter and sort by and
what a handler needs in order to go on; its other fields are left out, which documents of earlier versions do, too.
"""

import datetime

import wire

TENANTS = ("ta", "tb")
BRANCHES = 100
NEVER = 4102444800000  # 2100, as Unix milliseconds
THREADS_OF_BRANCH = 5
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

CONTENT = wire.pack("LessonContent", {"blocks": [{"text": "第一段"}]})

PATH = "g1/c7/b7"  # of who asks
MEMBER = "m7"


def path_of(k):
    return f"g1/c{k % BRANCHES % 10}/b{k % BRANCHES}"


def thread_of(k):
    return f"t{k % BRANCHES}-{k // BRANCHES % THREADS_OF_BRANCH}"


def at(k):
    return START + datetime.timedelta(minutes=k)


def thread(k):
    return {"org_path": path_of(k), "thread_id": thread_of(k)}


def branch_of(k):
    return path_of(k) if k < BRANCHES else f"{path_of(k)}/x{k}"


def org_of_notice(k):
    """Some of the group and of a company, most of a branch."""
    return "g1" if k % 50 == 0 else path_of(k).rpartition("/")[0] if k % 10 == 7 else path_of(k)


def looked_at(k):
    """Members' files and complaints in turn."""
    if k // 500 % 2:
        return {"owner": "", "object_kind": "complaint", "object": f"c{k % 500}"}
    return {"owner": f"m{k % 500}", "object_kind": "member", "object": f"m{k % 500}"}


# collection: row k of a tenant: (its _id behind the tenant, fields). A collection whose documents are found only by _id
# is in BY_ID: its plan is the same with any number of them.
ROWS = {
    "notices": lambda k: (f"n{k}", {
        "notice_id": f"n{k}", "org_paths": [org_of_notice(k)], "inbox": [org_of_notice(k)], "notice_class": "INFO",
        "state": "NOTICE_PENDING" if k % 40 == 7 else "NOTICE_RELEASED", "title": f"通知{k}", "publish_at": at(k),
        "publisher": MEMBER, "sequence": k + 1}),
    "notice_receipts": lambda k: (f"n{k // 50}|{path_of(k)}", {"notice_id": f"n{k // 50}", "org_path": path_of(k)}),
    "branches": lambda k: (branch_of(k), {"org_path": branch_of(k), "members": [{"m": MEMBER, "p": 0, "k": "FULL"}]}),
    "meetings": lambda k: (f"{path_of(k)}|k{k}", {
        "org_path": path_of(k), "meeting_id": f"k{k}", "state": "OPEN", "kind": "GROUP", "code_period_s": 30,
        "starts_at": at(k), "minutes_revision": 1, "listed": f"{k:015d}|k{k}"}),
    "meeting_rosters": lambda k: (f"{path_of(k)}|k{k}", {
        "members": [f"m{k % 100}", f"m{k % 97}x"], "until": f"{NEVER + k:015d}|k{k}"}),
    "checkins": lambda k: (f"{path_of(k // 20)}|k{k // 20}|m{k % 20}", {"org_path": path_of(k // 20), "member": f"m{k % 20}",
                                                                        "method": "CODE", "checked_in_at": at(k)}),
    "posts": lambda k: (f"{path_of(k)}|{thread_of(k)}|m{k % 997}|x{k}", {
        **thread(k), "message_id": f"x{k}", "author": f"m{k % 997}", "text": f"同意 {k}", "sequence": k + 1, "posted_at": at(k)}),
    "post_edits": lambda k: (f"{path_of(k // 4)}|{thread_of(k // 4)}|{k // 4 + 1}|{k}", {
        **thread(k // 4), "sequence": k // 4 + 1, "edit": k, "text": f"改 {k}", "written_at": at(k)}),
    "post_flags": lambda k: (f"{path_of(k)}|{thread_of(k)}|{k + 1}|m1", {
        **thread(k), "sequence": k + 1, "member": "m1", "reason": "r", "flag": k + 1}),
    "threads": lambda k: (f"{path_of(k)}|u{k}", {
        "org_path": path_of(k), "thread_id": f"u{k}", "starter": "m1", "last_sequence": k + 1, "posts": 3}),
    "lessons": lambda k: (f"l{k}", {
        "org_path": org_of_notice(k), "lesson_id": f"l{k}", "version": 1, "kind": ("MICRO_LESSON", "MICRO_HISTORY")[k % 2],
        "state": ("LESSON_RELEASED", "LESSON_RELEASED", "LESSON_SCHEDULED")[k // 2 % 3], "title": f"微党课 {k}",
        "released_at": at(k), "sequence": k + 1}),
    "study_progress": lambda k: (f"m{k % 500}|l{k // 500}|1", {
        "member": f"m{k % 500}", "org_path": path_of(k % 500), "lesson_id": f"l{k // 500}", "version": 1,
        "completed": k % 3 > 0, "completed_at": at(k), "covered_ms": 60000}),
    "study_hours": lambda k: (f"m{k % 200}|s{k}", {
        "member": f"m{k % 200}", "year": 2026, "sequence": k + 1, "minutes": 5, "at": at(k)}),
    "members": lambda k: (f"m{k}", {
        "member_id": f"m{k}", "org_path": path_of(k), "scopes": ["g1", path_of(k).rpartition("/")[0], path_of(k)],
        "status": "MEMBER_ARCHIVED" if k % 20 == 3 else "MEMBER_ACTIVE", "kind": "FULL", "name": f"张{k}",
        "name_key": f"张{k:06d}|m{k}", "revision": 1}),
    "member_changes": lambda k: (f"m{k % 500}|{k + 1}", {"member_id": f"m{k % 500}", "revision": k + 1, "changed_at": at(k)}),
    "accesses": lambda k: (f"a{k}", {**looked_at(k), "actor": "sec", "at": at(k), "key": f"{k:015d}"}),
    "complaints": lambda k: (f"c{k}", {
        "complaint_id": f"c{k}", "org_path": path_of(k), "routed_to": "g1", "category": "CONDUCT", "accused": "",
        "handlers": [f"m{k % 100}", f"m{k % 97}x"], "due_key": f"{k:015d}-c{k}", "entries": 1,
        "filed_at": at(k), "acknowledge_by": at(k), "resolve_by": at(k),
        **({"open": True, "state": "FILED"} if k // 100 % 3 else {"open": False, "state": "RESOLVED", "closed_at": at(k)})}),
    "orgs": lambda k: (branch_of(k), {"org_path": branch_of(k), "parent": branch_of(k).rpartition("/")[0], "live": True}),
    "org_changes": lambda k: (f"{path_of(k)}|{k}", {"org_path": path_of(k), "sequence": k + 1}),
}  # fmt: skip

BY_ID = {
    "outcomes": lambda k: (f"{MEMBER}|e{k}", {"actor": MEMBER, "event_id": f"e{k}", "type": "notice.read", "status": "applied"}),
    "meeting_leaves": lambda k: (f"{path_of(k)}|k{k}|m1", {"state": "APPROVED"}),
    "meeting_votes": lambda k: (f"{path_of(k)}|k{k}|v1", {"vote_id": "v1"}),
    "meeting_minutes": lambda k: (f"{path_of(k)}|k{k}|0000000001", {"text": "纪要"}),
    "meeting_orgs": lambda k: (branch_of(k), {"org_path": branch_of(k)}),
    "meeting_years": lambda k: (f"{branch_of(k)}|2026", {"org_path": branch_of(k)}),
    "post_states": lambda k: (f"{path_of(k)}|{thread_of(k)}|{k + 1}", {"author": f"m{k % 997}", "edits": 4, "text": "改"}),
    "post_reactions": lambda k: (f"{path_of(k)}|{thread_of(k)}|{k + 1}|{MEMBER}", {"kinds": ["LIKE"]}),
    "thread_marks": lambda k: (f"{path_of(k)}|{thread_of(k)}|m{k}", {"read_up_to": 1}),
    "lesson_versions": lambda k: (f"l{k}|1", {
        "org_path": org_of_notice(k), "lesson_id": f"l{k}", "version": 1, "state": "LESSON_RELEASED", "content": CONTENT}),
    "study_members": lambda k: (f"m{k}", {"member": f"m{k}"}),
    "complaint_messages": lambda k: (f"c{k}", {"entries": [{"s": 1, "f": "REPORTER", "a": at(k), "k": []}]}),
    "complaint_handlers": lambda k: (branch_of(k), {"handlers": []}),
    "complaint_keys": lambda k: (f"key{k}", {"m": f"m{k}", "terms": []}),
    "complaint_terms": lambda k: (f"nobody{k}", {"terms": []}),
    "member_keys": lambda k: (f"nobody{k}", {}),
    "role_holders": lambda k: (branch_of(k), {
        "org_path": branch_of(k), "holders": [{"m": f"m{k}", "r": "inspector", "p": 0, "v": 1}], "next_place": 1}),
    "revocations": lambda k: (f"m{k}", {"member_id": f"m{k}", "voids": []}),
}  # fmt: skip

MEETING = {"orgPath": PATH, "meetingId": "k7"}
THREAD = {"orgPath": PATH, "threadId": "t7-0"}
POST = {**THREAD, "sequence": "8"}
LESSON = {"lessonId": "l7"}
COMPLAINT = {"complaintId": "c7"}
DUE = f"{20000:015d}-c"

# Stand in requests for what belongs to the one complaint that the test files.
RECEIPT, NONCE = "the receipt", "the nonce"

# query: its requests, each with parameters of its kind, as member and secretary of PATH; none may be refused.
QUERIES = {
    "event.outcome": [{"eventId": "e7"}],
    "notice.unread": [{}, {"after": "20000"}],
    "notice.get": [{"noticeId": "n0"}],
    "notice.pending": [{"orgPath": PATH}, {"orgPath": "g1", "before": "20000", "limit": 100}],
    "notice.unread_members": [{"orgPath": PATH, "noticeId": "n0"}],
    "meeting.list": [{"orgPath": PATH}, {"orgPath": PATH, "before": f"{20000:015d}|k", "limit": 100}],
    "meeting.mine": [{}, {"after": f"{NEVER + 20000:015d}|k", "limit": 100}],
    "meeting.gaps": [{"orgPath": "g1"}, {"orgPath": "g1", "after": PATH, "limit": 50}],
    "meeting.statistics": [{"orgPath": PATH, "year": 2026}],
    "meeting.votes": [MEETING],
    "meeting.minutes": [MEETING],
    "notice.list": [{}, {"before": "20000", "limit": 100}],
    "notice.receipts": [{"orgPath": "g1", "noticeId": "n0"}],
    "meeting.get": [MEETING],
    "meeting.code_key": [MEETING],
    "meeting.attendance": [MEETING],
    "thread.page": [THREAD, {**THREAD, "before": "20000", "limit": 100}, {**THREAD, "after": "20000"}],
    "thread.unread": [THREAD],
    "thread.list": [{"orgPath": PATH}, {"orgPath": PATH, "before": "20000", "limit": 100}],
    "thread.flags": [{"orgPath": PATH}, {"orgPath": PATH, "before": "20000", "limit": 100}],
    "thread.history": [POST],
    "auth.revocations": [{"orgPath": PATH, "memberId": "m7"}],
    "study.progress": [{"lessonId": "l7"}, {"lessonId": "l7", "version": 1}],
    "study.hours": [{"year": 2026}, {"year": 2026, "before": "20000", "limit": 100}],
    "study.branch": [{"orgPath": PATH, "lessonId": "l7", "version": 1}],
    "member.search": [{"orgPath": "g1", "namePrefix": "张00"}, {"orgPath": PATH, "after": "张02", "limit": 100}],
    "member.get": [{}, {"memberId": "m107", "purpose": "核对"}],
    "member.changes": [{}, {"before": "20000", "limit": 100}],
    "member.accesses": [{}, {"before": f"{20000:015d}", "limit": 100}],
    "member.roster": [{"orgPath": PATH}],
    "org.tree": [{"parent": PATH}, {"parent": PATH, "after": f"{PATH}/x2007", "limit": 100}],
    "org.history": [{"orgPath": PATH}, {"orgPath": PATH, "before": "20000", "limit": 100}],
    "lesson.feed": [{}, {"kind": "MICRO_HISTORY", "before": "20000", "limit": 100}],
    "lesson.get": [LESSON],
    "lesson.bundle": [LESSON],
    "event.outcome_of_nonce": [{"eventId": NONCE}],
    "complaint.keys": [{"orgPath": PATH, "accused": {"orgPath": PATH, "memberId": "m107"}}],
    "complaint.read": [{"receipt": RECEIPT}],
    "complaint.mine": [{}, {"cursor": DUE, "limit": 100}, {"closed": True}, {"closed": True, "cursor": DUE, "limit": 100}],
    "complaint.get": [{**COMPLAINT, "purpose": "办理"}],
    "complaint.accesses": [COMPLAINT, {**COMPLAINT, "cursor": f"{20000:015d}", "limit": 100}],
}
