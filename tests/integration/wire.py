"""The client protocol in its two encodings, as Google's own protobuf package sees it.

The classes are generated from schemas/*.proto by the protoc of grpcio-tools, which fits the protobuf package, when
this module is first imported. A frame is a dict in the proto3 JSON mapping here; `payload` is the object of the
message that `type` names.
"""

import base64
import fcntl
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("YZ_BUILD_DIR", ROOT / "build" / "debug")).resolve()
FILES = ["envelope", "client", "event", "notice", "meeting", "thread", "auth", "lesson", "study", "member", "org", "complaint"]

# type: message. The tables of PROTOCOL.md, written down a second time on purpose.
EVENTS = {
    "notice.published": "NoticePublished",
    "notice.approved": "NoticeApproved",
    "notice.recalled": "NoticeRecalled",
    "notice.release_due": "NoticeReleaseDue",
    "notice.received": "NoticeReceived",
    "notice.read": "NoticeRead",
    "notice.confirmed": "NoticeConfirmed",
    "notice.reminded": "NoticeReminded",
    "notice.remind_due": "NoticeRemindDue",
    "meeting.convened": "MeetingConvened",
    "meeting.opened": "MeetingOpened",
    "meeting.closed": "MeetingClosed",
    "meeting.changed": "MeetingChanged",
    "meeting.cancelled": "MeetingCancelled",
    "meeting.vote_opened": "MeetingVoteOpened",
    "meeting.vote_cast": "MeetingVoteCast",
    "meeting.vote_closed": "MeetingVoteClosed",
    "meeting.minutes_filed": "MeetingMinutesFiled",
    "meeting.reminder_due": "MeetingReminderDue",
    "meeting.credits_due": "MeetingCreditsDue",
    "meeting.held": "MeetingHeld",
    "checkin.recorded": "CheckinRecorded",
    "checkin.leave_requested": "CheckinLeaveRequested",
    "checkin.leave_decided": "CheckinLeaveDecided",
    "checkin.corrected": "CheckinCorrected",
    "thread.posted": "ThreadPosted",
    "thread.edited": "ThreadEdited",
    "thread.hidden": "ThreadHidden",
    "thread.reacted": "ThreadReacted",
    "thread.flagged": "ThreadFlagged",
    "thread.read_up_to": "ThreadReadUpTo",
    "lesson.scheduled": "LessonScheduled",
    "lesson.released": "LessonReleased",
    "lesson.withdrawn": "LessonWithdrawn",
    "study.started": "StudyStarted",
    "study.progressed": "StudyProgressed",
    "study.quiz_answered": "StudyQuizAnswered",
    "study.completed": "StudyCompleted",
    "study.credited": "StudyCredited",
    "member.registered": "MemberRegistered",
    "member.changed": "MemberChanged",
    "member.archived": "MemberArchived",
    "member.key_deleted": "MemberKeyDeleted",
    "member.placed": "MemberPlaced",
    "member.term_passed": "MemberTermPassed",
    "member.role_held": "MemberRoleHeld",
    "member.branch_moved": "MemberBranchMoved",
    "member.followed": "MemberFollowed",
    "org.founded": "OrgFounded",
    "org.renamed": "OrgRenamed",
    "org.moved": "OrgMoved",
    "org.dissolved": "OrgDissolved",
    "org.followed": "OrgFollowed",
    "auth.revoked": "AuthRevoked",
    "auth.restored": "AuthRestored",
    "complaint.handler_registered": "ComplaintHandlerRegistered",
    "complaint.filed": "ComplaintFiled",
    "complaint.filed_named": "ComplaintFiledNamed",
    "complaint.message_added": "ComplaintMessageAdded",
    "complaint.rated": "ComplaintRated",
    "complaint.acknowledged": "ComplaintAcknowledged",
    "complaint.replied": "ComplaintReplied",
    "complaint.extension_requested": "ComplaintExtensionRequested",
    "complaint.extended": "ComplaintExtended",
    "complaint.resolved": "ComplaintResolved",
    "complaint.clock_rung": "ComplaintClockRung",
}
QUERIES = {
    "event.outcome": ("EventOutcomeRequest", "EventOutcomeReply"),
    "notice.list": ("NoticeListRequest", "NoticeListReply"),
    "notice.unread": ("NoticeUnreadRequest", "NoticeUnreadReply"),
    "notice.get": ("NoticeGetRequest", "NoticeGetReply"),
    "notice.pending": ("NoticePendingRequest", "NoticePendingReply"),
    "notice.receipts": ("NoticeReceiptsRequest", "NoticeReceiptsReply"),
    "notice.unread_members": ("NoticeUnreadMembersRequest", "NoticeUnreadMembersReply"),
    "meeting.get": ("MeetingGetRequest", "MeetingGetReply"),
    "meeting.code_key": ("MeetingCodeKeyRequest", "MeetingCodeKeyReply"),
    "meeting.attendance": ("MeetingAttendanceRequest", "MeetingAttendanceReply"),
    "meeting.list": ("MeetingListRequest", "MeetingListReply"),
    "meeting.mine": ("MeetingMineRequest", "MeetingMineReply"),
    "meeting.gaps": ("MeetingGapsRequest", "MeetingGapsReply"),
    "meeting.statistics": ("MeetingStatisticsRequest", "MeetingStatisticsReply"),
    "meeting.votes": ("MeetingVotesRequest", "MeetingVotesReply"),
    "meeting.minutes": ("MeetingMinutesRequest", "MeetingMinutesReply"),
    "thread.page": ("ThreadPageRequest", "ThreadPageReply"),
    "thread.unread": ("ThreadUnreadRequest", "ThreadUnreadReply"),
    "thread.list": ("ThreadListRequest", "ThreadListReply"),
    "thread.flags": ("ThreadFlagsRequest", "ThreadFlagsReply"),
    "thread.history": ("ThreadHistoryRequest", "ThreadHistoryReply"),
    "lesson.feed": ("LessonFeedRequest", "LessonFeedReply"),
    "lesson.get": ("LessonGetRequest", "LessonGetReply"),
    "lesson.bundle": ("LessonBundleRequest", "LessonBundleReply"),
    "study.progress": ("StudyProgressRequest", "StudyProgressReply"),
    "study.hours": ("StudyHoursRequest", "StudyHoursReply"),
    "study.branch": ("StudyBranchRequest", "StudyBranchReply"),
    "member.search": ("MemberSearchRequest", "MemberSearchReply"),
    "member.get": ("MemberGetRequest", "MemberGetReply"),
    "member.changes": ("MemberChangesRequest", "MemberChangesReply"),
    "member.accesses": ("MemberAccessesRequest", "MemberAccessesReply"),
    "member.roster": ("MemberRosterRequest", "MemberRosterReply"),
    "org.tree": ("OrgTreeRequest", "OrgTreeReply"),
    "org.history": ("OrgHistoryRequest", "OrgHistoryReply"),
    "auth.revocations": ("AuthRevocationsRequest", "AuthRevocationsReply"),
    "event.outcome_of_nonce": ("EventOutcomeOfNonceRequest", "EventOutcomeReply"),
    "complaint.keys": ("ComplaintKeysRequest", "ComplaintKeysReply"),
    "complaint.read": ("ComplaintReadRequest", "ComplaintReadReply"),
    "complaint.mine": ("ComplaintMineRequest", "ComplaintMineReply"),
    "complaint.get": ("ComplaintGetRequest", "ComplaintGetReply"),
    "complaint.accesses": ("ComplaintAccessesRequest", "ComplaintAccessesReply"),
}
PUSHES = {
    "event.outcome": "Outcome",
    "notice.posted": "NoticePosted",
    "notice.pending": "NoticePosted",
    "notice.recalled": "NoticeRecall",
    "notice.reminder": "NoticeReminder",
    "notice.reminder_sent": "NoticeReminderSent",
    "notice.receipt_count": "NoticeReceiptCount",
    "meeting.announced": "MeetingAnnounced",
    "meeting.state_changed": "MeetingStateChanged",
    "meeting.attendance_count": "AttendanceCount",
    "meeting.updated": "MeetingUpdated",
    "meeting.reminder": "MeetingReminder",
    "meeting.vote": "MeetingVote",
    "meeting.vote_count": "MeetingVoteCount",
    "meeting.minutes_ready": "MeetingMinutesReady",
    "checkin.leave": "CheckinLeave",
    "checkin.correction": "CheckinCorrection",
    "checkin.confirmed": "CheckinConfirmed",
    "thread.post": "ThreadPost",
    "thread.post_edited": "ThreadPostEdited",
    "thread.post_hidden": "ThreadPostHidden",
    "thread.reaction": "ThreadReaction",
    "thread.mentioned": "ThreadMentioned",
    "thread.flag": "ThreadFlag",
    "lesson.released": "LessonSummary",
    "lesson.withdrawn": "LessonGone",
    "study.session": "StudySession",
    "study.progress": "StudyProgress",
    "study.credited": "StudyHours",
    "member.file_changed": "MemberFileChanged",
    "org.changed": "OrgChanged",
    "auth.revocation": "AuthRevocation",
    "complaint.updated": "ComplaintUpdated",
}


def _generate():
    """protoc --python_out into the build folder (else a temporary one), once for all that run in parallel."""
    base = BUILD if BUILD.is_dir() else pathlib.Path(tempfile.gettempdir())
    out = base / f"proto-python-{os.getuid()}"
    out.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "schemas" / f"{name}.proto" for name in FILES]
    with open(out / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = [out / f"{name}_pb2.py" for name in FILES]
        newest = max(source.stat().st_mtime for source in sources)
        if not all(path.exists() and path.stat().st_mtime > newest for path in made):
            command = [sys.executable, "-m", "grpc_tools.protoc", f"--python_out={out}", f"-I{ROOT / 'schemas'}"]
            subprocess.run(command + [str(source) for source in sources], check=True)
    return out


sys.path.insert(0, str(_generate()))
_modules = [importlib.import_module(f"{name}_pb2") for name in FILES]

from google.protobuf import json_format  # noqa: E402  (behind the generated modules on purpose)


def message(name):
    """The class of a message, by its name in the .proto files."""
    for module in _modules:
        if hasattr(module, name):
            return getattr(module, name)
    raise KeyError(name)


def pack(name, fields):
    """Fields in the JSON mapping to the message's protobuf bytes."""
    return json_format.ParseDict(fields, message(name)()).SerializeToString()


def unpack(name, data):
    """Protobuf bytes to fields in the JSON mapping."""
    decoded = message(name)()
    decoded.ParseFromString(data)
    return json_format.MessageToDict(decoded)


def _pack_payload(body, name):
    packed = dict(body)
    if name is None:
        packed["payload"] = ""
    elif isinstance(packed.get("payload"), dict):
        packed["payload"] = base64.b64encode(pack(name, packed["payload"])).decode()
    return packed


def encode_client_frame(frame, encoding):
    """A client frame to what goes into one WebSocket message: str for JSON, bytes for protobuf."""
    if encoding == "json":
        return json.dumps(frame, ensure_ascii=False)
    packed = dict(frame)
    if "emit" in packed:
        packed["emit"] = _pack_payload(packed["emit"], EVENTS.get(packed["emit"].get("type")))
    if "query" in packed:
        packed["query"] = _pack_payload(
            packed["query"], QUERIES.get(packed["query"].get("type"), [None])[0]
        )
    return pack("ClientFrame", packed)


def _open_payload(body, name):
    if name and "payload" in body:
        body["payload"] = unpack(name, base64.b64decode(body["payload"]))
    body.setdefault("payload", {})


def _items_of_protobuf(data):
    items = unpack("ServerFrame", data).get("items", [])
    for item in items:
        if "push" in item:
            _open_payload(item["push"], PUSHES[item["push"]["type"]])
        result = item.get("reply", {}).get("queryResult")
        if result:
            _open_payload(result, QUERIES[result["type"]][1])
    return items


def _items_of_json(text):
    assert text.endswith("\n"), f"a JSON frame ends with a newline: {text[-80:]!r}"
    items = []
    for line in text.split("\n")[:-1]:
        frame = json.loads(line)
        assert set(frame) <= {"items"}, f"a server frame holds nothing but items: {line[:200]}"
        items += frame.get("items", [])
    for item in items:
        for body in (item.get("push"), item.get("reply", {}).get("queryResult")):
            if body is not None:
                assert isinstance(body.get("payload", {}), dict), f"payload is no object: {body}"
                body.setdefault("payload", {})
    return items


def decode_server_message(data, encoding):
    """One WebSocket message from the server to its items."""
    if encoding == "json":
        assert isinstance(data, str), "the JSON subprotocol sends text"
        return _items_of_json(data)
    assert isinstance(data, bytes), "the protobuf subprotocol sends binary"
    return _items_of_protobuf(data)
