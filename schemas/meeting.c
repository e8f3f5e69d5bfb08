#include "schemas/contract.h"

#include "schemas/check.h"
#include "schemas/text.h"

#include <meeting.pb-c.h>
#include <stdio.h>
#include <string.h>

#define TITLE_MAX      64
#define PLACE_MAX      128
#define ROSTER_MAX     5000
#define DURATION_MAX_S (24 * 3600)
#define PERIOD_MIN_S   20
#define PERIOD_MAX_S   30
#define CODE_BYTES     28
#define CODE_LEN       38
#define REASON_MAX     200
#define MOTION_MAX     200
#define MINUTES_MAX    10000
#define METHODS_MAX    8
#define WRITTEN_MAX    500
#define ENTRIES_MAX    200
#define PAGE_MAX       100
#define BRANCHES_MAX   50
#define CURSOR_MAX     400
#define YEAR_MAX       9999

/* Most messages of this domain begin with the meeting they are about. */
struct meeting_ref {
    ProtobufCMessage base;
    char *org_path;
    char *meeting_id;
};
#define BEGINS_WITH_MEETING(type)                                                                  \
    _Static_assert(offsetof(type, org_path) == offsetof(struct meeting_ref, org_path) &&           \
                       offsetof(type, meeting_id) == offsetof(struct meeting_ref, meeting_id),     \
                   #type " begins with org_path and meeting_id")
BEGINS_WITH_MEETING(Yizhan__V1__MeetingConvened);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingOpened);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingClosed);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingChanged);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingCancelled);
BEGINS_WITH_MEETING(Yizhan__V1__CheckinRecorded);
BEGINS_WITH_MEETING(Yizhan__V1__CheckinLeaveRequested);
BEGINS_WITH_MEETING(Yizhan__V1__CheckinLeaveDecided);
BEGINS_WITH_MEETING(Yizhan__V1__CheckinCorrected);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingVoteOpened);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingVoteCast);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingVoteClosed);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingMinutesFiled);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingReminderDue);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingCreditsDue);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingHeld);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingGetRequest);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingCodeKeyRequest);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingAttendanceRequest);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingVotesRequest);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingMinutesRequest);

/* Three queries are about an org. */
struct org_ref {
    ProtobufCMessage base;
    char *org_path;
};
#define BEGINS_WITH_ORG(type)                                                                      \
    _Static_assert(offsetof(type, org_path) == offsetof(struct org_ref, org_path),                 \
                   #type " begins with org_path")
BEGINS_WITH_ORG(Yizhan__V1__MeetingListRequest);
BEGINS_WITH_ORG(Yizhan__V1__MeetingGapsRequest);
BEGINS_WITH_ORG(Yizhan__V1__MeetingStatisticsRequest);

static enum yz_err check_meeting(const ProtobufCMessage *message, struct yz_violation *v)
{
    const struct meeting_ref *ref = (const struct meeting_ref *)message;
    enum yz_err err = yz_check_org_path(ref->org_path, "orgPath", v);

    return err ? err : yz_check_id(ref->meeting_id, "meetingId", v);
}

static const char *org_of_meeting(const ProtobufCMessage *message)
{
    return ((const struct meeting_ref *)message)->org_path;
}

static const char *org_of_query(const ProtobufCMessage *message)
{
    return ((const struct org_ref *)message)->org_path;
}

/* The figures of an org's meetings, which all of them write. */
static void aggregate_of_org(const ProtobufCMessage *message, const struct yz_actor *actor,
                             char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "meetings|%s", org_of_meeting(message));
}

static void aggregate_of_meeting(const ProtobufCMessage *message, const struct yz_actor *actor,
                                 char out[YZ_AGGREGATE_MAX])
{
    const struct meeting_ref *ref = (const struct meeting_ref *)message;

    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "meeting|%s|%s", ref->org_path, ref->meeting_id);
}

static enum yz_err check_window(const Google__Protobuf__Timestamp *starts,
                                const Google__Protobuf__Timestamp *ends, struct yz_violation *v)
{
    int64_t seconds;
    enum yz_err err;

    if ((err = yz_check_time(starts, "startsAt", v)) || (err = yz_check_time(ends, "endsAt", v)))
        return err;
    seconds = ends->seconds - starts->seconds;
    if (seconds < 0 || (seconds == 0 && ends->nanos <= starts->nanos))
        return yz_violate(v, YZ_INVALID_VALUE, "endsAt", "The end must lie after the start.");
    if (seconds > DURATION_MAX_S || (seconds == DURATION_MAX_S && ends->nanos > starts->nanos))
        return yz_violate(v, YZ_INVALID_VALUE, "endsAt", "A meeting lasts 24 hours at most.");
    return YZ_OK;
}

/* What a meeting is announced with, and changed to. */
static enum yz_err check_announcement(const char *title, const char *place,
                                      const Google__Protobuf__Timestamp *starts,
                                      const Google__Protobuf__Timestamp *ends,
                                      struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_name(title, TITLE_MAX, "title", v)) ||
        (err = yz_check_optional_name(place, PLACE_MAX, "place", v)))
        return err;
    return check_window(starts, ends, v);
}

static enum yz_err check_roster(const Yizhan__V1__MeetingConvened *meeting, struct yz_violation *v)
{
    enum yz_err err;

    if (!meeting->roster_of_branch) {
        err = yz_check_ids(meeting->roster, meeting->n_roster, ROSTER_MAX, "roster", v);
        if (err || meeting->n_voters == 0)
            return err;
        return yz_check_ids(meeting->voters, meeting->n_voters, ROSTER_MAX, "voters", v);
    }
    if (meeting->n_roster > 0)
        return yz_violate(v, YZ_INVALID_VALUE, "roster",
                          "The roster is the branch's, or it is given: not both.");
    if (meeting->n_voters > 0)
        return yz_violate(v, YZ_INVALID_VALUE, "voters", "The branch's register says who votes.");
    if (meeting->kind == YIZHAN__V1__MEETING_KIND__COMMITTEE ||
        meeting->kind == YIZHAN__V1__MEETING_KIND__GROUP)
        return yz_violate(v, YZ_INVALID_VALUE, "rosterOfBranch",
                          "A committee or a group names its roster.");
    return YZ_OK;
}

static enum yz_err check_methods(const Yizhan__V1__MeetingConvened *meeting, struct yz_violation *v)
{
    if (meeting->n_methods > METHODS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "methods", NULL);
    for (size_t i = 0; i < meeting->n_methods; i++) {
        char field[40];
        enum yz_err err;

        snprintf(field, sizeof field, "methods[%zu]", i);
        err = yz_check_enum(&yizhan__v1__checkin_method__descriptor, (int)meeting->methods[i],
                            field, v);
        if (err)
            return err;
    }
    return YZ_OK;
}

static enum yz_err check_convened(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingConvened *meeting = (const Yizhan__V1__MeetingConvened *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) ||
        (err =
             yz_check_enum(&yizhan__v1__meeting_kind__descriptor, (int)meeting->kind, "kind", v)) ||
        (err = check_announcement(meeting->title, meeting->place, meeting->starts_at,
                                  meeting->ends_at, v)) ||
        (err = check_roster(meeting, v)) || (err = check_methods(meeting, v)))
        return err;
    return yz_check_range(meeting->code_period_s, PERIOD_MIN_S, PERIOD_MAX_S, "codePeriodS", v);
}

static enum yz_err check_revision(uint32_t revision, struct yz_violation *v)
{
    return revision == 0 ? yz_violate(v, YZ_MISSING_FIELD, "revision", NULL) : YZ_OK;
}

static enum yz_err check_changed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingChanged *m = (const Yizhan__V1__MeetingChanged *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) || (err = check_revision(m->revision, v)) ||
        (err = check_announcement(m->title, m->place, m->starts_at, m->ends_at, v)))
        return err;
    return yz_check_optional_text(m->reason, REASON_MAX, "reason", v);
}

static enum yz_err check_cancelled(const ProtobufCMessage *message, struct yz_violation *v)
{
    enum yz_err err = check_meeting(message, v);

    return err ? err
               : yz_check_text(((const Yizhan__V1__MeetingCancelled *)message)->reason, REASON_MAX,
                               "reason", v);
}

static enum yz_err check_code(const char *text, struct yz_violation *v)
{
    uint8_t code[YZ_BASE64_DECODED_MAX(CODE_LEN)];
    size_t len = strlen(text), code_len;

    if (len == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "code", NULL);
    /* One text for one code: the URL-safe alphabet, no padding. */
    if (len != CODE_LEN || strpbrk(text, "+/=") || !yz_base64_decode(text, len, code, &code_len) ||
        code_len != CODE_BYTES)
        return yz_violate(v, YZ_CODE_MALFORMED, "code", NULL);
    return YZ_OK;
}

static enum yz_err refuse_for_method(const char *field, struct yz_violation *v)
{
    return yz_violate(v, YZ_INVALID_VALUE, field, "A check-in of this method does not have it.");
}

static enum yz_err check_manual(const Yizhan__V1__CheckinRecorded *checkin, struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_id(checkin->member, "member", v)) ||
        (err = yz_check_id(checkin->witness, "witness", v)) ||
        (err = yz_check_text(checkin->reason, REASON_MAX, "reason", v)))
        return err;
    if (strcmp(checkin->member, checkin->witness) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "witness", "Nobody is the witness of oneself.");
    return YZ_OK;
}

static enum yz_err check_recorded(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__CheckinRecorded *checkin = (const Yizhan__V1__CheckinRecorded *)message;
    bool geo = checkin->method == YIZHAN__V1__CHECKIN_METHOD__GEO;
    bool manual = checkin->method == YIZHAN__V1__CHECKIN_METHOD__MANUAL;
    enum yz_err err;

    if ((err = check_meeting(message, v)) ||
        (err = yz_check_enum(&yizhan__v1__checkin_method__descriptor, (int)checkin->method,
                             "method", v)))
        return err;
    if (checkin->in_fence && !geo)
        return refuse_for_method("inFence", v);
    if (*checkin->code && (geo || manual))
        return refuse_for_method("code", v);
    if (manual)
        return check_manual(checkin, v);
    if (*checkin->member)
        return refuse_for_method("member", v);
    if (*checkin->witness)
        return refuse_for_method("witness", v);
    if (*checkin->reason)
        return refuse_for_method("reason", v);
    return geo ? YZ_OK : check_code(checkin->code, v);
}

static enum yz_err check_leave_requested(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__CheckinLeaveRequested *leave =
        (const Yizhan__V1__CheckinLeaveRequested *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) ||
        (err = yz_check_enum(&yizhan__v1__leave_class__descriptor, (int)leave->leave_class,
                             "leaveClass", v)))
        return err;
    return yz_check_optional_text(leave->reason, REASON_MAX, "reason", v);
}

static enum yz_err check_leave_decided(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__CheckinLeaveDecided *decided =
        (const Yizhan__V1__CheckinLeaveDecided *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) || (err = yz_check_id(decided->member, "member", v)))
        return err;
    return yz_check_optional_text(decided->note, REASON_MAX, "note", v);
}

static enum yz_err check_corrected(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__CheckinCorrected *corrected = (const Yizhan__V1__CheckinCorrected *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) || (err = yz_check_id(corrected->member, "member", v)) ||
        (err = yz_check_enum(&yizhan__v1__attendance_state__descriptor, (int)corrected->state,
                             "state", v)))
        return err;
    return yz_check_text(corrected->reason, REASON_MAX, "reason", v);
}

static enum yz_err check_written(const Yizhan__V1__MeetingVoteOpened *vote, struct yz_violation *v)
{
    char *members[WRITTEN_MAX];

    if (vote->n_written == 0)
        return YZ_OK;
    if (vote->kind != YIZHAN__V1__VOTE_KIND__ADMISSION_VOTE)
        return yz_violate(v, YZ_INVALID_VALUE, "written",
                          "Written opinions count in an admission vote only.");
    if (vote->n_written > WRITTEN_MAX)
        return yz_violate(v, YZ_TOO_MANY, "written", NULL);
    for (size_t i = 0; i < vote->n_written; i++) {
        char field[40];
        enum yz_err err;

        snprintf(field, sizeof field, "written[%zu].choice", i);
        err = yz_check_enum(&yizhan__v1__vote_choice__descriptor, (int)vote->written[i]->choice,
                            field, v);
        if (err)
            return err;
        members[i] = vote->written[i]->member;
    }
    return yz_check_ids(members, vote->n_written, WRITTEN_MAX, "written", v);
}

static enum yz_err check_vote_opened(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingVoteOpened *vote = (const Yizhan__V1__MeetingVoteOpened *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) || (err = yz_check_id(vote->vote_id, "voteId", v)) ||
        (err = yz_check_enum(&yizhan__v1__vote_kind__descriptor, (int)vote->kind, "kind", v)) ||
        (err = yz_check_text(vote->motion, MOTION_MAX, "motion", v)))
        return err;
    return check_written(vote, v);
}

static enum yz_err check_vote_cast(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingVoteCast *vote = (const Yizhan__V1__MeetingVoteCast *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) || (err = yz_check_id(vote->vote_id, "voteId", v)))
        return err;
    return yz_check_enum(&yizhan__v1__vote_choice__descriptor, (int)vote->choice, "choice", v);
}

static enum yz_err check_vote_closed(const ProtobufCMessage *message, struct yz_violation *v)
{
    enum yz_err err = check_meeting(message, v);

    return err ? err
               : yz_check_id(((const Yizhan__V1__MeetingVoteClosed *)message)->vote_id, "voteId",
                             v);
}

static enum yz_err check_minutes_filed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingMinutesFiled *minutes =
        (const Yizhan__V1__MeetingMinutesFiled *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) || (err = check_revision(minutes->revision, v)))
        return err;
    return yz_check_text(minutes->text, MINUTES_MAX, "text", v);
}

static enum yz_err check_held(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingHeld *held = (const Yizhan__V1__MeetingHeld *)message;
    enum yz_err err = check_meeting(message, v);

    return err ? err
               : yz_check_enum(&yizhan__v1__meeting_kind__descriptor, (int)held->kind, "kind", v);
}

static enum yz_err check_attendance(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingAttendanceRequest *request =
        (const Yizhan__V1__MeetingAttendanceRequest *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) ||
        (err = yz_check_range(request->limit, 1, ENTRIES_MAX, "limit", v)))
        return err;
    return *request->after ? yz_check_id(request->after, "after", v) : YZ_OK;
}

static enum yz_err check_page(const char *cursor, const char *field, uint32_t limit,
                              uint32_t limit_max, struct yz_violation *v)
{
    enum yz_err err = yz_check_length(cursor, CURSOR_MAX, field, v);

    return err ? err : yz_check_range(limit, 1, limit_max, "limit", v);
}

static enum yz_err check_list(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingListRequest *request = (const Yizhan__V1__MeetingListRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : check_page(request->before, "before", request->limit, PAGE_MAX, v);
}

static enum yz_err check_mine(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingMineRequest *request = (const Yizhan__V1__MeetingMineRequest *)message;

    return check_page(request->after, "after", request->limit, PAGE_MAX, v);
}

static enum yz_err check_gaps(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingGapsRequest *request = (const Yizhan__V1__MeetingGapsRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    if (err || (err = yz_check_range(request->limit, 1, BRANCHES_MAX, "limit", v)) ||
        (*request->after && (err = yz_check_org_path(request->after, "after", v))))
        return err;
    /* A cursor from outside would begin in another org's branches. */
    if (*request->after && !yz_org_covers(request->org_path, request->after))
        return yz_violate(v, YZ_INVALID_VALUE, "after", NULL);
    return YZ_OK;
}

static enum yz_err check_statistics(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingStatisticsRequest *request =
        (const Yizhan__V1__MeetingStatisticsRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    if (err)
        return err;
    if (request->year == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "year", NULL);
    return yz_check_range(request->year, 1, YEAR_MAX, "year", v);
}

static enum yz_err check_votes(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingVotesRequest *request =
        (const Yizhan__V1__MeetingVotesRequest *)message;
    enum yz_err err;

    /* It becomes a part of a document's id. */
    if ((err = check_meeting(message, v)) ||
        (*request->after && (err = yz_check_id(request->after, "after", v))))
        return err;
    return yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

#define EVENT(name, message, by, check)                                                            \
    {                                                                                              \
        name, &yizhan__v1__##message##__descriptor, by, check, org_of_meeting,                     \
            aggregate_of_meeting                                                                   \
    }

static const struct yz_event_type events[] = {
    EVENT("meeting.convened", meeting_convened, YZ_BY_SECRETARY, check_convened),
    EVENT("meeting.changed", meeting_changed, YZ_BY_SECRETARY, check_changed),
    EVENT("meeting.cancelled", meeting_cancelled, YZ_BY_SECRETARY, check_cancelled),
    EVENT("meeting.opened", meeting_opened, YZ_BY_SECRETARY, check_meeting),
    EVENT("meeting.closed", meeting_closed, YZ_BY_SECRETARY, check_meeting),
    /* Whoever stands on the roster, from whatever branch: the worker judges. So it does who may
     * record another member. */
    EVENT("checkin.recorded", checkin_recorded, YZ_BY_MEMBER, check_recorded),
    EVENT("checkin.leave_requested", checkin_leave_requested, YZ_BY_MEMBER, check_leave_requested),
    EVENT("checkin.leave_decided", checkin_leave_decided, YZ_BY_SECRETARY, check_leave_decided),
    EVENT("checkin.corrected", checkin_corrected, YZ_BY_SECRETARY, check_corrected),
    EVENT("meeting.vote_opened", meeting_vote_opened, YZ_BY_SECRETARY, check_vote_opened),
    EVENT("meeting.vote_cast", meeting_vote_cast, YZ_BY_MEMBER, check_vote_cast),
    EVENT("meeting.vote_closed", meeting_vote_closed, YZ_BY_SECRETARY, check_vote_closed),
    EVENT("meeting.minutes_filed", meeting_minutes_filed, YZ_BY_SECRETARY, check_minutes_filed),
    EVENT("meeting.reminder_due", meeting_reminder_due, YZ_BY_SYSTEM, check_meeting),
    EVENT("meeting.credits_due", meeting_credits_due, YZ_BY_SYSTEM, check_meeting),
    {"meeting.held", &yizhan__v1__meeting_held__descriptor, YZ_BY_SYSTEM, check_held,
     org_of_meeting, aggregate_of_org},
    {0},
};

#define QUERY(name, message, by, check, org)                                                       \
    {                                                                                              \
        name, &yizhan__v1__##message##_request__descriptor,                                        \
            &yizhan__v1__##message##_reply__descriptor, by, check, org, YZ_BY_GET                  \
    }

static const struct yz_query_type queries[] = {
    QUERY("meeting.get", meeting_get, YZ_BY_MEMBER_OF_ORG, check_meeting, org_of_meeting),
    QUERY("meeting.code_key", meeting_code_key, YZ_BY_SECRETARY, check_meeting, org_of_meeting),
    QUERY("meeting.attendance", meeting_attendance, YZ_BY_OVERSEER, check_attendance,
          org_of_meeting),
    QUERY("meeting.list", meeting_list, YZ_BY_MEMBER_OF_ORG, check_list, org_of_query),
    QUERY("meeting.mine", meeting_mine, YZ_BY_MEMBER, check_mine, NULL),
    QUERY("meeting.gaps", meeting_gaps, YZ_BY_OVERSEER, check_gaps, org_of_query),
    QUERY("meeting.statistics", meeting_statistics, YZ_BY_OVERSEER, check_statistics, org_of_query),
    QUERY("meeting.votes", meeting_votes, YZ_BY_MEMBER_OF_ORG, check_votes, org_of_meeting),
    QUERY("meeting.minutes", meeting_minutes, YZ_BY_MEMBER_OF_ORG, check_meeting, org_of_meeting),
    {0},
};

static const struct yz_push_type pushes[] = {
    {"meeting.announced", &yizhan__v1__meeting_announced__descriptor},
    {"meeting.updated", &yizhan__v1__meeting_updated__descriptor},
    {"meeting.state_changed", &yizhan__v1__meeting_state_changed__descriptor},
    {"meeting.reminder", &yizhan__v1__meeting_reminder__descriptor},
    {"meeting.attendance_count", &yizhan__v1__attendance_count__descriptor},
    {"meeting.vote", &yizhan__v1__meeting_vote__descriptor},
    {"meeting.vote_count", &yizhan__v1__meeting_vote_count__descriptor},
    {"meeting.minutes_ready", &yizhan__v1__meeting_minutes_ready__descriptor},
    {"checkin.confirmed", &yizhan__v1__checkin_confirmed__descriptor},
    {"checkin.leave", &yizhan__v1__checkin_leave__descriptor},
    {"checkin.correction", &yizhan__v1__checkin_correction__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_meeting = {"meeting", events, queries, pushes};
