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
BEGINS_WITH_MEETING(Yizhan__V1__CheckinRecorded);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingGetRequest);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingCodeKeyRequest);
BEGINS_WITH_MEETING(Yizhan__V1__MeetingAttendanceRequest);

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

static enum yz_err check_convened(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__MeetingConvened *meeting = (const Yizhan__V1__MeetingConvened *)message;
    enum yz_err err;

    if ((err = check_meeting(message, v)) ||
        (err =
             yz_check_enum(&yizhan__v1__meeting_kind__descriptor, (int)meeting->kind, "kind", v)) ||
        (err = yz_check_text(meeting->title, TITLE_MAX, "title", v)) ||
        (err = yz_check_optional_text(meeting->place, PLACE_MAX, "place", v)) ||
        (err = check_window(meeting->starts_at, meeting->ends_at, v)) ||
        (err = yz_check_ids(meeting->roster, meeting->n_roster, ROSTER_MAX, "roster", v)))
        return err;
    return yz_check_range(meeting->code_period_s, PERIOD_MIN_S, PERIOD_MAX_S, "codePeriodS", v);
}

static enum yz_err check_recorded(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__CheckinRecorded *checkin = (const Yizhan__V1__CheckinRecorded *)message;
    uint8_t code[YZ_BASE64_DECODED_MAX(CODE_LEN)];
    size_t len = strlen(checkin->code), code_len;
    enum yz_err err;

    if ((err = check_meeting(message, v)) ||
        (err = yz_check_enum(&yizhan__v1__checkin_method__descriptor, (int)checkin->method,
                             "method", v)))
        return err;
    if (len == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "code", NULL);
    /* One text for one code: the URL-safe alphabet, no padding. */
    if (len != CODE_LEN || strpbrk(checkin->code, "+/=") ||
        !yz_base64_decode(checkin->code, len, code, &code_len) || code_len != CODE_BYTES)
        return yz_violate(v, YZ_CODE_MALFORMED, "code", NULL);
    return YZ_OK;
}

static const struct yz_event_type events[] = {
    {"meeting.convened", &yizhan__v1__meeting_convened__descriptor, YZ_BY_SECRETARY, check_convened,
     org_of_meeting, aggregate_of_meeting},
    {"meeting.opened", &yizhan__v1__meeting_opened__descriptor, YZ_BY_SECRETARY, check_meeting,
     org_of_meeting, aggregate_of_meeting},
    {"meeting.closed", &yizhan__v1__meeting_closed__descriptor, YZ_BY_SECRETARY, check_meeting,
     org_of_meeting, aggregate_of_meeting},
    /* Whoever stands on the roster, from whatever branch: the worker judges. */
    {"checkin.recorded", &yizhan__v1__checkin_recorded__descriptor, YZ_BY_MEMBER, check_recorded,
     org_of_meeting, aggregate_of_meeting},
    {0},
};

static const struct yz_query_type queries[] = {
    {"meeting.get", &yizhan__v1__meeting_get_request__descriptor,
     &yizhan__v1__meeting_get_reply__descriptor, YZ_BY_MEMBER_OF_ORG, check_meeting,
     org_of_meeting},
    {"meeting.code_key", &yizhan__v1__meeting_code_key_request__descriptor,
     &yizhan__v1__meeting_code_key_reply__descriptor, YZ_BY_SECRETARY, check_meeting,
     org_of_meeting},
    {"meeting.attendance", &yizhan__v1__meeting_attendance_request__descriptor,
     &yizhan__v1__meeting_attendance_reply__descriptor, YZ_BY_OVERSEER, check_meeting,
     org_of_meeting},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"meeting.announced", &yizhan__v1__meeting_announced__descriptor},
    {"meeting.state_changed", &yizhan__v1__meeting_state_changed__descriptor},
    {"checkin.confirmed", &yizhan__v1__checkin_confirmed__descriptor},
    {"meeting.attendance_count", &yizhan__v1__attendance_count__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_meeting = {"meeting", events, queries, pushes};
